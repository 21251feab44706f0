"""Channels of notifications. Their secrets are written, and never read back."""

from __future__ import annotations

from dataclasses import replace

from app.accounts.actor import Right
from app.actions import notifications as actions
from app.api import answers
from app.api.fields import Field, of_spec, required
from app.api.operations import Answer, Asked, empty, nothing, operation
from app.api.users import declared
from app.config.channels import KINDS, Channel
from app.notify.delivery import send_test
from app.rules import seen
from app.rules.channels import FIELDS as SPECS
from app.rules.channels import OF_ALL, OF_KIND

#: Those of every kind; which a kind has is told where one is sent that it has not. null takes a secret away.
FIELDS = tuple(replace(of_spec(spec), nullable=spec.key == "secret") for spec in SPECS.values())
TOLD = tuple(field for field in FIELDS if field.name != "secret")
_KIND = Field("kind", "text", "What it sends by; it stays what it is.", required=True, choices=KINDS)


@operation("GET", "/channels", Right.SUDO, list[answers.Channel])
def channels(asked: Asked) -> Answer:
    """List the channels of notifications."""
    return Answer([_record(asked, each) for each in asked.config.notifications])


@operation("POST", "/channels", Right.SUDO, answers.Channel, 201, (_KIND, *required(FIELDS, "name")), versioned=True,
           once=True)
def add_channel(asked: Asked) -> Answer:
    """Add a channel of notifications."""
    def make() -> str:
        return actions.add_channel(asked.system, asked.actor, asked.body["kind"], _typed(asked)).id

    channel_id = asked.made_once(make)
    return _told(asked, channel_id, 201, f"/channels/{channel_id}")


@operation("GET", "/channels/<channel_id>", Right.SUDO, answers.Channel, versioned=True)
def channel(asked: Asked, channel_id: str) -> Answer:
    """Read a channel of notifications."""
    return _told(asked, channel_id)


@operation("PATCH", "/channels/<channel_id>", Right.SUDO, answers.Channel, body=FIELDS, versioned=True)
def change_channel(asked: Asked, channel_id: str) -> Answer:
    """Change the fields that are sent. A secret that is not sent stays; for another server it is sent again."""
    _check(asked, _found(asked, channel_id))
    if asked.body:
        actions.change_channel(asked.system, asked.actor, channel_id, _typed(asked), lambda now: _check(asked, now))
    return _told(asked, channel_id)


@operation("DELETE", "/channels/<channel_id>", Right.SUDO, status=204, versioned=True)
def remove_channel(asked: Asked, channel_id: str) -> Answer:
    """Remove a channel; what it had still to send is not sent."""
    _found(asked, channel_id)
    actions.remove_channel(asked.system, asked.actor, channel_id, lambda now: _check(asked, now))
    return Answer(status=204)


@operation("POST", "/channels/<channel_id>/test", Right.SUDO, status=204, again=empty(204))
def test_channel(asked: Asked, channel_id: str) -> Answer:
    """Send a test by this channel now; a refusal says why it did not arrive."""
    _found(asked, channel_id)
    send_test(asked.system, asked.actor, channel_id)
    return Answer(status=204)


def _found(asked: Asked, channel_id: str) -> Channel:
    for each in asked.config.notifications:
        if each.id == channel_id:
            return each
    raise nothing("api.no_channel", channel_id)


def _typed(asked: Asked) -> dict[str, str]:
    return {field.name: field.typed(asked.body[field.name]) for field in FIELDS if field.name in asked.body}


def _check(asked: Asked, now: Channel) -> None:
    asked.check(now, key=asked.config.secret_key)


def _told(asked: Asked, channel_id: str, status: int = 200, location: str = "") -> Answer:
    answer = _record(asked, _found(asked, channel_id))
    return Answer(answer, status, answer.version, location)


def _record(asked: Asked, found: Channel) -> answers.Channel:
    own = (*OF_ALL, *OF_KIND[found.kind])
    troubles = [state.problem for box, state in asked.system.ledger.letters.states().items()
                if box.partition("/")[0] == found.id and state.failures]
    # By a key: whoever reads the version of a weak password could else guess at it.
    return answers.Channel(found.id, found.kind, {field.name: declared(field, found) for field in TOLD
                                                  if field.name in own},
                           bool(found.secret), troubles, seen.version(found, key=asked.config.secret_key))
