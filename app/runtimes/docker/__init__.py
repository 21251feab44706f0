"""Containers: the Docker runtime, one idea a file."""
