"""The command line: everything the panel can do, for people and (with --json) for programs."""
