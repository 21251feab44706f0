"""A try of one user's link from here, told in steps: what went well, and at which step it ended."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from app.control.errors import Refused
from app.control.probing import link_from_here, try_link
from app.control.records import UserView
from app.control.system import System
from app.messages import Problem
from app.mtproto.probe import CONNECT, HANDSHAKE, ProbeError

#: In their order: the user may connect, the server's name has an address, the port lets us in, whoever answers there
#: knows the secret of the link, and Telegram answers through it.
ALLOWED, NAME, PORT, SECRET, TELEGRAM = STEPS = ("allowed", "name", "port", "secret", "telegram")

#: Tries at a time: each holds a thread of the panel for up to ten seconds.
_AT_ONCE = threading.BoundedSemaphore(3)

#: States in which nobody expects a link to work.
_RESTING = ("disabled", "expired", "blocked", "stopped")


@dataclass(frozen=True)
class LinkTest:
    """server, port: where it went. failed: the step at which it ended, "" if all went well; reason: why. milliseconds:
    until Telegram answered, None if it did not."""

    server: str
    port: int
    failed: str = ""
    reason: Problem | None = None
    milliseconds: float | None = None

    @property
    def steps(self) -> list[tuple[str, str]]:
        """Each of STEPS, and how it went: "ok", "failed", or "" where it was not come to."""
        end = STEPS.index(self.failed) if self.failed else len(STEPS)
        return [(step, "ok" if number < end else "failed" if number == end else "")
                for number, step in enumerate(STEPS)]


def run(system: System, view: UserView) -> LinkTest:
    """Takes up to ten seconds, and longer while several others are tried. It is no use of the link by its user."""
    link = link_from_here(view)

    def ended(step: str, reason: Problem) -> LinkTest:
        return LinkTest(link.server, link.port, step, reason)

    if view.state in _RESTING:
        return ended(ALLOWED, view.reason or Problem("probe.state_only", {"state": view.state}))
    try:
        with _AT_ONCE:
            return LinkTest(link.server, link.port, milliseconds=try_link(system, view))
    except ProbeError as error:
        return ended(_step(error), error.problem)
    except Refused as error:
        return ended(ALLOWED, error.problem)


def _step(error: ProbeError) -> str:
    if error.step == CONNECT:
        return NAME if error.problem.code == "probe.no_address" else PORT
    return SECRET if error.step == HANDSHAKE else TELEGRAM
