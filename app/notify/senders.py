"""The boxes of the channels, as letters are addressed to them, and what sends to each."""

from __future__ import annotations

from collections.abc import Mapping

from app.config.channels import Channel
from app.config.model import Config
from app.notify.mail import Mail
from app.notify.message import Sender, SendFailed
from app.notify.telegram import Bot, ToChat
from app.notify.web_services import Ntfy, Webhook
from app.rules.channels import missing


def boxes(channel: Channel) -> list[str]:
    """Each chat of a bot is a box of its own: one that has blocked the bot keeps no message from the others, and
    nobody is sent one twice because somebody else was not reached."""
    if channel.kind == "telegram" and channel.chats:
        return [f"{channel.id}/{chat}" for chat in channel.chats]
    return [channel.id]


def by_box(config: Config) -> Mapping[str, Channel]:
    """The channels that are enabled, by their boxes."""
    return {box: channel for channel in config.notifications if channel.enabled for box in boxes(channel)}


def bot_of(channel: Channel, config: Config) -> Bot:
    """The bot of a Telegram channel."""
    return Bot(channel.secret, channel.url, config.upstream_socks5)


def sender(channel: Channel, box: str, config: Config) -> Sender:
    """What sends to this box. Raises SendFailed for a channel that was written by hand and lacks something."""
    if lacks := missing(channel):
        raise SendFailed("notify.incomplete", name=channel.name, fields=[problem.field for problem in lacks])
    if channel.kind == "telegram":
        return ToChat(bot_of(channel, config), int(box.rpartition("/")[2]))
    if channel.kind == "email":
        return Mail(channel)
    return Webhook(channel.url, channel.secret) if channel.kind == "webhook" else Ntfy(channel.url, channel.secret)
