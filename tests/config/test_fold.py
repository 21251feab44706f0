"""What a search compares: names as people remember them, however they are written."""

from __future__ import annotations

import itertools
import unicodedata

import pytest

from app.config.names import fold

#: Letters of many scripts, alone and beside each other.
SCRIPTS = (
    "AZÀÿĀſƀɏ", "ͰϿ", "ЀӿԀԯ", "Ա֏", "א״", "ءۿݐݿ", "ऀॿ", "ঀ৾", "กๆ", "Ⴀჿ", "ᄀᄒ", "Ḁỿ", "ἀῼ", "ⁿₜ",
    "ℂℶ", "Ⅰↈ", "あん", "アン", "ﬀﬗ", "ﭐﭑ", "！～", "𐐀𐐧", "😀😅")


@pytest.mark.parametrize(("name", "typed"), [
    ("Jürgen", "jurgen"), ("Strauß", "STRAUSS"), ("Łukasz", "lukasz"), ("Søren", "soren"), ("Ðorđe", "dorde"),
    ("Işıl", "isil"), ("İbrahim", "ibrahim"), ("Nguyễn", "nguyen"), ("علي", "علی"), ("كريم", "کریم"),
    ("علی\u200cرضا", "علیرضا"), ("ＡＢＣ", "abc"), ("Ёлка", "елка"), ("Mother ٢", "mother 2"), ("Æther", "aether")])
def test_a_name_is_found_as_it_is_typed_on_another_keyboard(name: str, typed: str) -> None:
    assert fold(typed) == fold(name)


def test_names_that_differ_stay_apart() -> None:
    assert len({fold(name) for name in ("Анна", "Anna", "Ana", "Hanna", "安娜")}) == 5


def test_what_is_folded_stays_as_it_is_and_no_letter_depends_on_those_beside_it() -> None:
    letters = [chr(code) for pair in (s[i:i + 2] for s in SCRIPTS for i in range(0, len(s) - 1, 2))
               for code in range(ord(pair[0]), ord(pair[1]) + 1) if unicodedata.category(chr(code)) != "Cn"]
    assert len(letters) > 1500
    assert [letter for letter in letters if fold(fold(letter)) != fold(letter)] == []
    pairs = list(itertools.pairwise(letter for letter in letters
                                    if unicodedata.normalize("NFKD", letter) == letter))
    assert [pair for pair in pairs if fold("".join(pair)) != "".join(map(fold, pair))] == []
