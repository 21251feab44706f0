"""Bans: ended, and made by hand. fail2ban on the server does it; the panel asks."""

from __future__ import annotations

import ipaddress

from app.accounts.actor import Actor, Right
from app.bans.folder import Verb
from app.config.model import Config
from app.control import bans
from app.control.errors import Refused
from app.control.system import System
from app.lib.place import place, shown
from app.lib.public import is_public
from app.messages import Problem

#: Letters of a reason that are kept.
LONGEST_REASON = 100


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


def add(system: System, actor: Actor, address: str, reason: str = "") -> str:
    """Ask for a ban of this address, as long as those that are made by themselves. reason: for the audit log. Refused
    for a network, for an address that is never banned, and while bans are switched off. A good session of the last day
    speaks against a ban that is made by itself, not against this one."""
    actor.require(Right.SUDO)
    wanted = _place(address)
    config = system.declaration.last_good()
    if not config.bans:
        raise Refused("bans.off")
    if why := _never(system, config, wanted):
        raise Refused(why, "address", address=shown(wanted))
    _ask(system, "ban", wanted)
    told = Problem("event.address", {"address": shown(wanted)})
    if reason := " ".join(reason.split())[:LONGEST_REASON]:
        told = Problem("event.address_reason", {"address": shown(wanted), "reason": reason})
    system.ledger.events.record(str(actor), "ban.asked", "", told)
    return shown(wanted)


def _never(system: System, config: Config, wanted: str) -> str:
    """The code that says why this place is never banned, "" if it may be."""
    if not is_public(wanted):
        return "bans.private"
    if wanted in bans.used_for_the_panel(system):
        return "bans.in_use"
    if not is_public(wanted, [ipaddress.ip_network(each, strict=False) for each in config.ban_never]):
        return "bans.spared"
    return "" if is_public(wanted, bans.spared(system, config)) else "bans.own"


def _place(address: str) -> str:
    text, _, bits = address.strip().partition("/")
    try:
        found = place(text)
        if bits and bits != ("64" if ":" in found else "32"):
            raise Refused("bans.network", "address", address=address.strip()[:60])
        return found
    except ValueError:
        raise Refused("bans.no_address", "address", address=address[:60]) from None


def _ask(system: System, verb: Verb, wanted: str) -> None:
    try:
        bans.ask(system, verb, [wanted])
    except OSError as error:
        raise Refused("bans.unwritten", reason=error.strerror or str(error)) from None
