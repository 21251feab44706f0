"""Ways to tell people what happens: a Telegram bot, e-mail, a webhook, ntfy. Fields, defaults and what they allow."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from app.config import hosts
from app.config.part import Part
from app.config.schema import Typed
from app.config.values import Email, Host, Name, Port, Text, WebUrl, Whole

#: What may be told, in the order of forms. Of the digest, a channel says when.
Event = Literal["limit_80", "limit_95", "limit_100", "expiring", "expired", "proxy_down", "domain", "certificate",
                "update"]
USUAL: tuple[Event, ...] = ("limit_100", "expiring", "expired", "proxy_down", "domain", "certificate", "update")
KINDS = ("telegram", "email", "webhook", "ntfy")

#: Telegram's numbers of chats have 52 bits at most (core.telegram.org/bots/api#chat).
_MOST_CHAT = 2 ** 52


def _words(value: Any) -> Any:
    """A list as it is typed: words between spaces, commas or line ends; doubles are left out."""
    words = re.split(r"[\s,;]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(words, list):
        raise ValueError  # not a list
    return list(dict.fromkeys(word for word in words if word != ""))


def _address(value: str) -> str:
    if not hosts.email(value):
        raise ValueError  # empty
    return hosts.email(value)


def _line(value: str) -> str:
    if not value.isprintable():
        raise ValueError  # a line end, which would be the end of a header
    return value.strip()


Chat = Annotated[Whole, Field(gt=-_MOST_CHAT, lt=_MOST_CHAT)]
Line = Annotated[Text, AfterValidator(_line), Field(max_length=1000)]


class Channel(Part):
    """One way to tell people. Which fields count depends on its kind.

    secret: the token of the bot, the password of the mailbox, the key that signs a webhook, the token of ntfy.
    url: of the webhook, of the topic at ntfy, of another server of the Bot API. chats: Telegram's numbers of people
    and groups. bot: what those people may do by writing to it. digest_hour: of the server's clock.
    """

    id: Text = Field(default="", pattern=r"^[0-9a-z-]{0,32}$", description="rule.user.id")
    name: Annotated[Name, Typed()] = Field(max_length=64, description="rule.channel.name")
    kind: Literal["telegram", "email", "webhook", "ntfy"] = Field(description="rule.channel.kind")
    enabled: Annotated[bool, Typed()] = Field(default=True, description="rule.flag")
    events: Annotated[list[Event], BeforeValidator(_words), Typed()] = Field(
        default_factory=lambda: list(USUAL), description="rule.channel.events")
    digest: Annotated[Literal["off", "daily", "weekly"], Typed()] = Field(
        default="off", description="rule.channel.digest")
    digest_hour: Annotated[Whole, Field(ge=0, le=23), Typed()] = Field(
        default=9, description="rule.channel.digest_hour")
    language: Annotated[Literal["en", "ru"], Typed()] = Field(default="en", description="rule.channel.language")
    secret: Annotated[Line, Typed()] = Field(default="", repr=False, description="rule.channel.secret")
    url: Annotated[WebUrl, Typed()] = Field(default="", repr=False, description="rule.channel.url")
    chats: Annotated[list[Chat], BeforeValidator(_words), Typed()] = Field(
        default_factory=list, max_length=20, description="rule.channel.chats")
    bot: Annotated[Literal["off", "viewer", "operator"], Typed()] = Field(
        default="off", description="rule.channel.bot")
    host: Annotated[Host, Typed()] = Field(default="", description="rule.channel.host")
    port: Annotated[Port, Typed()] = Field(default=587, description="rule.port")
    security: Annotated[Literal["starttls", "tls", "none"], Typed()] = Field(
        default="starttls", description="rule.channel.security")
    username: Annotated[Line, Typed()] = Field(default="", description="rule.channel.username")
    sender: Annotated[Email, Typed()] = Field(default="", description="rule.channel.sender")
    recipients: Annotated[list[Annotated[Text, AfterValidator(_address)]], BeforeValidator(_words), Typed()] = Field(
        default_factory=list, max_length=20, description="rule.channel.recipients")

    @model_validator(mode="after")
    def _has_an_id(self) -> Self:
        """One that was written by hand has the same at each reading."""
        self.id = self.id or f"c{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"
        return self
