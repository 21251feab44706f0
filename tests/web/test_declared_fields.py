"""The inputs that pages make of the schema: one for each kind, and what a browser sends is what is read."""

from __future__ import annotations

from typing import Annotated

import pytest
from flask import Flask, render_template_string
from playwright.sync_api import Browser
from pydantic import BaseModel, Field
from werkzeug.datastructures import MultiDict
from wtforms import Form

from app.config import schema
from app.config.schema import Typed
from app.web.forms import declared_input, written


class Odd(BaseModel):
    """A field of each kind."""

    quiet: Annotated[bool, Typed()] = Field(default=False, description="rule.flag")
    amount: Annotated[float, Typed(unit="GB")] = Field(default=0, description="rule.flag")
    number: Annotated[int, Typed(unit="days")] = Field(default=0, description="rule.flag")
    names: Annotated[list[str], Typed()] = Field(default_factory=list, description="rule.flag")
    word: Annotated[str, Typed()] = Field(default="", description="rule.flag")


SPECS = schema.fields(Odd)


class OddForm(Form):
    """The form of it."""


for each in SPECS.values():
    setattr(OddForm, each.key, declared_input(each, each.key.capitalize()))

PAGE = """{% from "_parts.html" import declared %}<form id="odd">
{% for spec in specs %}{{ declared(form[spec.key], spec, "Hint of " ~ spec.key) }}{% endfor %}</form>"""


@pytest.mark.parametrize("on", [True, False])
def test_what_a_browser_sends_of_each_kind_is_what_was_typed(panel: Flask, chromium: Browser, on: bool) -> None:
    with panel.test_request_context("/"):
        html = render_template_string(PAGE, form=OddForm(data={"quiet": not on}), specs=SPECS.values())
    page = chromium.new_page()
    try:
        page.set_content(html)
        page.get_by_role("switch", name="Quiet").set_checked(on)
        page.get_by_label("Amount in GB").fill("2.5")
        page.get_by_label("Number in days").fill("7")
        page.get_by_label("Names").fill("a\nb")
        page.get_by_label("Word").fill("x y")
        assert page.get_by_text("Hint of word").count() == 1
        sent = page.evaluate("[...new FormData(document.getElementById('odd'))]")
    finally:
        page.close()
    form = OddForm(MultiDict([(name, text) for name, text in sent]))
    typed = {key: written(spec, form[key].data) for key, spec in SPECS.items()}
    assert typed == {"quiet": "true" if on else "", "amount": "2.5", "number": "7", "names": "a\nb", "word": "x y"}
