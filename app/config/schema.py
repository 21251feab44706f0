"""One schema of what people may change: the form, the commands, the API and the README follow from the model.

A field of the model that carries `Typed` may be changed by a person. What it is called, its unit and its place in
the form are told there, what is allowed in the field's description, and its words in `app/messages/english/fields.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from app.config.invalid import InvalidValue
from app.messages import Problem

Kind = Literal["text", "number", "whole", "switch", "choice", "list", "date"]


@dataclass(frozen=True)
class Typed:
    """Marks a field of the model that a person may change.

    key: what forms, commands and the API call it; "" if as in the file.
    unit: of the number, as it stands in a form; "" for none.
    group: the part of the form that it stands in; "" for one that only the command line has.
    kind: of the input; "" if the field's type tells it.
    """

    key: str = ""
    unit: str = ""
    group: str = ""
    kind: Kind | Literal[""] = ""


@dataclass(frozen=True)
class FieldSpec:
    """One field that people may change. attribute: its name in the file. rule: the code of what is allowed."""

    key: str
    attribute: str
    unit: str
    group: str
    kind: Kind
    choices: tuple[str, ...]
    rule: str
    info: FieldInfo

    @property
    def option(self) -> str:
        """The command line's option: "--limit-gb"."""
        return "--" + self.key.replace("_", "-")

    @property
    def default(self) -> Any:
        """The value where nobody has set another."""
        return self.info.get_default(call_default_factory=True)

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The least and the most that a number may be; None for no such bound. One that has to be more than 0 has 0."""
        def bound(*names: str) -> float | None:
            return next((getattr(mark, name) for mark in self.info.metadata for name in names
                         if getattr(mark, name, None) is not None), None)

        return bound("ge", "gt"), bound("le", "lt")

    def read(self, text: str) -> Any:
        """The value of what was typed; nothing is the default, and "none" is none where the field has that.

        Raises InvalidValue, which names the value and what is allowed.
        """
        if not text:
            return self.default
        if text.lower() == "none" and _may_be_none(self.info.annotation):
            return None
        try:
            return _adapter(self.info)(text)
        except ValidationError:
            shown = text if len(text) <= 60 else text[:59] + "…"
            raise InvalidValue("config.value", value=repr(shown), rule=Problem(self.rule)) from None

    def write(self, value: Any) -> str:
        """The value as it is typed: read(write(value)) == value."""
        if value is None:
            return "none" if _may_be_none(self.info.annotation) and self.info.default is not None else ""
        if value == self.default:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, list):
            # A text in one line has commas, as its parts may have spaces.
            return (", " if self.kind == "text" else " ").join(map(str, value))
        return f"{value:.15g}" if isinstance(value, float) else str(value)


@cache
def fields(model: type[BaseModel]) -> dict[str, FieldSpec]:
    """The fields of a model that people may change, by their keys, in the model's order."""
    found = {}
    for name, info in model.model_fields.items():
        for mark in info.metadata:
            if isinstance(mark, Typed):
                spec = _spec(name, info, mark)
                found[spec.key] = spec
    return found


def _spec(name: str, info: FieldInfo, mark: Typed) -> FieldSpec:
    choices = tuple(str(each) for part in (info.annotation, *get_args(info.annotation))
                    if get_origin(part) is Literal for each in get_args(part))
    return FieldSpec(key=mark.key or name, attribute=name, unit=mark.unit, group=mark.group,
                     kind=mark.kind or _kind(info, choices), choices=choices, rule=info.description or "", info=info)


def _kind(info: FieldInfo, choices: tuple[str, ...]) -> Kind:
    if choices:
        return "choice"
    types = {info.annotation, *get_args(info.annotation), get_origin(info.annotation)}
    for kind, python in (("switch", bool), ("whole", int), ("number", float), ("list", list)):
        if python in types:
            return kind  # type: ignore[return-value]
    return "text"


def _may_be_none(annotation: Any) -> bool:
    return type(None) in get_args(annotation)


def _adapter(info: FieldInfo) -> Any:
    marks = tuple(mark for mark in info.metadata if not isinstance(mark, Typed))
    annotation: Any = info.annotation
    for mark in marks:
        annotation = Annotated[annotation, mark]
    return TypeAdapter(annotation).validate_python
