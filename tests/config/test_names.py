"""What people are called, in every script - and nothing that hides, deceives or breaks a page."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config import schema
from app.config.invalid import InvalidValue
from app.config.model import User
from app.config.names import clean_tags, fold
from app.config.values import NAME_LENGTH, clean_name, clean_note

#: Every category, half surrogates too; the default alphabet leaves those out.
CHARACTERS = st.one_of([st.characters(categories=[category]) for category in (
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
    "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn")])
REFUSED = {"Cc", "Cs", "Zl", "Zp"}
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(st.text(CHARACTERS, max_size=NAME_LENGTH + 5))
@settings(max_examples=600, deadline=None)
def test_any_text_is_a_name_in_its_one_spelling_or_refused_in_words(text):
    try:
        name = clean_name(text)
    except ValueError as refused:
        assert str(refused).isprintable()
        return
    assert not any(unicodedata.category(c) in REFUSED or c in BIDI for c in name)
    assert clean_name(name) == name == unicodedata.normalize("NFC", name) == name.strip()
    assert 1 <= len(name) <= NAME_LENGTH and name.encode()


@given(st.characters(), st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=5))
@settings(max_examples=600, deadline=None)
def test_a_name_is_refused_for_one_character_only_if_that_hides_or_deceives(character, letters):
    bad = unicodedata.category(character) in REFUSED or character in BIDI
    if not bad:
        assert clean_name(f"a{letters}{character}{letters}")
    else:
        with pytest.raises(ValueError, match="control character|direction|half a character"):
            clean_name(f"a{letters}{character}{letters}")


@pytest.mark.parametrize("name", ["علی\u200cرضا", "👨\u200d👩\u200d👧",
                                  "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
                                  "क्\u200dष", "Łukasz", "O'Brien", "李雷", "Γιώργος", "❤️", "Bob (home) #2", "★"])
def test_names_that_people_have_are_kept_as_they_are(name):
    assert clean_name(name) == name


@pytest.mark.parametrize("typed, name", [
    ("  Anna\u00a0 Maria ", "Anna Maria"), ("Rene\u0301", "René"), ("\ufeffBob\u200e", "Bob"),
    ("\u200dBob\u200c", "Bob"), ("a\u200c\u200cb", "a\u200cb"), ("a \u200db", "a b"), ("co\u00adop", "coop")])
def test_a_name_gets_one_spelling(typed, name):
    assert clean_name(typed) == name


@pytest.mark.parametrize("text", ["", "  ", "\u200d", "\u3164", "\u0301", "\u2800\u115f", "a\nb", "a\tb", "a\x00b",
                                  "\u202eBob", "Bob\u2066", "a\u2028b", "\ud83d", "x" * 65])
def test_what_is_no_name_is_refused(text):
    with pytest.raises(ValueError):
        clean_name(text)


def test_a_note_may_have_lines_and_nothing_that_deceives():
    assert clean_note(" first\r\nsecond\tRene\u0301 ") == "first\nsecond\tRené"
    for bad in ("a\x1bb", "a\u202eb", "\udcff", "x" * 1001):
        with pytest.raises(ValueError):
            clean_note(bad)


@pytest.mark.parametrize(("typed", "called"), [
    ("ΓΙΏΡΓΟΣ", "Γιώργος"), ("γιωργος", "Γιώργος"), ("γιωργοσ", "Γιώργος"), ("strauss", "Strauß"), ("STRAUẞ", "Strauß"),
    ("jurgen", "Jürgen"), ("istanbul", "İstanbul"), ("ışık", "IŞIK"), ("علیرضا", "علی\u200cرضا"), ("дарим", "ДАРИ́М"),
    ("rene", "Rene\u0301"), ("ｆｕｌｌ", "full"), ("ﬁona", "Fiona")])
def test_a_search_finds_a_name_however_it_is_typed(typed, called):
    assert fold(typed) == fold(called) != ""


@given(st.text(CHARACTERS, max_size=40), st.text(CHARACTERS, max_size=5))
@settings(max_examples=600, deadline=None)
def test_what_is_compared_stays_the_same_and_hangs_on_nothing_beside_it(text, more):
    folded = fold(text)
    assert fold(folded) == folded
    assert folded in fold(text + more) or unicodedata.normalize("NFKD", text + more) != (
        unicodedata.normalize("NFKD", text) + unicodedata.normalize("NFKD", more))


def test_tags_are_kept_once_each_as_they_were_first_typed():
    assert clean_tags(["Family", " family ", "", "work  late", "é", "e\u0301"]) == ["Family", "work late", "é"]


@given(st.lists(st.text(CHARACTERS, max_size=40), max_size=25))
@settings(max_examples=300, deadline=None)
def test_any_tags_are_read_back_as_they_are_written_or_refused(tags):
    spec = schema.fields(User)["tags"]
    try:
        kept = clean_tags(tags)
    except ValueError:
        return
    assert clean_tags(kept) == kept == spec.read(spec.write(kept))
    assert len(kept) <= 20 and all(0 < len(tag) <= 32 for tag in kept)


@pytest.mark.parametrize("typed", ["x" * 33, ",".join(map(str, range(21))), "a\x00b", "a\u202eb"])
def test_tags_that_are_too_long_too_many_or_hide_something_are_refused(typed):
    with pytest.raises(InvalidValue):
        schema.fields(User)["tags"].read(typed)
