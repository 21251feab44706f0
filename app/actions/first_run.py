"""The end of the first run. What is done in it is done by the actions of its subjects."""

from __future__ import annotations

from app.accounts.actor import Actor, Right
from app.actions.declare import edit
from app.control.system import System


def end(system: System, actor: Actor) -> None:
    """Nobody is led through it any more, finished or not. Twice is as once."""
    actor.require(Right.SUDO)
    with edit(system) as config:
        config.first_run = False
