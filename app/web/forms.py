"""The forms. What a value may be is decided by the actions, once for the panel, the CLI and a hand edit;
its refusal is put beside the field it names."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from flask import request
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, HiddenField, PasswordField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired

from app.config import schema
from app.config.model import Config, User
from app.config.schema import FieldSpec
from app.config.values import WEEKDAYS
from app.control.errors import Refused
from app.messages import sentence
from app.messages.english.fields import FIELDS, words
from app.web.formats import cycle
from app.web.formats import sentence as capitalized

#: What the settings page calls a choice that a refusal names as it is written in the file.
CHOICES = {"sni_mode own": "Own domain", "cover_site proxy": "Another site of yours",
           "mtg_timing urls": "Sites of your choice"}
#: The fields of the user's form, and of the settings page: the schema's, in its order.
USER_FIELDS = tuple(spec for spec in schema.fields(User).values() if spec.group)
SETTING_FIELDS = tuple(spec for spec in schema.fields(Config).values() if f"setting.{spec.key}" in FIELDS)
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
    """A form that can show a refusal."""

    def show(self, refusal: Refused) -> None:
        """Puts each problem beside the field it is about, or above the form when it is about none."""
        for problem in refusal.problems:
            if problem.field in self._fields:
                # Beside its field, nobody need be told where it stands.
                here = problem.params["problem"] if problem.code == "config.at" else problem
                field = self._fields[problem.field]
                field.errors = [*field.errors, sentence(here, self.called)]
            elif problem.code != "unchanged":
                self.form_errors.append(sentence(problem, self.called))

    def called(self, name: str) -> str:
        """What this form calls a setting, or a choice, of this name."""
        return name


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
                stale.append(Refused("form.stale", name, before=shown[name] or "empty", now=now[name] or "empty"))
                shown[name] = now[name]
        self.shown.data = json.dumps(shown)
        Refused.raise_all(stale)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").replace(";", " ").split()


class LoginForm(TextForm):
    """Name and password of an admin."""

    username = StringField("Name", [DataRequired("Type your admin name.")], filters=[_strip])
    password = PasswordField("Password", [DataRequired("Type your password.")])


def _input(spec: FieldSpec, label: str) -> Field:
    """The input of a field. What may be chosen is checked like all else by the action, whose refusal says it."""
    if spec.kind == "switch":
        return BooleanField(label)
    if spec.kind == "list":
        return TextAreaField(label)
    if spec.kind == "choice":
        return SelectField(label, validate_choice=False)
    return StringField(label, filters=[_strip])


class UserForm(ShownForm):
    """What an operator declares about a user. What is empty is the default; `none` is none.

    Its fields are those of the schema that stand in a group, under their keys.
    """

    def offer(self, config: Config) -> None:
        """Fills the choices; the first of each names what is set for everybody."""
        for spec in USER_FIELDS:
            if spec.kind == "choice":
                self[spec.key].choices = [(value, capitalized(value)) for value in spec.choices]
        self["at_limit"].choices = [("", f"Default: {AT_LIMIT[config.at_limit]}")] + [
            (value, capitalized(words)) for value, words in AT_LIMIT.items()]
        self["engine"].choices[0] = ("", "Default")
        self["reset_cycle"].choices = [("", f"Default: {cycle(config.reset_cycle)}")] + [
            (value, capitalized(cycle(value))) for value in CYCLES]

    def typed(self) -> dict[str, str]:
        """What was typed, by key."""
        return {spec.key: written(spec, self[spec.key].data) for spec in USER_FIELDS}


for each in USER_FIELDS:
    setattr(UserForm, each.key, _input(each, words(f"user.{each.key}").label))


class NewUserForm(UserForm):
    """The same for somebody who may have a link already, of another proxy."""

    link = StringField(words("user.link").label, filters=[_strip])


def written(spec: FieldSpec, data: object) -> str:
    """What an input holds, as text. A switch that is off is sent by no browser."""
    if spec.kind == "switch":
        return "true" if data else ""
    return str(data or "")


class SettingsForm(ShownForm):
    """The settings that the panel offers, by their own names; lists are words between spaces or line ends.

    Which these are is told by app/messages/english/fields.py: those that have words. What may be chosen, and what it
    means, is said in templates/settings for those that stand in a place of their own.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        for spec in SETTING_FIELDS:
            if spec.kind == "choice" and spec.key not in PLACED:
                self[spec.key].choices = [(value, capitalized(value) or "Default") for value in spec.choices]

    def called(self, name: str) -> str:
        """In the words of the page: who reads it need not know what a setting is called in the file."""
        title = CHOICES.get(name) or (self._fields[name].label.text if name in self._fields else "")
        return f'"{title}"' if title else name


#: The settings with a place of their own in templates/settings; the others stand in its last section.
PLACED = frozenset((
    "server_domain", "server_ip", "public_port", "panel_domain", "panel_by_address", "port_443_mode",
    "sni_mode", "domain_pool", "sni_base_domain", "unknown_sni", "cover_site", "cover_url", "domain_grace_days",
    "nginx_worker_hours", "nginx_connections_per_address", "mtg_timing", "mtg_timing_urls", "acme_directory",
    "acme_email", "backup_schedule", "backup_keep", "backup_recipient"))

for each in SETTING_FIELDS:
    label = words(f"setting.{each.key}").label
    radio = each.key in PLACED and each.kind == "choice"
    setattr(SettingsForm, each.key, StringField(label) if radio else _input(each, label))
