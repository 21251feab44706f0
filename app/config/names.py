"""Names and notes: what people are called in any script, and nothing that hides or deceives."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from app.config.invalid import InvalidValue

NAME_LENGTH = 64
NOTE_LENGTH = 1000

#: ZWNJ and ZWJ: Persian and Indian names need them inside, and joined emoji.
_JOINERS = "\u200c\u200d"
#: Invisible marks that come along when text is copied; without them the name is the same.
_DROPPED = dict.fromkeys(map(ord, "\u00ad\u061c\u180e\u200b\u200e\u200f\u2060\ufeff"))
#: Embeddings, overrides and isolates: they turn round what stands after them, on every page.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: Accents, vowel signs and invisible marks: what a search does not look at.
_UNCOMPARED = ("Mn", "Mc", "Me", "Cf")
#: Letters that are drawn as nothing.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def clean_name(text: str) -> str:
    """The name of a user or an admin, new or typed to be found, in its one spelling (NFC).

    Joiners stay between two characters and are left out elsewhere, all kinds of spaces become one.
    Raises InvalidValue; clean_name(clean_name(x)) == clean_name(x).
    """
    name = _clean(text)
    name = " ".join(name.split())
    # Of what Python's tables do not know yet, newest emoji are the likely part.
    if all(unicodedata.category(c)[0] in "MZ" or unicodedata.category(c) == "Cf" or c in _BLANK for c in name):
        raise InvalidValue("name.missing", most=NAME_LENGTH)
    if len(name) > NAME_LENGTH:
        raise InvalidValue("name.long", count=len(name), most=NAME_LENGTH)
    return name


def clean_note(text: str) -> str:
    """A note as it is kept: line ends and tabs are allowed too. Raises InvalidValue."""
    note = _clean(text.replace("\r\n", "\n"), note=True).strip()
    if len(note) > NOTE_LENGTH:
        raise InvalidValue("note.long", count=len(note), most=NOTE_LENGTH)
    return note


@lru_cache(maxsize=16_384)
def fold(text: str) -> str:
    """What a search compares: without accents, joiners and the difference between upper and lower case.

    Character by character, so that none depends on those beside it, as a Greek sigma would; panel.js does the same.
    fold(fold(x)) == fold(x).
    """
    return "".join(character.lower().upper().lower() for character in unicodedata.normalize("NFKD", text)
                   if unicodedata.category(character) not in _UNCOMPARED)


def _clean(text: str, note: bool = False) -> str:
    for character in text:
        category = unicodedata.category(character)
        if note and character in "\n\t":
            continue
        if category in ("Cc", "Zl", "Zp"):
            raise InvalidValue("note.control" if note else "name.control", character=character)
        if character in _BIDI:
            raise InvalidValue("note.direction" if note else "name.direction", character=character)
        if category == "Cs":
            raise InvalidValue("note.half" if note else "name.half", character=character)
    text = text.translate(_DROPPED)
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in unicodedata.normalize("NFC", text))
    return unicodedata.normalize("NFC", _joined(text))


def _joined(text: str) -> str:
    """Joiners only where they join: between two characters, and one at a time."""
    kept: list[str] = []
    for index, character in enumerate(text):
        if character in _JOINERS:
            after = text[index + 1 : index + 2]
            if not kept or kept[-1].isspace() or kept[-1] in _JOINERS or not after or after.isspace() \
                    or after in _JOINERS:
                continue
        kept.append(character)
    return "".join(kept)
