"""Passwords and other secrets, asked for or read from standard input: arguments are seen in the list of processes, and
kept in the shell's history."""

from __future__ import annotations

import sys
from collections.abc import Collection

import click

from app.cli.root import Invocation


def secret_line(what: str, confirm: bool = True) -> str:
    """One line: asked for, unseen, on a terminal (twice, to confirm it), else read from standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, confirmation_prompt=confirm, err=True))
    line = sys.stdin.readline()
    if not line:
        raise click.UsageError(f"{what}: nothing came on standard input.")
    return line.removesuffix("\n").removesuffix("\r")


def password(obj: Invocation, given: str | None) -> str:
    """The value of --password: `-` reads it, none asks for it on a terminal, and anything else is taken as it is."""
    if given is None and not sys.stdin.isatty():
        raise click.UsageError("Missing option '--password': with `--password -` it is read from standard input.")
    if given in (None, "-"):
        return secret_line("Password")
    warn(obj, "a password in an argument can be seen in the list of processes and in the shell's history; leave "
              "--password out to be asked for it, or let `--password -` read it from standard input")
    return str(given)


def read_dashes(changes: dict[str, str], secrets: Collection[str]) -> dict[str, str]:
    """KEY=VALUE arguments with the value of a secret that was given as `-` read from standard input."""
    return {key: secret_line(key) if value == "-" and key in secrets else value for key, value in changes.items()}


def warn(obj: Invocation, message: str) -> None:
    """On standard error, for people: a program that wants JSON gets nothing but its document."""
    if not obj.json:
        click.echo(f"Warning: {message}.", err=True)
