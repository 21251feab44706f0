"""What is done about certificates."""

from __future__ import annotations

from app.accounts.actor import Actor, Right
from app.control import passes
from app.control.outcome import Outcome
from app.control.system import System


def renew_certificates(system: System, actor: Actor, force: bool = False) -> list[Outcome]:
    """Ask for the certificates that are due - all of them, with `force` - and let nginx serve them.

    Takes as long as the authority needs. Refused where nothing stands beside the panel that could ask.
    """
    actor.require(Right.SUDO)
    return passes.renew_certificates(system, str(actor), force)
