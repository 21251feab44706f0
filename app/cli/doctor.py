"""`doctor`: everything that can be looked at from here."""

from __future__ import annotations

import click

from app.cli.output import paragraph
from app.cli.root import Command, Invocation, Refusal
from app.messages import sentence

_MARKS = {"ok": "+", "note": "-", "problem": "!"}


@click.command(cls=Command)
@click.option("--domains", "with_domains", is_flag=True, help="Also ask each user's domain for TLS 1.3.")
@click.pass_obj
def doctor(obj: Invocation, with_domains: bool) -> None:
    """Look for what is wrong, and say what helps.

    It looks at disk, memory, clock, DNS, the configuration, the runtime, nginx and certificates, and tries each
    running user's link. Where the setting helper_url names a helper, it is asked which ports the internet reaches.
    Under each finding stands the command that mends it, or says more. Changes nothing; exit code 1 if something is
    wrong.
    """
    from app.control.doctor import PROBLEM, examine

    found = examine(obj.system(), with_domains)
    lines = []
    for finding in found:
        lines.append(paragraph(f"{_MARKS[finding.state]} {finding.about}: {sentence(finding.told)}"))
        if finding.command:
            lines.append(f"    {finding.command}")
    obj.answer([finding.to_json() for finding in found], "\n".join(lines))
    wrong = sum(finding.state == PROBLEM for finding in found)
    if wrong:
        raise Refusal("doctor.wrong", count=wrong)
