"""A limit as people choose it (the default, none, or a value of their own), and the text that the choice stands for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask_babel import LazyString, lazy_gettext
from wtforms import StringField

from app.config.model import Config, User
from app.control.errors import Refused
from app.messages import Problem
from app.rules import limits
from app.web.formats import count, cycle, gigabytes, speed
from app.web.forms import AT_LIMIT, ShownForm
from app.web.language import gettext

#: What the name of a choice ends in, after the field's.
ENDING = "_choice"


@dataclass(frozen=True)
class Way:
    """One that can be chosen. says: the text that fields have by it, by their keys. asks: the field whose own text
    counts; "" for none. The label of a default is made when its value is known."""

    value: str
    label: str | LazyString
    says: Mapping[str, str] = field(default_factory=dict)
    asks: str = ""


def limit(key: str, none: str | LazyString) -> tuple[Way, ...]:
    """The ways of a limit that may be left to a default."""
    return (Way("default", "", {key: ""}), Way("none", none, {key: "none"}),
            Way("custom", lazy_gettext("Custom"), asks=key))


#: Limits that a user has, and a plan.
LIMITS = {"limit_gb": limit("limit_gb", lazy_gettext("No limit")),
          "speed_mbps": limit("speed_mbps", lazy_gettext("Not slowed down")),
          "max_unique_ips": limit("max_unique_ips", lazy_gettext("Any number"))}
_DATE = Way("date", lazy_gettext("On a date"), {"expires_after_days": ""}, "expires")
_DAYS = Way("days", lazy_gettext("Days after the first use"), {"expires": ""}, "expires_after_days")
#: When the access of a user ends, and of a new one, who may have it from a plan; and of whoever is added with a plan.
EXPIRY = (Way("none", lazy_gettext("Never"), {"expires": "", "expires_after_days": ""}), _DATE, _DAYS)
EXPIRY_OF_NEW = (Way("default", "", {"expires": "", "expires_after_days": ""}),
                 Way("none", lazy_gettext("Never"), {"expires": "never", "expires_after_days": ""}), _DATE, _DAYS)
EXPIRY_OF_PLAN = (Way("none", lazy_gettext("Never"), {"expires_after_days": ""}),
                  Way("days", lazy_gettext("Days after the first use"), asks="expires_after_days"))


class LimitsForm(ShownForm):
    """A form with such choices. What an older page sends has none of them, but the texts that they stand for."""

    ways: Mapping[str, tuple[Way, ...]] = {}
    #: What a default is now, by the key of its field; filled by offer().
    defaults: Mapping[str, str] = {}

    def offer_defaults(self, config: Config, plan: str = "") -> None:
        """Fills the choices; the default of each is what holds with this plan, or else by the settings."""
        nobody = User.model_construct(name="", secret="", port=0, plan=plan)
        gb, mbps = limits.limit_gb(nobody, config), limits.speed_mbps(nobody, config)
        days = getattr(config.plan_of(nobody), "expires_after_days", 0)
        self.defaults = {
            "limit_gb": gigabytes(gb) if gb else gettext("no limit"),
            "speed_mbps": speed(mbps) if mbps else gettext("not slowed down"),
            "max_unique_ips": str(limits.max_unique_ips(nobody, config) or gettext("any number")),
            "at_limit": str(AT_LIMIT[limits.at_limit(nobody, config)]),
            "reset_cycle": cycle(limits.reset_cycle(nobody, config)),
            "expires": gettext("%(days)s after the first use", days=count(days, "day")) if days else gettext("never")}

    def default_of(self, key: str) -> str:
        """The label of the default of a field: "Default: 50 GB"."""
        return gettext("Default: %(what)s", what=self.defaults[key])

    def offered(self, key: str) -> list[tuple[str, str]]:
        """(value, label) of each way of it."""
        return [(way.value, self.default_of(key) if way.value == "default" else str(way.label))
                for way in self.ways[key]]

    def chosen(self, key: str) -> str:
        """The way that is chosen, or that the texts stand for; "" for one that there is not."""
        choice, ways = self._choice(key), self.ways[key]
        if choice is not None:
            return choice if choice in {way.value for way in ways} else ""
        given = {name: self._text(name) for way in ways for name in (*way.says, *filter(None, [way.asks]))}
        given |= {name: "" for name, text in given.items() if is_zero(text)}
        for way in ways:
            if not way.asks and all(given[name].lower() == text for name, text in way.says.items()):
                return way.value
        return next((way.value for way in reversed(ways) if way.asks and given[way.asks]), ways[0].value)

    def said(self) -> dict[str, str]:
        """The texts that the choices stand for, by the keys of their fields; none where no choice was sent."""
        found: dict[str, str] = {}
        for key, ways in self.ways.items():
            choice = self._choice(key)
            for way in ways:
                if way.value == choice:
                    found |= way.says
        return found

    def unclear(self) -> dict[str, str]:
        """What is wrong between a choice and its field, by the key of that field."""
        found = {}
        for key, ways in self.ways.items():
            choice = self._choice(key)
            if choice is None:
                continue
            way = next((way for way in ways if way.value == choice), None)
            others = ", ".join(gettext('"%(title)s"', title=label) for value, label in self.offered(key)
                               if value != choice)
            if way is None:
                found[key] = gettext("Choose one of %(others)s.", others=others)
            elif way.asks and not self._text(way.asks):
                found[way.asks] = gettext("Enter a value here, or choose one of %(others)s.", others=others)
            elif way.asks and is_zero(self._text(way.asks)):
                found[way.asks] = gettext("0 is no value of its own: enter a larger one, or choose one of %(others)s.",
                                          others=others)
        return found

    def is_clear(self, attempt: Callable[[], object]) -> bool:
        """Whether every choice goes with its field. If not, that is told, beside whatever else attempt() refuses."""
        unclear = self.unclear()
        if unclear:
            try:
                attempt()
            except Refused as refusal:
                self.show(refusal)
            for key, text in unclear.items():
                self[key].errors = [text]
        return not unclear

    def show(self, refusal: Refused) -> None:
        """As every form does; what somebody else has chosen meanwhile is called as it is here."""
        super().show(Refused.of(self._as_chosen(problem) for problem in refusal.problems))

    def _as_chosen(self, problem: Problem) -> Problem:
        if problem.code != "form.stale" or problem.field not in self.ways:
            return problem
        labels = {way.says[problem.field]: gettext("Default") if way.value == "default" else str(way.label)
                  for way in reversed(self.ways[problem.field]) if problem.field in way.says and not way.asks}
        return Problem(problem.code, {name: labels.get("" if isinstance(value, Problem) else value, value)
                                      for name, value in problem.params.items()}, problem.field)

    def _choice(self, key: str) -> str | None:
        """What was sent as the choice; None for nothing, as by an older page."""
        sent = self[key + ENDING].raw_data
        return str(sent[0]) if sent else None

    def _text(self, key: str) -> str:
        return str(self[key].data or "").strip()


def is_zero(text: str) -> bool:
    """Whether it is a nought, which means the default in files and commands."""
    return re.fullmatch(r"0+([.,]0+)?", text) is not None


def add_choices(form: type[LimitsForm]) -> None:
    """Gives a form the fields of its choices."""
    for key in form.ways:
        setattr(form, key + ENDING, StringField())

