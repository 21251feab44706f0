"""The forms. What a value may be is decided by the fleet, once for the panel, the CLI and a hand edit;
its refusal is put beside the field it names."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectField, StringField
from wtforms.validators import DataRequired

from app.config.model import Config
from app.config.values import WEEKDAYS
from app.fleet import Refused
from app.web.formats import cycle, sentence

AT_LIMIT = {"throttle": "slow down", "block": "block"}
CYCLES = ("never", "daily", *(f"weekly {day}" for day in WEEKDAYS),
          *(f"monthly {number}" for number in range(1, 32)))


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
    note = StringField("Note", filters=[_strip])

    def offer(self, config: Config) -> None:
        """Fills the choices; the first of each names what is set for everybody."""
        self.at_limit.choices = [("", f"As for everybody: {AT_LIMIT[config.at_limit]}")] + [
            (value, sentence(words)) for value, words in AT_LIMIT.items()]
        self.reset_cycle.choices = [("", f"As for everybody: {cycle(config.reset_cycle)}")] + [
            (value, sentence(cycle(value))) for value in CYCLES]
