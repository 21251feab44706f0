"""The form of one group of settings: what it shows, what was typed, and which values are not the default."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from flask import current_app, request
from flask_babel import LazyString
from wtforms import Field, SelectField, StringField

from app.config import schema
from app.config.masked import MASK, SECRETS, is_masked, masked
from app.config.model import Config
from app.config.schema import FieldSpec
from app.control.errors import Refused
from app.rules.seen import words
from app.web.context import the_config, the_system
from app.web.formats import cycle, field_hint, field_label
from app.web.formats import sentence as capitalized
from app.web.forms import AT_LIMIT, CYCLES, ShownForm, declared_input, options
from app.web.language import gettext, ngettext, number
from app.web.setting_groups import OPTIONS, PREFER_IP, Option

SPECS = schema.fields(Config)
#: What a refusal calls a choice, by how it is written in the file.
CHOICES = {f"{key} {option.value}": option.title for key, options in OPTIONS.items() for option in options}
#: The choices that are a list to select from.
SELECTED = {"at_limit": tuple(AT_LIMIT), "reset_cycle": CYCLES, "proxy_prefer_ip": tuple(PREFER_IP),
            "engine": SPECS["engine"].choices}
#: What the panel makes up by itself, so that there is no default to go back to.
MADE_UP = frozenset(("panel_path",))
_SEALED = "sealed:"


@dataclass(frozen=True)
class Row:
    """A setting on its page. attributes: of its input. default: in words, "" while it is in force."""

    spec: FieldSpec
    input: Field
    hint: str
    attributes: Mapping[str, object]
    default: str
    options: tuple[Option, ...]

    @property
    def wide(self) -> bool:
        """Whether it takes the whole width of the page."""
        return bool(self.options) or self.spec.kind in ("list", "switch")


class SettingsForm(ShownForm):
    """The settings by their own names; lists are words between spaces or line ends. A page has those of its group."""

    def __init__(self, keys: Collection[str]) -> None:
        self.keys = tuple(keys)
        now = {key: text for key, text in written(the_config()).items() if key in self.keys}
        super().__init__(data={key: _data(key, _visible(key, text)) for key, text in now.items()} | {
            "shown": json.dumps(now)})
        for key, values in SELECTED.items():
            self[key].choices = options({value: _named(key, value) for value in values})

    def called(self, name: str) -> str:
        """In the words of the page: who reads it need not know what a setting is called in the file."""
        title = CHOICES.get(name) or (self[name].label.text if name in SPECS else "")
        return gettext('"%(title)s"', title=title) if title else name

    def show(self, refusal: Refused) -> None:
        """As every form does; what is about a setting of another page is told above the form, with its name."""
        super().show(refusal)
        for key in SPECS.keys() - set(self.keys):
            self.form_errors += [f"{self.called(key)}: {error}" for error in self[key].errors]

    def typed(self, key: str) -> str:
        """What stands in a field."""
        return as_typed("" if self[key].data is None else self[key].data)

    def read(self) -> dict[str, str]:
        """What a person changed: typed, and different from what the page showed. What was not sent, as the page does
        not have it, is as it was. Raises Refused for a password that is missing."""
        now = written(the_config())
        shown = self.were_shown({key: now[key] for key in self.keys})
        self.shown.data = json.dumps(shown)
        changes = {}
        for key in self.keys:
            visible = _visible(key, shown[key])
            if key not in request.form:
                self[key].data = _data(key, visible)
                continue
            text = self.typed(key)
            if key in SECRETS:
                text = _opened(text)
                self[key].data = masked(key, text)
            if words(text) != words(visible):
                changes[key] = text
        Refused.raise_all(Refused("form.password_masked", key, mask=MASK)
                          for key, text in changes.items() if is_masked(key, text))
        return changes

    def sent(self, changes: Mapping[str, str]) -> dict[str, str]:
        """What is sent again with the answer to a question. A password is sealed: nobody but this panel can read it."""
        typed = {key: self.typed(key) for key in self.keys if key in request.form}
        return {key: _sealed(text) if key in SECRETS and key in changes else text
                for key, text in (typed | {**changes}).items()}

    def restore(self, key: str) -> None:
        """Puts the default into a field."""
        self[key].data = _data(key, as_typed(SPECS[key].default))

    def row(self, key: str) -> Row:
        """A setting as its page shows it."""
        spec = SPECS[key]
        changed = key not in MADE_UP and words(self.typed(key)) != words(as_typed(spec.default))
        return Row(spec, self[key], field_hint("setting", key), _attributes(spec, self.typed(key)),
                   _said(spec) if changed else "", OPTIONS.get(key, ()))


for each in SPECS.values():
    label = LazyString(field_label, "setting", each.key)
    setattr(SettingsForm, each.key, StringField(label) if each.key in OPTIONS else
            SelectField(label, validate_choice=False) if each.key in SELECTED else declared_input(each, label))


def written(config: Config) -> dict[str, str]:
    """Every setting as a form shows it. Beside a masked password stands a mark of it, so that a change is seen."""
    found = {key: as_typed(getattr(config, spec.attribute)) for key, spec in SPECS.items()}
    for key in SECRETS:
        if found[key]:
            mark = hmac.new(_key(), found[key].encode(), hashlib.sha256).hexdigest()[:8]
            found[key] = f"{masked(key, found[key])} #{mark}"
    return found


def as_typed(value: object) -> str:
    """A value as it is typed into the form: a list is one word a line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"  # 5, not 5.0
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _visible(key: str, text: str) -> str:
    return text.rpartition(" #")[0] if key in SECRETS and text else text


