"""Every form of the panel's pages, for tests that hold for all of them, and for those that will be there tomorrow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from flask import Flask

from tests.support.fleet import Fleet
from tests.web.html import Element, read
from tests.web.routes import every_page
from tests.web.visitor import Visitor


@dataclass
class Form:
    """page: where it stands; actions: where it, its buttons, and what is checked as it is left lead. sent: what a
    browser would send of it, untouched; kinds: name -> the kind of each field ("text", "select", …)."""

    page: str
    actions: list[str]
    sent: list[tuple[str, str]] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)


def of_page(path: str, page: str) -> list[Form]:
    """Every form of a page that is sent by POST."""
    elements = read(page)
    named = {e.attributes["id"]: e for e in elements if e.tag == "form" and "id" in e.attributes}
    forms: dict[int, Form] = {}
    around: Element | None = None
    select, had = "", False
    for e in elements:
        if e.tag == "form":
            around = e
            to = [e.attributes.get("action") or path] if e.attributes.get("method") == "post" else []
            forms[id(e)] = Form(path, to)
            continue
        owner = named.get(e.attributes["form"]) if "form" in e.attributes else around if "form" in e.inside else None
        if owner is None or id(owner) not in forms:
            continue
        form, name = forms[id(owner)], e.attributes.get("name", "")
        if form.actions:
            form.actions += [e.attributes[to] for to in ("formaction", "hx-post") if e.attributes.get(to)]
        if e.tag == "select":
            select, had = name, False
            form.kinds[name] = "select"
        elif e.tag == "option" and select and (not had or "selected" in e.attributes):
            form.sent = [pair for pair in form.sent if not had or pair[0] != select]
            form.sent.append((select, e.attributes.get("value", e.text.strip())))
            had = True
        elif name and e.tag in ("input", "textarea"):
            kind = "textarea" if e.tag == "textarea" else e.attributes.get("type", "text")
            kind = "hidden" if "hidden" in e.attributes else kind
            form.kinds.setdefault(name, kind)
            if kind not in ("checkbox", "radio") or "checked" in e.attributes:
                form.sent.append((name, e.text if e.tag == "textarea" else e.attributes.get("value", "")))
        elif name and e.tag == "button":
            form.kinds.setdefault(name, "button")
    return [form for form in forms.values() if form.actions]


def of_panel(admin: Visitor, panel: Flask, fleet: Fleet) -> Iterator[Form]:
    """Each form of every page, but for the one by which somebody leaves; of the same on many pages the first."""
    known = set()
    for path in every_page(panel, fleet):
        answer = admin.get(path)
        for form in of_page(path, answer.get_data(as_text=True)) if answer.mimetype == "text/html" else ():
            key = (form.actions[0], *form.kinds)
            if key not in known and form.actions[0] != "/logout":
                known.add(key)
                yield form
