"""Changes to channels of notifications, as changes to the declaration, and what one still lacks. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import ValidationError

from app.config import schema
from app.config.channels import KINDS, Channel
from app.config.invalid import InvalidValue
from app.config.model import Config, new_id
from app.messages import Problem
from app.messages.refused import Refused
from app.rules import names

#: What may be changed of each kind, by the names that people use, beside what all have.
OF_ALL = ("name", "enabled", "events", "digest", "digest_hour", "language")
OF_KIND: Mapping[str, tuple[str, ...]] = {
    "telegram": ("secret", "chats", "bot", "url"),
    "email": ("host", "port", "security", "username", "secret", "sender", "recipients"),
    "webhook": ("url", "secret"),
    "ntfy": ("url", "secret"),
}
#: What a channel can't do without.
NEEDED: Mapping[str, tuple[str, ...]] = {
    "telegram": ("secret", "chats"), "email": ("host", "recipients"), "webhook": ("url", "secret"), "ntfy": ("url",)}

#: Where the secret goes. Whoever changes that must know the secret: it is shown to nobody, at no other server either.
_LEADS_TO = ("url", "host", "port", "security")

#: More than anybody reads.
MOST = 20

FIELDS = schema.fields(Channel)

_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{20,100}")


def find(config: Config, ref: str) -> Channel:
    """The channel with this id or name, whatever the case. Raises Refused."""
    for channel in config.notifications:
        if ref == channel.id or ref.strip().casefold() == channel.name.casefold():
            return channel
    raise Refused("channel.unknown", "name", ref=ref, names=[channel.name for channel in config.notifications])


def add(config: Config, kind: str, changes: Mapping[str, object]) -> Channel:
    """Append a new channel. Raises Refused, and then the config is not to be saved."""
    if kind not in KINDS:
        raise Refused("channel.kind", "kind", kind=kind, kinds=list(KINDS))
    if len(config.notifications) >= MOST:
        raise Refused("channel.many", most=MOST)
    channel = Channel.model_validate({"id": new_id({each.id for each in config.notifications}), "kind": kind,
                                      "name": "new"})
    change(config, channel, {"name": "", **changes}, new=True)
    config.notifications.append(channel)
    return channel


def change(config: Config, channel: Channel, changes: Mapping[str, object], new: bool = False) -> None:
    """Apply values as they come from a form or a command line. secret: empty keeps what there is, none forgets it.
    Raises Refused, with a part for each that is, and for each that is needed and missing."""
    before = channel.model_copy()
    refused: list[Refused] = []
    for key, value in changes.items():
        try:
            _set(config, channel, key, str(value).strip())
        except Refused as refusal:
            refused.append(refusal)
    about = {problem.field for refusal in refused for problem in refusal.problems}
    moved = [key for key in _LEADS_TO if getattr(channel, key) != getattr(before, key)]
    if before.secret and channel.secret == before.secret and moved and not new and not changes.get("secret"):
        refused.append(Refused("channel.secret_again", "secret"))
    refused += [Refused(problem) for problem in missing(channel) if problem.field not in about]
    Refused.raise_all(refused)


def remove(config: Config, channel: Channel) -> None:
    """Nobody is told by it any more."""
    config.notifications.remove(channel)


def missing(channel: Channel) -> list[Problem]:
    """What it can't do without, and does not have."""
    return [Problem("channel.needed", {"rule": Problem(FIELDS[key].rule)}, key) for key in NEEDED[channel.kind]
            if not getattr(channel, key)]


def _set(config: Config, channel: Channel, key: str, text: str) -> None:
    if key not in (*OF_ALL, *OF_KIND[channel.kind]):
        raise Refused("channel.no_field", key, name=key, kind=channel.kind,
                      names=[*OF_ALL, *OF_KIND[channel.kind]])
    if key == "name":
        channel.name = names.free(text, channel, config.notifications, "channel.exists")
    elif key == "secret":
        _set_secret(channel, text)
    elif key == "events" and text in ("", "none"):
        channel.events = []
    else:
        try:
            setattr(channel, FIELDS[key].attribute, FIELDS[key].read(text))
        except InvalidValue as error:
            raise Refused(error.problem.about(key)) from None


def _set_secret(channel: Channel, text: str) -> None:
    if text == "none":
        channel.secret = ""
    elif text:
        if channel.kind == "telegram" and not _TOKEN.fullmatch(text):
            raise Refused("channel.token", "secret")
        try:
            # Checked with the whole, as its value must not be told in a refusal.
            channel.secret = Channel.model_validate({"name": "new", "kind": channel.kind, "secret": text}).secret
        except ValidationError:
            raise Refused("config.hidden_value", "secret", rule=Problem(FIELDS["secret"].rule)) from None
