"""A field that people may change is declared once: the schema tells form, commands and views of it."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from app.config import schema
from app.config.invalid import InvalidValue
from app.config.model import SETTINGS, Config, User
from app.config.schema import Typed
from app.config.values import Whole
from app.messages.english.fields import FIELDS


class Guest(User):
    """A user with fields that no program knows of."""

    max_devices: Annotated[Whole, Field(ge=0, le=1000), Typed("devices", "devices", "limits")] = Field(
        default=0, description="rule.flag")
    weight: Annotated[float | None, Typed(group="limits")] = Field(default=1.5, description="rule.flag")
    quiet: Annotated[bool, Typed(group="details")] = Field(default=False, description="rule.flag")
    colour: Annotated[Literal["", "red", "blue"], Typed(group="details")] = Field(default="", description="rule.flag")


GUEST = schema.fields(Guest)


def test_a_new_field_is_in_the_schema_with_its_kind_and_unit_and_option() -> None:
    spec = GUEST["devices"]
    assert (spec.attribute, spec.kind, spec.unit, spec.group, spec.option) == (
        "max_devices", "whole", "devices", "limits", "--devices")
    assert [GUEST[key].kind for key in ("weight", "quiet", "colour")] == ["number", "switch", "choice"]
    assert GUEST["colour"].choices == ("", "red", "blue")


@pytest.mark.parametrize(("key", "typed", "value"), [
    ("devices", "3", 3), ("devices", "", 0), ("weight", "none", None), ("weight", "2.25", 2.25), ("weight", "", 1.5),
    ("quiet", "true", True), ("quiet", "", False), ("colour", "red", "red")])
def test_what_is_typed_is_read_and_written_back_the_same(key: str, typed: str, value: object) -> None:
    spec = GUEST[key]
    assert spec.read(typed) == value
    assert spec.read(spec.write(value)) == value


@pytest.mark.parametrize(("key", "typed"), [
    ("devices", "1001"), ("devices", "-1"), ("devices", "none"), ("devices", "many"), ("weight", "nan?"),
    ("quiet", "perhaps"), ("colour", "green"), ("devices", "9" * 5000)])
def test_what_is_not_allowed_is_refused_with_what_is(key: str, typed: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        GUEST[key].read(typed)
    assert (refusal.value.code, refusal.value.params["rule"].code) == ("config.value", "rule.flag")
    assert len(str(refusal.value)) < 200


def test_every_field_of_a_user_that_can_be_changed_has_words_and_the_other_way_round() -> None:
    named = {code.removeprefix("user.") for code in FIELDS if code.startswith("user.")}
    assert named - {"link"} == set(schema.fields(User))
    assert {code.removeprefix("setting.") for code in FIELDS if code.startswith("setting.")} <= set(SETTINGS)


def test_every_default_is_written_as_it_is_read() -> None:
    for model in (Config, User):
        for spec in schema.fields(model).values():
            if not spec.info.is_required():
                default = spec.info.get_default(call_default_factory=True)
                assert spec.read(spec.write(default)) == default, spec.key
