"""The forms. What a value may be is decided by the actions, once for the panel, the CLI and a hand edit;
its refusal is put beside the field it names."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from flask import request
from flask_babel import LazyString, lazy_gettext
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, HiddenField, PasswordField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # not in its stubs yet
from wtforms.validators import DataRequired

from app.config.schema import FieldSpec
from app.config.values import WEEKDAYS
from app.control.errors import Refused
from app.messages.english.fields import FIELDS
from app.rules import seen
from app.web.formats import field_label
from app.web.language import gettext, in_words

AT_LIMIT = {"throttle": lazy_gettext("slow down"), "block": lazy_gettext("block")}
CYCLES = ("never", "daily", *(f"weekly {day}" for day in WEEKDAYS),
          *(f"monthly {number}" for number in range(1, 32)))


def stripped(text: str | None) -> str | None:
    """A filter of fields: what was typed, without the spaces around it."""
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
                field.errors = [*field.errors, in_words(here, self.called)]
            elif problem.code != "unchanged":
                self.form_errors.append(in_words(problem, self.called))

    def called(self, name: str) -> str:
        """What pages call a setting of this name; a form may know more of them."""
        return gettext('"%(title)s"', title=field_label("setting", name)) if f"setting.{name}" in FIELDS else name


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
        shown = self.were_shown(now)
        try:
            seen.refuse_stale(shown, changes, now, together)
        except Refused as refusal:
            self.shown.data = json.dumps(shown | {problem.field: now[problem.field] for problem in refusal.problems})
            raise


class CodeForm(TextForm):
    """A code of the second factor."""

    code = StringField(lazy_gettext("Code"), [DataRequired(lazy_gettext("Enter the code."))], filters=[stripped])


class LoginForm(TextForm):
    """Name and password of an admin."""

    username = StringField(lazy_gettext("Name"), [DataRequired(lazy_gettext("Enter your admin name."))],
                           filters=[stripped])
    password = PasswordField(lazy_gettext("Password"), [DataRequired(lazy_gettext("Enter your password."))])


def options(names: Mapping[str, object]) -> list[SelectChoice]:
    """The choices of a select, from the label of each value."""
    return [SelectChoice(value, str(label)) for value, label in names.items()]


def declared_input(spec: FieldSpec, label: LazyString) -> Field:
    """The input of a field. What may be chosen is checked like all else by the action, whose refusal says it."""
    if spec.kind == "switch":
        return BooleanField(label)
    if spec.kind == "list":
        return TextAreaField(label)
    if spec.kind == "choice":
        return SelectField(label, validate_choice=False)
    return StringField(label, filters=[stripped])


def written(spec: FieldSpec, data: object) -> str:
    """What an input holds, as text. A switch that is off is sent by no browser."""
    if spec.kind == "switch":
        return "true" if data else ""
    return str(data or "")
