"""Traefik as the router of port 443, before nginx."""
