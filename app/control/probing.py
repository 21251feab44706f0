"""Does a user's link work - for an app whose clock is right, whatever this server's says?"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from app.checks.clock import OutsideClock, off
from app.config.model import Config
from app.control.records import UserView
from app.messages import ENGLISH
from app.mtproto.links import Link, parse_link
from app.mtproto.probe import HANDSHAKE, MOST_DOWN, MOST_UP, ProbeError, probe

if TYPE_CHECKING:
    from app.control.system import System
    from app.ledger.ledger import Ledger


class ClockOff(ProbeError):
    """The link works for an app whose clock is as wrong as this server's only."""

    language = ENGLISH


def link_from_here(view: UserView, at: str = "") -> Link:
    """The user's link as it is tried from this server: on the port listened on, as a public port is another
    machine's. at: an address to go to, "" for the server of the link."""
    link = parse_link(view.tg_link)
    return replace(link, server=at or link.server, port=view.listened_port)


def try_link(system: System, view: UserView, at: str = "") -> float:
    """Milliseconds until Telegram answered through the user's link, tried from here: see link_from_here and
    probe_link. Raises ProbeError. It is no use of the link by its user."""
    if view.expires_after_days:
        note_try(system.ledger, view.id)
    system.ledger.tries.note(view.id, system.reconciler.clock(), MOST_DOWN, MOST_UP)
    return probe_link(link_from_here(view, at), system.clock, system.declaration.last_good())


def note_try(ledger: Ledger, user_id: str) -> None:
    """Their link is about to be tried by us: what their proxy counts in the next minutes is no first use."""
    ledger.buckets.mark(f"try/{user_id}")


def tried(ledger: Ledger) -> set[str]:
    """Ids of the users for whom what their proxy counts now may be a try of ours."""
    return ledger.buckets.marked("try/")


def probe_link(link: Link, clock: OutsideClock, config: Config) -> float:
    """Milliseconds until Telegram answered through the link. Raises ProbeError.

    The time in the handshake is that of other clocks, where it is known or can be asked: by this server's own
    clock, a proxy on this server is always on time. Where nobody answered a while ago, nobody is asked again for each
    link.
    """
    if clock.ahead() is None and clock.due:
        clock.look(config)
    ahead = clock.ahead()
    if ahead is None:
        return probe(link)
    try:
        return probe(link, now=lambda: time.time() - ahead)
    except ProbeError as error:
        if error.step != HANDSHAKE or not clock.problem():
            raise
        probe(link)  # by this server's time: that fails for another reason, or the clock is what is wrong
        raise ClockOff(HANDSHAKE, "probe.clock_off", off=off(ahead)) from None
