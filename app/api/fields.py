"""The fields of what programs send: their types as OpenAPI tells them, and the same types checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

from app.config.schema import FieldSpec
from app.messages import Problem, sentence
from app.messages.refused import Refused

Kind = Literal["text", "number", "whole", "switch", "list", "wholes", "object", "objects"]

#: What a value of a kind is called.
_CALLED: Mapping[Kind, str] = {
    "text": "api.kind_text", "number": "api.kind_number", "whole": "api.kind_whole", "switch": "api.kind_switch",
    "list": "api.kind_list", "wholes": "api.kind_wholes", "object": "api.kind_object", "objects": "api.kind_objects"}
_SCHEMAS: Mapping[Kind, dict[str, Any]] = {
    "text": {"type": "string"}, "number": {"type": "number"}, "whole": {"type": "integer"},
    "switch": {"type": "boolean"}, "list": {"type": "array", "items": {"type": "string"}},
    "wholes": {"type": "array", "items": {"type": "integer"}},
    "object": {"type": "object"}, "objects": {"type": "array", "items": {"type": "object"}}}
_LISTS: Mapping[Kind, type | tuple[type, ...]] = {"list": str, "wholes": int, "objects": dict}


@dataclass(frozen=True)
class Field:
    """One field of a body, or parameter of an address.

    help: what it is, in English. nullable: whether null is allowed, which says none. choices: the texts that are
    possible, also of a list; none for any. least, most: of a whole number, or of the length of a list. spec: the field
    of the schema (config/schema) that it is.
    """

    name: str
    kind: Kind
    help: str
    required: bool = False
    nullable: bool = False
    choices: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    default: Any = None
    spec: FieldSpec | None = None

    def schema(self) -> dict[str, Any]:
        """As JSON Schema has it."""
        schema = dict(_SCHEMAS[self.kind])
        if self.choices and self.kind == "list":
            schema["items"] = {"type": "string", "enum": list(self.choices)}
        elif self.choices:
            schema["enum"] = [*self.choices, *([None] if self.nullable else [])]
        if self.nullable:
            schema["type"] = [schema["type"], "null"]
        if self.kind in _LISTS:
            bounds = {"minItems": self.least, "maxItems": self.most}
        else:
            bounds = {"minimum": self.least, "maximum": self.most}
        schema |= {key: value for key, value in bounds.items() if value is not None}
        if self.default is not None:
            schema["default"] = self.default
        return {**schema, "description": self.help}

    def allows(self, value: Any) -> bool:
        """Whether a value, as JSON has it, is of this type."""
        if value is None:
            return self.nullable
        if self.kind == "whole":
            whole = isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value)
            return whole and self._within(value)
        if self.kind == "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        if self.kind in _LISTS:
            return isinstance(value, list) and self._within(len(value)) and all(
                isinstance(each, _LISTS[self.kind]) and not isinstance(each, bool)
                and (not self.choices or each in self.choices) for each in value)
        if self.kind == "text":
            return isinstance(value, str) and (not self.choices or value in self.choices)
        return isinstance(value, bool if self.kind == "switch" else dict)

    def _within(self, number: float) -> bool:
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)

    def typed(self, value: Any) -> str:
        """The value as people type it, which is how actions take it."""
        if value is None:
            return "never" if self.spec and self.spec.kind == "date" else "none"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, list):
            return ", ".join(map(str, value))
        return f"{value:.15g}" if isinstance(value, float) else str(value)


def of_spec(spec: FieldSpec) -> Field:
    """The field of the API for one that people type."""
    types = set(_types(spec.info.annotation))
    kind: Kind = ("wholes" if int in types else "list") if list in types else "switch" if bool in types else \
        "whole" if int in types else "number" if float in types else "text"
    return Field(spec.key, kind, sentence(Problem(spec.rule)) if spec.rule else "", nullable=type(None) in types,
                 choices=spec.choices, spec=spec)


def _types(annotation: Any) -> Iterator[Any]:
    """What a type is made of, whatever is written around it."""
    yield annotation
    yield get_origin(annotation)
    for part in get_args(annotation):
        yield from _types(part) if get_args(part) else (part,)


def required(fields: Iterable[Field], *names: str) -> tuple[Field, ...]:
    """The same, of which these are needed."""
    return tuple(replace(field, required=field.name in names) for field in fields)


def refuse_misfits(fields: Sequence[Field], values: Mapping[str, Any], unknown: str = "api.unknown_field") -> None:
    """Raises Refused, with a part for each value that is not of its field's type, is missing, or has no field."""
    by_name = {field.name: field for field in fields}
    refused = [Refused(unknown, name, name=name, names=list(by_name)) for name in values if name not in by_name]
    for field in fields:
        if field.name not in values:
            if field.required:
                refused.append(Refused("api.missing", field.name))
        elif not field.allows(values[field.name]):
            refused.append(Refused("api.type", field.name, value=_shown(values[field.name]), allowed=_told(field)))
    Refused.raise_all(refused)


def _told(field: Field) -> Problem:
    if field.choices:
        return Problem("api.some_of" if field.kind == "list" else "api.one_of",
                       {"choices": [choice or '""' for choice in field.choices]})
    kind = Problem(_CALLED[field.kind])
    if field.least is not None and field.most is not None:
        kind = Problem("api.kind_within", {"kind": kind, "least": field.least, "most": field.most})
    return Problem("api.kind_or_null", {"kind": kind}) if field.nullable else kind


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
