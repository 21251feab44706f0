"""What is done to channels of notifications: add, change, remove. Only owners: whoever can, reads what is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.accounts.actor import Actor, Right
from app.actions.declare import edit
from app.config.channels import Channel
from app.control.system import System
from app.messages import Problem
from app.rules import channels


def add_channel(system: System, actor: Actor, kind: str, changes: Mapping[str, object]) -> Channel:
    """changes: as typed, of rules.channels.OF_ALL and OF_KIND."""
    actor.require(Right.SUDO)
    with edit(system) as config:
        channel = channels.add(config, kind, changes)
    system.ledger.events.record(str(actor), "channel.added", channel.name)
    return channel


def change_channel(system: System, actor: Actor, ref: str, changes: Mapping[str, object],
                   check: Callable[[Channel], None] = lambda channel: None) -> Channel:
    """See rules.channels.change. Which fields were changed is in the audit log, and none of their values. check:
    raises Refused for a channel that is not as the person saw it."""
    actor.require(Right.SUDO)
    with edit(system) as config:
        channel = channels.find(config, ref)
        check(channel)
        channels.change(config, channel, changes)
    system.ledger.events.record(str(actor), "channel.changed", channel.name,
                                Problem("event.fields", {"names": list(changes)}))
    return channel


def remove_channel(system: System, actor: Actor, ref: str,
                   check: Callable[[Channel], None] = lambda channel: None) -> Channel:
    """What was still to be sent by it is not sent any more. Returns how it last was. check: as in change_channel."""
    actor.require(Right.SUDO)
    with edit(system) as config:
        channel = channels.find(config, ref)
        check(channel)
        channels.remove(config, channel)
    system.ledger.events.record(str(actor), "channel.removed", channel.name)
    return channel
