"""The forms of users and of plans, whose fields are those of the schema under their keys."""

from __future__ import annotations

from flask_babel import LazyString
from wtforms import StringField

from app.config import schema
from app.config.model import Config, Plan, User
from app.web.formats import cycle, field_label
from app.web.formats import sentence as capitalized
from app.web.forms import AT_LIMIT, CYCLES, declared_input, options, stripped, written
from app.web.language import gettext
from app.web.limit_choice import EXPIRY, EXPIRY_OF_NEW, EXPIRY_OF_PLAN, LIMITS, LimitsForm, add_choices

#: The fields of the user's form, and of a plan's: the schema's, in its order.
USER_FIELDS = tuple(spec for spec in schema.fields(User).values() if spec.group)
PLAN_FIELDS = tuple(schema.fields(Plan).values())


class UserForm(LimitsForm):
    """What an operator declares about a user. What is empty is the default; `none` is none."""

    ways = {**LIMITS, "expires": EXPIRY}

    def offer(self, config: Config) -> None:
        """Fills the choices; the first of each names what holds without it."""
        self.offer_defaults(config, self["plan"].data or "")
        _offer_both(self)
        self["plan"].choices = options({"": gettext("No plan"), **{plan.name: plan.name for plan in config.plans}})
        engines = next(spec.choices for spec in USER_FIELDS if spec.key == "engine")
        self["engine"].choices = options({each: capitalized(each) for each in engines} | {"": gettext("Default")})

    def typed(self) -> dict[str, str]:
        """What was typed, by key."""
        return {spec.key: written(spec, self[spec.key].data) for spec in USER_FIELDS} | self.said()


for each in USER_FIELDS:
    setattr(UserForm, each.key, declared_input(each, LazyString(field_label, "user", each.key)))
add_choices(UserForm)


class NewUserForm(UserForm):
    """The same for somebody who may have a link already, of another proxy."""

    ways = {**LIMITS, "expires": EXPIRY_OF_NEW}
    link = StringField(LazyString(field_label, "user", "link"), filters=[stripped])

    def offer(self, config: Config) -> None:
        """The same; without plans there is no default of the expiry but never."""
        super().offer(config)
        if not config.plans:
            self.ways = {**LIMITS, "expires": EXPIRY_OF_NEW[1:]}

    def typed(self) -> dict[str, str]:
        """What was typed, by key."""
        return {**super().typed(), "link": self.link.data or ""}


class PlanForm(LimitsForm):
    """What an operator declares of a plan. What is empty is as the settings say; `none` is none."""

    ways = {**LIMITS, "expires_after_days": EXPIRY_OF_PLAN}

    def offer(self, config: Config) -> None:
        """Fills the choices; the first of each names what the settings say."""
        self.offer_defaults(config)
        _offer_both(self)

    def typed(self) -> dict[str, str]:
        """What was typed, by key."""
        return {spec.key: written(spec, self[spec.key].data) for spec in PLAN_FIELDS} | self.said()


for each in PLAN_FIELDS:
    setattr(PlanForm, each.key, declared_input(each, LazyString(field_label, "plan", each.key)))
add_choices(PlanForm)


def _offer_both(form: LimitsForm) -> None:
    """The choices that a user has, and a plan."""
    form["at_limit"].choices = options({"": form.default_of("at_limit"), **{
        value: capitalized(str(said)) for value, said in AT_LIMIT.items()}})
    form["reset_cycle"].choices = options({"": form.default_of("reset_cycle"), **{
        value: capitalized(cycle(value)) for value in CYCLES}})
