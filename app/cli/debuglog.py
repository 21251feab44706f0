"""`debug-log`: a more detailed log of an engine, for a while."""

from __future__ import annotations

import click

from app.cli.root import Command, Invocation


@click.command("debug-log", cls=Command)
@click.argument("engine", default="telemt")
@click.option("--minutes", metavar="N", type=int, help="Switch it on for so many minutes, 1 to 120 (default: 15).")
@click.option("--end", is_flag=True, help="Write the usual log again, now.")
@click.pass_obj
def debug_log(obj: Invocation, engine: str, minutes: int | None, end: bool) -> None:
    """Let ENGINE (telemt) log why it turns connections away, for a while. Nobody is disconnected, and it goes back by
    itself. `logs` shows the lines; they have addresses of clients."""
    if end and minutes is not None:
        raise click.UsageError("--end ends it now; leave --minutes out.")
    from app.accounts.actor import CLI
    from app.actions import debug_logs
    from app.cli.fleet import failing
    from app.control import log_views

    system = obj.system()
    outcomes = debug_logs.end(system, CLI, engine) if end else debug_logs.begin(
        system, CLI, engine, debug_logs.USUAL_MINUTES if minutes is None else minutes)
    failing(outcomes)
    until = next((one.until for one in log_views.debug_logs(system) if one.engine == engine), None)
    obj.answer({"engine": engine, "until": until},
               f"The log of {engine} is more detailed until {until}." if until else
               f"The log of {engine} is the usual one.")
