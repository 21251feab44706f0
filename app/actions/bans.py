"""Bans: ended, and made by hand. fail2ban on the server does it; the panel asks."""

from __future__ import annotations

from app.accounts.actor import Actor, Right
from app.bans.folder import Verb
from app.control import bans
from app.control.errors import Refused
from app.control.system import System
from app.lib.place import place, shown
from app.lib.public import is_public
from app.messages import Problem


def end(system: System, actor: Actor, address: str) -> str:
    """Ask for the end of this address's ban; the address as people read it. Refused for one that is not banned."""
    actor.require(Right.USERS)
    wanted = _place(address)
    now = bans.view(system)
    if shown(wanted) not in {ban.address for ban in now.bans} and shown(wanted) not in now.asked:
        raise Refused("bans.not_banned", "address", address=shown(wanted))
    _ask(system, "unban", wanted)
    system.ledger.events.record(str(actor), "ban.ended", "", Problem("event.address", {"address": shown(wanted)}))
    return shown(wanted)


def add(system: System, actor: Actor, address: str) -> str:
    """Ask for a ban of this address, as long as those that are made by themselves. Refused for one that is never
    banned, and while bans are switched off."""
    actor.require(Right.SUDO)
    wanted = _place(address)
    config = system.declaration.last_good()
    if not config.bans:
        raise Refused("bans.off")
    if not is_public(wanted, bans.spared(system, config)) or wanted in bans.used_for_the_panel(system):
        raise Refused("bans.spared", "address", address=shown(wanted))
    _ask(system, "ban", wanted)
    system.ledger.events.record(str(actor), "ban.asked", "", Problem("event.address", {"address": shown(wanted)}))
    return shown(wanted)


def _place(address: str) -> str:
    try:
        return place(address.strip().removesuffix("/64"))
    except ValueError:
        raise Refused("bans.no_address", "address", address=address[:60]) from None


def _ask(system: System, verb: Verb, wanted: str) -> None:
    try:
        bans.ask(system, verb, [wanted])
    except OSError as error:
        raise Refused("bans.unwritten", reason=error.strerror or str(error)) from None
