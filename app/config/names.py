"""Names and notes: what people are called in any script, and nothing that hides or deceives."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from app.config.invalid import InvalidValue

NAME_LENGTH = 64
NOTE_LENGTH = 1000
#: Characters of a tag, and how many tags a user may have.
TAG_LENGTH, TAGS = 32, 20

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


def clean_tags(tags: Iterable[str]) -> list[str]:
    """The tags of a user as they are kept: each once, whatever the case; those that are empty are left out.
    Raises ValueError."""
    found: dict[str, str] = {}
    for text in tags:
        # Where one is typed, a comma ends it.
        tag = " ".join(_clean(text).replace(",", " ").replace(";", " ").split())
        if len(tag) > TAG_LENGTH:
            raise ValueError  # too long
        if tag:
            found.setdefault(fold(tag) or tag, tag)
    if len(found) > TAGS:
        raise ValueError  # too many
    return list(found.values())


#: Letters that no decomposition takes their stroke, and those of one sound that keyboards write differently.
_ALIKE = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ħ": "h", "Ħ": "H", "ı": "i",
                        "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "TH", "ð": "d", "Ð": "D",
                        "ي": "ی", "ى": "ی", "ك": "ک", "ة": "ه"})


#: Cyrillic and Greek letters, as fold() leaves them, that look like Latin ones, as capitals or as small letters.
_LOOKS = (str.maketrans("авеѕіјкмнорстухһԁԛԝ", "abesijkmhopctyxhdqw")
          | str.maketrans("αβεζηικμνορτυχ", "abezhikmnoptyx"))


@lru_cache(maxsize=16_384)
def fold(text: str) -> str:
    """What a search compares: without accents, joiners and the difference between upper and lower case; digits of any
    script are 0 to 9.

    Character by character, so that none depends on those beside it, as a Greek sigma would.
    fold(fold(x)) == fold(x).
    """
    found = []
    for character in unicodedata.normalize("NFKD", text).translate(_ALIKE):
        if unicodedata.category(character) not in _UNCOMPARED:
            digit = unicodedata.decimal(character, None)
            found.append(character.lower().upper().lower() if digit is None else str(digit))
    return "".join(found)


def looks(text: str) -> str:
    """What names have in common that are taken for one another: fold(), with the letters of one look as one letter."""
    return fold(text).translate(_LOOKS)


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
