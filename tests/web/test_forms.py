"""Whatever is typed into whatever form: no fault of the panel's, nothing lost or half saved, and a refusal keeps it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config.model import load
from tests.support.fleet import Fleet
from tests.web import forms
from tests.web.forms import Form
from tests.web.html import read, text
from tests.web.test_fuzz_routes import VALUES
from tests.web.visitor import Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ODD = (*VALUES, "\u2066x", "1,500", "\x85", "\u2028")
#: Bytes that a browser sends, most of them text; lone surrogates and what is no UTF-8 among them.
TYPED = st.one_of(
    st.sampled_from(ODD).map(lambda typed: typed.encode("utf-8", "surrogatepass")),
    st.sampled_from((b"\xed\xa0\x80", b"\xff\xfe", b"a\xc3")), st.text(max_size=30).map(str.encode),
    st.tuples(st.sampled_from("a1 🧑\u202e\n"), st.sampled_from((65, 1000, 20_000, 100_000))).map(
        lambda pair: (pair[0] * pair[1]).encode()))
#: What becomes of a field: another text, left out, or there twice.
CHANGES = st.one_of(TYPED.map(lambda typed: [typed]), st.just([]), st.tuples(TYPED, TYPED).map(list))
#: A text that a page gives back as it is typed, but for the spaces around it.
KEPT = ("text", "textarea", "search", "email", "url", "number", "date")


@pytest.fixture(autouse=True)
def people(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whether names lead here is asked of the network, and is another matter.
    monkeypatch.setattr("app.actions.settings.check_domains", lambda *_: [])
    monkeypatch.setattr("app.config.passwords.hash_password", lambda password: "scrypt:1:1:1$x$" + "0" * 128)
    fleet.add_plan("Family", limit_gb="5")
    fleet.add_user("Bob", note="kept", plan="Family")
    fleet.add_user("Alice")


def test_every_form_takes_whatever_is_typed(
        panel: Flask, fleet: Fleet, admin: Visitor, caplog: pytest.LogCaptureFixture, declaration: Path) -> None:
    every = list(forms.of_panel(admin, panel, fleet))
    assert len(every) > 30
    assert {"/users/new", "/plans/new", "/settings/general", "/admins"} <= {form.actions[0] for form in every}
    before = declaration.read_bytes()
    for form in every:
        _try(form, admin, caplog, declaration, before)


def _try(form: Form, admin: Visitor, caplog: pytest.LogCaptureFixture, declaration: Path, before: bytes) -> None:
    names = sorted(form.kinds.keys() - {"csrf_token"})
    if not names:
        return

    @settings(max_examples=8 + len(names), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
              database=None)
    @given(st.sampled_from(form.actions), st.dictionaries(st.sampled_from(names), CHANGES, min_size=1, max_size=4))
    def every_input(action: str, changed: dict[str, list[bytes]]) -> None:
        declaration.write_bytes(before)
        if admin.get("/users/new").status_code != 200:
            admin.login()
        caplog.clear()
        pairs = [(name, value.encode()) for name, value in form.sent if name not in (*changed, "csrf_token")]
        pairs += [(name, typed) for name, several in changed.items() for typed in several]
        pairs.append(("csrf_token", admin.token("/users/new").encode()))
        body = "&".join(f"{name}={quote_from_bytes(value)}" for name, value in pairs)
        answer = admin.client.post(action, data=body, content_type="application/x-www-form-urlencoded")
        page = answer.get_data(as_text=True) if answer.mimetype.startswith("text/") else ""
        assert answer.status_code < 500, text(page)[:300]
        assert "Traceback" not in page and not [r for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR]
        load(json.loads(declaration.read_text()))
        if 400 <= answer.status_code < 500:
            assert declaration.read_bytes() == before, "refused, and yet something was saved"
        if answer.status_code == 422 and "<html" in page:
            for name, several in changed.items():
                if several and form.kinds[name] in KEPT:
                    assert_kept(page, name, several[0])

    every_input()


def assert_kept(page: str, name: str, typed: bytes) -> None:
    """The field of this name holds what was typed, where the page has it; of what is no UTF-8, the bytes as %C3."""
    found = [e for e in read(page) if e.attributes.get("name") == name and e.tag in ("input", "textarea")]
    wanted = "".join(typed.decode(errors="werkzeug.url_quote").split())
    held = ["".join((e.text if e.tag == "textarea" else e.attributes.get("value", "")).split()) for e in found]
    assert not found or wanted in held, (name, wanted[:60], [each[:60] for each in held])
