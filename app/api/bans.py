"""Banned addresses."""

from __future__ import annotations

from app.accounts.actor import Right
from app.actions import bans as actions
from app.api import server_answers as answers
from app.api.fields import Field
from app.api.operations import Answer, Asked, operation
from app.control import bans as told

_ADDRESS = Field("address", "text", "An IP address; a ban of an IPv6 address is one of its /64.", required=True)
_REASON = Field("reason", "text", "Why, for the audit log.")


@operation("GET", "/bans", Right.USERS, answers.Bans)
def bans(asked: Asked) -> Answer:
    """List the addresses that are banned now."""
    return Answer(_bans(asked))


def _asked_for(asked: Asked) -> Answer:
    return Answer(_bans(asked), 202)


@operation("POST", "/bans", Right.SUDO, answers.Bans, 202, again=_asked_for, body=(_ADDRESS, _REASON))
def ban(asked: Asked) -> Answer:
    """Ask fail2ban for a ban, as long as those that it makes by itself; it takes some seconds."""
    actions.add(asked.system, asked.actor, asked.body["address"], asked.body.get("reason") or "")
    return _asked_for(asked)


@operation("POST", "/bans/remove", Right.USERS, answers.Bans, 202, again=_asked_for, body=(_ADDRESS,))
def unban(asked: Asked) -> Answer:
    """Ask fail2ban for the end of a ban; it takes some seconds."""
    actions.end(asked.system, asked.actor, asked.body["address"])
    return _asked_for(asked)


def _bans(asked: Asked) -> answers.Bans:
    now = told.view(asked.system)
    return answers.Bans(now.wanted, now.state, [
        answers.Ban(each.address, each.since, each.until, each.reason, each.offences, each.ports, each.ending)
        for each in now.bans], now.asked, now.offences_day)
