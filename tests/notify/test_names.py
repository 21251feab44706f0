"""Names written from right to left, and marks that turn text round, move no word beside them in a letter or a chat."""

from __future__ import annotations

import string
import unicodedata
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ledger.letters import Letter
from app.messages import Problem
from app.messages.english.notifications import TEMPLATES
from app.messages.translations import LANGUAGES
from app.notify.words import message
from tests.notify.test_bot import answers, listener
from tests.support.fleet import Fleet
from tests.support.sinks import BotApi

__all__ = ["listener"]

REZA = "علی‌رضا"
NAMES = st.text("علی‌רשab 12(-.<\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", min_size=1, max_size=12)
TELLS = sorted(code for code in TEMPLATES if code.startswith(("notice.", "digest.", "bot.", "notify.")))


def outside(text: str) -> str:
    """What stands in no isolate. Each line is a paragraph, at whose end all isolates end (UAX #9, X8)."""
    found, depth = "", 0
    for letter in text:
        if letter in "\u2066\u2067\u2068":
            depth += 1
        elif letter == "\u2069":
            assert depth, f"an isolate ends that has not begun: {text!r}"
            depth -= 1
        elif letter == "\n":
            depth = 0
        elif not depth:
            found += letter
    return found


def moves(text: str) -> bool:
    return any(unicodedata.bidirectional(letter) in ("R", "AL", "AN", "RLE", "RLO", "LRE", "LRO", "PDF")
               for letter in text)


def filled(code: str, name: str) -> Problem:
    """This message with the name in every place for a text."""
    params: dict[str, object] = {}
    for _, key, spec, _ in string.Formatter().parse(TEMPLATES[code]):
        if key:
            params[key] = ("2026-12-01T00:00:00+00:00" if spec in ("moment", "day", "end")
                           else 5 if spec and (set(spec) & set("|,%") or spec[-1] in "gf")
                           else [name, name] if spec and spec != "bare" else name)
    return Problem(code, params)


@pytest.mark.parametrize("code", TELLS)
@settings(max_examples=15)
@given(name=NAMES)
def test_a_name_in_a_letter_moves_nothing(code: str, name: str) -> None:
    for language in LANGUAGES:
        told = message([Letter("box", "expired", filled(code, name), 0.0)], language, name, 0.0, UTC)
        assert not moves(outside(told.title)) and not moves(outside(told.text)), (told.title, told.text)


def test_one_in_a_list_and_in_a_reason_stands_by_itself() -> None:
    reason = Problem("notify.recipients", {"host": "mail.example", "names": [REZA, "Anna"]})
    told = message([Letter("box", "proxy_down", Problem("notice.proxy_down", {"name": REZA, "reason": reason}), 0.0)],
                   "en", "proxy.example", 0.0, UTC).text
    assert f"\u2068{REZA}\u2069: the proxy does not work" in told and f"\u2068{REZA}\u2069, Anna" in told


def test_what_the_bot_says_of_somebody(fleet: Fleet, api: BotApi, listener: object) -> None:
    fleet.add_user(REZA, limit_gb="5")
    for said in answers(listener, api, f"/find {REZA}", f"/disable {REZA}", f"/find {REZA}x"):
        assert "رضا" in said and not moves(outside(said)), said
