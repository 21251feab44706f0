"""The form of a channel of notifications: what all have, and what its kind has. The secret is typed, never shown."""

from __future__ import annotations

import hashlib
import hmac
import typing
from collections.abc import Mapping

from flask import current_app
from flask_babel import lazy_gettext
from wtforms import BooleanField, PasswordField, SelectField, SelectMultipleField, StringField, TextAreaField
from wtforms.widgets import CheckboxInput, ListWidget

from app.config.channels import Channel, Event
from app.messages.translations import LANGUAGES
from app.rules.channels import FIELDS, OF_ALL, OF_KIND
from app.web.forms import ShownForm, options
from app.web.language import gettext

KIND_NAMES = {"telegram": lazy_gettext("Telegram bot"), "email": lazy_gettext("E-mail"),
              "webhook": lazy_gettext("Webhook"), "ntfy": lazy_gettext("ntfy")}

EVENT_NAMES = {
    "limit_80": lazy_gettext("80% of the traffic limit used"),
    "limit_95": lazy_gettext("95% of the traffic limit used"),
    "limit_100": lazy_gettext("Traffic limit reached"),
    "expiring": lazy_gettext("Access ends within 3 days"),
    "expired": lazy_gettext("Access has ended"),
    "proxy_down": lazy_gettext("A proxy does not work, or works again"),
    "domain": lazy_gettext("A cover domain is not usable"),
    "certificate": lazy_gettext("A certificate is not renewed"),
    "update": lazy_gettext("A new version is available"),
}
assert tuple(EVENT_NAMES) == typing.get_args(Event)


class ChannelForm(ShownForm):
    """Fields of other kinds are there, and neither shown nor read."""

    name = StringField(lazy_gettext("Name"))
    enabled = BooleanField(lazy_gettext("Switched on"))
    events = SelectMultipleField(lazy_gettext("Events"), option_widget=CheckboxInput(), widget=ListWidget(),
                                 validate_choice=False)
    digest = SelectField(lazy_gettext("Summary"), validate_choice=False)
    digest_hour = StringField(lazy_gettext("Hour of the summary"))
    language = SelectField(lazy_gettext("Language"), choices=options(LANGUAGES), validate_choice=False)
    secret = PasswordField(lazy_gettext("Token"))
    chats = StringField(lazy_gettext("Chat numbers"))
    bot = SelectField(lazy_gettext("Commands"), validate_choice=False)
    url = StringField(lazy_gettext("Address"))
    host = StringField(lazy_gettext("Mail server"))
    port = StringField(lazy_gettext("Port"))
    security = SelectField(lazy_gettext("Encryption"), validate_choice=False)
    username = StringField(lazy_gettext("Login name"))
    sender = StringField(lazy_gettext("Sender"))
    recipients = TextAreaField(lazy_gettext("Recipients"))

    def offer(self, kind: str) -> None:
        """Fills the choices, and calls the fields as they are called for this kind."""
        self.events.choices = options(EVENT_NAMES)
        self.digest.choices = options({"off": gettext("No summary"), "daily": gettext("Every day"),
                                       "weekly": gettext("Every Monday")})
        self.bot.choices = options({"off": gettext("Not answered"), "viewer": gettext("Look only: status and search"),
                                    "operator": gettext("Manage users: links, add, disable, enable, reset")})
        self.security.choices = options({"starttls": gettext("STARTTLS (port 587)"), "tls": gettext("TLS (port 465)"),
                                         "none": gettext("None")})
        self.secret.label.text = {
            "telegram": gettext("Bot token"), "email": gettext("Password"), "webhook": gettext("Signing key"),
            "ntfy": gettext("Access token")}[kind]
        self.url.label.text = {"telegram": gettext("Server of the Bot API"), "ntfy": gettext("Address of the topic")
                               }.get(kind, gettext("Address"))

    def hint(self, key: str, kind: str, kept: bool) -> str:
        """What to type. kept: whether there is a secret already."""
        if key == "secret" and kept:
            return gettext("A value is saved. Leave this empty to keep it, or type none to remove it.")
        return {
            "telegram.secret": gettext("From @BotFather in Telegram, such as 123456789:AAE…"),
            "telegram.chats": gettext("Numbers of people and groups, separated by commas; docs/notifications.md says "
                                      "how to find them. Each person has to open the bot and press Start first."),
            "telegram.bot": gettext("Only the people whose numbers are listed are answered, in groups too."),
            "telegram.url": gettext("Empty: Telegram's own."),
            "email.secret": gettext("Empty if the server asks for none."),
            "email.sender": gettext("Empty: the first recipient."),
            "email.recipients": gettext("Up to 20 addresses, one a line."),
            "webhook.secret": gettext("Any text that the receiver knows, too. Each message is signed with it."),
            "ntfy.url": gettext("For example https://ntfy.sh/a-name-that-nobody-guesses"),
            "ntfy.secret": gettext("Empty if the topic is open to everybody who knows it."),
        }.get(f"{kind}.{key}", "")

    def typed(self, kind: str) -> dict[str, str]:
        """What was typed, by key."""
        return {key: as_typed(self[key].data) for key in (*OF_ALL, *OF_KIND[kind])}


def as_typed(data: object) -> str:
    """What a field holds, as it is typed."""
    if isinstance(data, bool):
        return str(data).lower()
    return " ".join(data) or "none" if isinstance(data, list) else str(data or "").strip()


def written(channel: Channel) -> Mapping[str, object]:
    """What a form shows of a channel: all but the secret."""
    found: dict[str, object] = {}
    for key in (*OF_ALL, *OF_KIND[channel.kind]):
        value = getattr(channel, FIELDS[key].attribute)
        if key != "secret":
            found[key] = value if isinstance(value, bool) or key == "events" else \
                "\n".join(map(str, value)) if key == "recipients" else \
                ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return found


def shown(channel: Channel) -> dict[str, str]:
    """The same as text, by which a change of somebody else is seen. Of the secret it holds a mark."""
    found = {key: as_typed(value) for key, value in written(channel).items()}
    if "secret" in OF_KIND[channel.kind]:
        found["secret"] = ""
        if channel.secret:
            key = hashlib.sha256(f"channel form {channel.id} {current_app.secret_key!r}".encode()).digest()
            found["secret"] = f"••• #{hmac.new(key, channel.secret.encode(), hashlib.sha256).hexdigest()[:8]}"
    return found
