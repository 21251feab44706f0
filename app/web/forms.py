"""The forms. What a value may be is decided by the fleet, once for the panel, the CLI and a hand edit;
its refusal is put beside the field it names."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping

from flask import request
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, PasswordField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired

from app.config.model import Config
from app.config.values import WEEKDAYS
from app.control.errors import Refused
from app.web.formats import cycle, sentence

#: What the settings page calls a choice that a refusal names as it is written in the file.
CHOICES = {"sni_mode own": "Own domain", "cover_site proxy": "Another site of yours",
           "mtg_timing urls": "Sites of your choice"}
AT_LIMIT = {"throttle": "slow down", "block": "block"}
CYCLES = ("never", "daily", *(f"weekly {day}" for day in WEEKDAYS),
          *(f"monthly {number}" for number in range(1, 32)))


def _strip(text: str | None) -> str | None:
    return text.strip() if text else text


class TextForm(FlaskForm):
    """A form of text: what a browser sends as a file, or as JSON, is in none of its fields."""

    class Meta(FlaskForm.Meta):
        """What flask_wtf does, but for files and JSON."""

        def wrap_formdata(self, form: object, formdata: object) -> object:
            """What was typed; None for a page that nobody has sent yet."""
            return (request.form or None) if request.method == "POST" else None


class RefusableForm(TextForm):
    """A form that can show a refusal of the fleet."""

    def show(self, refusal: Refused) -> None:
        """Puts the refusal beside the field it is about, or above the form when it is about none.

        What breaks a rule of the declaration is told in lines that begin with a field: "proxy_port: …",
        "domain_pool[3]: …".
        """
        for part in refusal.parts:
            for line in str(part).splitlines():
                found = re.match(r"(\w+)(?:\[\d+\])?: (.+)", line)
                if found and found[1] in self._fields:
                    self._put(found[1], found[2])
                elif line != "Nothing was changed.":
                    self._put(part.field, line)

    def _put(self, name: str, message: str) -> None:
        if name in self._fields:
            self._fields[name].errors = [*self._fields[name].errors, message]
        else:
            self.form_errors.append(message)


class ShownForm(RefusableForm):
    """A form that carries what it showed: only what a person changed is written, and nothing that somebody else
    has changed meanwhile is overwritten without a word."""

    #: What the fields held when the page was made, as JSON.
    shown = HiddenField()

    def were_shown(self, now: Mapping[str, str]) -> dict[str, str]:
        """What the page showed; of a field that it does not tell, what stands there now."""
        try:
            shown = {name: text for name, text in json.loads(self.shown.data or "").items() if isinstance(text, str)}
            json.dumps(shown, ensure_ascii=False).encode()  # half a character ("\\ud800") would break the page
        except (ValueError, AttributeError, RecursionError):
            shown = {}
        return {name: shown.get(name, text) for name, text in now.items()}

    def refuse_stale(self, changes: Mapping[str, str], now: Mapping[str, str],
                     together: Collection[str] = ()) -> None:
        """Raises Refused for every field that somebody else has changed since the page was made, and this person too.

        together: fields that say one thing, so that a change to one is a change to all. The page then shows what
        stands there now as its own: whoever sends it again has read it, and means it.
        """
        shown, stale = self.were_shown(now), []
        for name in dict.fromkeys((*changes, *together)):
            typed = changes.get(name, shown[name])
            if _words(now[name]) not in (_words(shown[name]), _words(typed)):
                stale.append(Refused(f"somebody changed this while the page was open, from {shown[name] or 'empty'!r} "
                                     f"to {now[name] or 'empty'!r}. What you typed is kept here and not saved: save "
                                     "again to overwrite theirs", name))
                shown[name] = now[name]
        self.shown.data = json.dumps(shown)
        Refused.raise_all(stale)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").replace(";", " ").split()


class LoginForm(TextForm):
    """Name and password of an admin."""

    username = StringField("Name", [DataRequired("Type your admin name.")], filters=[_strip])
    password = PasswordField("Password", [DataRequired("Type your password.")])


class UserForm(ShownForm):
    """What an operator declares about a user. What is empty is as it is for everybody; `none` is none."""

    name = StringField("Name", filters=[_strip])
    domain = StringField("Cover domain", filters=[_strip])
    limit_gb = StringField("Traffic limit", filters=[_strip])
    speed_mbps = StringField("Speed after the limit", filters=[_strip])
    # What may be chosen is checked like all else by the fleet, whose refusal says what is allowed.
    at_limit = SelectField("At the limit", validate_choice=False)
    reset_cycle = SelectField("Reset traffic", validate_choice=False)
    expires = StringField("Expires on", filters=[_strip])
    expires_after_days = StringField("Or expires after", filters=[_strip])
    public_port = StringField("Port in the link", filters=[_strip])
    note = StringField("Note", filters=[_strip])

    def offer(self, config: Config) -> None:
        """Fills the choices; the first of each names what is set for everybody."""
        self.at_limit.choices = [("", f"As for everybody: {AT_LIMIT[config.at_limit]}")] + [
            (value, sentence(words)) for value, words in AT_LIMIT.items()]
        self.reset_cycle.choices = [("", f"As for everybody: {cycle(config.reset_cycle)}")] + [
            (value, sentence(cycle(value))) for value in CYCLES]


class NewUserForm(UserForm):
    """The same for somebody who may have a link already, of another proxy."""

    link = StringField("A link that they have", filters=[_strip])


class SettingsForm(ShownForm):
    """The settings that the panel offers, by their own names; lists are words between spaces or line ends.

    What may be chosen, and what it means, is said in templates/settings.
    """

    server_domain = StringField("Host name in links", filters=[_strip])
    server_ip = StringField("IP address in links", filters=[_strip])
    public_port = StringField("Port in links", filters=[_strip])
    panel_domain = StringField("This panel's own host name", filters=[_strip])
    port_443_mode = BooleanField("Everybody on port 443")
    sni_mode = StringField("Where new users' names come from")
    domain_pool = TextAreaField("Domains in the pool")
    sni_base_domain = StringField("Your domain", filters=[_strip])
    unknown_sni = StringField("Who asks for a name that nobody has")
    cover_site = StringField("What a visitor of your domain sees")
    cover_url = StringField("Address of your site", filters=[_strip])
    domain_grace_days = StringField("Old links go on working for", filters=[_strip])
    nginx_worker_hours = StringField("Long connections may last", filters=[_strip])
    nginx_connections_per_address = StringField("Most from one address", filters=[_strip])
    mtg_timing = StringField("Where mtg learns its timing")
    mtg_timing_urls = TextAreaField("Addresses of large files")
    acme_directory = StringField("Another authority", filters=[_strip])
    acme_email = StringField("E-mail address for the authority", filters=[_strip])

    def _put(self, name: str, message: str) -> None:
        """In the words of the page: who reads it need not know what a setting is called in the file."""
        for written, title in CHOICES.items():
            message = message.replace(written, f'"{title}"')
        super()._put(name, re.sub(r"\b[a-z]+(?:_[a-z0-9]+)+\b", self._label, message))

    def _label(self, found: re.Match[str]) -> str:
        return f'"{self._fields[found[0]].label.text}"' if found[0] in self._fields else found[0]
