"""`probe`: does a link work - one user's, or everybody's?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from app.cli.root import Command, Invocation, Refusal

if TYPE_CHECKING:
    from app.control.records import UserView
    from app.control.system import System
    from app.messages import Problem

#: Links that are tried at the same time.
_AT_ONCE = 8
#: States in which nobody expects a link to work.
_RESTING = ("disabled", "expired", "blocked", "stopped")


@dataclass(frozen=True)
class _Try:
    """milliseconds: None where it failed; reason and step then say at what."""

    view: UserView
    milliseconds: float | None
    reason: Problem | None = None
    step: str = ""

    def document(self) -> dict[str, Any]:
        from app.messages import sentence

        ok = self.milliseconds is not None
        return {"name": self.view.name, "link": self.view.tg_link, "ok": ok,
                "milliseconds": round(self.milliseconds, 1) if self.milliseconds is not None else None,
                "reason": sentence(self.reason) if self.reason else ""}

    def told(self) -> str:
        from app.messages import Problem, sentence

        if self.milliseconds is None:
            return sentence(Problem("probe.failed", {"name": self.view.name, "reason": self.reason}))
        return f"{self.view.name}: Telegram answers through the link in {self.milliseconds:.0f} ms."


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--everybody", is_flag=True, help="Each user's link that should work; exit code 1 if one does not.")
@click.option("--at", default="", metavar="ADDRESS", help="Go to this address, instead of the server of the link.")
@click.pass_obj
def probe(obj: Invocation, name: str | None, everybody: bool, at: str) -> None:
    """Behave as a Telegram client: handshake and req_pq through the user's link.

    It goes to the server of the link, as a client does, and to the port listened
    on, which public_port does not change. Some servers
    can't reach their own public address; a probe from there then fails although
    clients get through. The time in the handshake is that of other clocks, where
    they can be asked.
    """
    from app.control import views

    if everybody == bool(name):
        raise click.UsageError("Name one user, or --everybody.")
    system = obj.system()
    if name:
        _one(obj, _tried(system, views.user(system, name), at))
        return
    wanted = [view for view in views.users(system) if view.state not in _RESTING]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tries = list(pool.map(lambda view: _tried(system, view, at), wanted))
    bad = [one for one in tries if one.milliseconds is None]
    obj.answer([one.document() for one in tries], "\n".join(one.told() for one in tries) or "No link should work now.")
    if bad:
        raise Refusal("probe.some_failed", bad=len(bad), count=len(tries))


def _one(obj: Invocation, done: _Try) -> None:
    if done.milliseconds is None:
        if obj.json:
            obj.answer(done.document(), "")
        raise Refusal("probe.failed", done.step, name=done.view.name, reason=done.reason)
    obj.answer(done.document(), done.told())


def _tried(system: System, view: UserView, at: str) -> _Try:
    from app.control.probing import try_link
    from app.messages import Problem
    from app.mtproto.probe import ProbeError

    try:
        return _Try(view, try_link(system, view, at))
    except ProbeError as error:
        why = error.problem
        if view.state != "running":
            why = Problem("probe.state", {"state": view.state, "reason": view.reason}) if view.reason else \
                Problem("probe.state_only", {"state": view.state})
        return _Try(view, None, why, error.step)