def _data(key: str, text: str) -> str | bool:
    return text == "true" if SPECS[key].kind == "switch" else text


def _attributes(spec: FieldSpec, typed: str) -> dict[str, object]:
    """What a browser knows of a field, from the schema: it checks numbers itself, and offers the right keyboard."""
    if spec.kind not in ("whole", "number"):
        plain = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        return {**plain, "rows": min(8, max(3, typed.count("\n") + 1))} if spec.kind == "list" else \
            {**plain, "type": "text"}
    least, most = spec.bounds
    # What is no number would not be shown in such an input, and so be lost.
    kind = "number" if typed.replace(".", "", 1).isdecimal() else "text"
    return {"type": kind, "inputmode": "numeric" if spec.kind == "whole" else "decimal", "required": True,
            "min": as_typed(float(least)) if least is not None else False,
            "max": as_typed(float(most)) if most is not None else False,
            "step": 1 if spec.kind == "whole" else "any", "autocomplete": "off"}


def _said(spec: FieldSpec) -> str:
    """The default in words."""
    default = spec.default
    if spec.kind == "switch":
        return gettext("on") if default else gettext("off")
    if spec.key in OPTIONS:
        return next(str(option.title) for option in OPTIONS[spec.key] if option.value == default)
    if spec.key in SELECTED:
        return _named(spec.key, default)
    if isinstance(default, list) and default:
        return ngettext("%(num)s entry", "%(num)s entries", len(default))
    return number(f"{default:,}") if isinstance(default, int | float) else str(default or gettext("empty"))


def _named(key: str, value: str) -> str:
    """What a list to select from calls a value."""
    if key == "engine":
        built_in = {"builtin": gettext("built-in")}
        first = next(iter(the_system().engines))
        return built_in.get(value, value) or gettext("Default: %(what)s", what=built_in.get(first, first))
    if key == "reset_cycle":
        return capitalized(cycle(value))
    return capitalized(str(AT_LIMIT[value])) if key == "at_limit" else str(PREFER_IP[value])


def _key() -> bytes:
    """Of this installation, and for nothing but what stands in these forms."""
    return hashlib.sha256(f"settings form {current_app.secret_key!r}".encode()).digest()


def _sealed(text: str) -> str:
    from cryptography.fernet import Fernet

    return _SEALED + Fernet(base64.urlsafe_b64encode(_key())).encrypt(text.encode()).decode()


def _opened(text: str) -> str:
    """What was sealed; what was not, as it was typed."""
    if not text.startswith(_SEALED):
        return text
    from cryptography.fernet import Fernet, InvalidToken

    try:
        return Fernet(base64.urlsafe_b64encode(_key())).decrypt(text.removeprefix(_SEALED).encode()).decode()
    except InvalidToken:
        return text  # then it is no address of a proxy, and is refused as one
