"""The forms. What a value may be is decided by the fleet, once for the panel, the CLI and a hand edit;
its refusal is put beside the field it names."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired

from app.fleet import Refused


def _strip(text: str | None) -> str | None:
    return text.strip() if text else text


class RefusableForm(FlaskForm):
    """A form that can show a refusal of the fleet."""

    def show(self, refusal: Refused) -> None:
        """Puts the refusal beside the field it is about, or above the form when it is about none."""
        field = self._fields.get(refusal.field)
        if field is None:
            self.form_errors.append(str(refusal))
        else:
            field.errors = [*field.errors, str(refusal)]


class LoginForm(FlaskForm):
    """Name and password of an admin."""

    username = StringField("Name", [DataRequired("Type your admin name.")], filters=[_strip])
    password = PasswordField("Password", [DataRequired("Type your password.")])


class UserForm(RefusableForm):
    """What an operator declares about a user. An empty limit or speed means: the setting for everybody."""

    name = StringField("Name", filters=[_strip])
    domain = StringField("Cover domain", filters=[_strip])
    limit_gb = StringField("Traffic limit", filters=[_strip])
    speed_mbps = StringField("Speed after the limit", filters=[_strip])
    expires = StringField("Expires on", filters=[_strip])
    note = StringField("Note", filters=[_strip])
