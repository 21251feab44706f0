"""Local processes: the process runtime, one idea a file."""
