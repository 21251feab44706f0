"""What every room may use. Standard library only, and no other room of this program.

install.sh runs some of it (by `app.cli.instance`) with the system's Python, before any package is installed, and
the built-in engine takes some of it along: tests/lib/test_rooms.py imports all of it without packages.
"""
