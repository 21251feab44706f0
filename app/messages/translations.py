"""Languages other than English: what is told to people, by its English text, from app/messages/locale."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache
from pathlib import Path

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from app.lib.problem import Language
from app.messages.catalogue import ENGLISH
from app.messages.dates import written
from app.messages.isolated import isolated

#: The languages of the panel, by their codes, each under its own name.
LANGUAGES = {"en": "English", "ru": "Русский"}

LOCALE = Path(__file__).parent / "locale"


@cache
def translations(code: str) -> NullTranslations:
    """The texts of a language, such as "ru"; those of English, or of one that is not there, are the originals.

    The .po files are read as they are, once per process (0.2 s for 1,200 texts): nothing has to be compiled before.
    """
    found: NullTranslations = NullTranslations()
    # What is no code of a language is a path to nowhere.
    for path in sorted((LOCALE / code / "LC_MESSAGES").glob("*.po")) if code.isalpha() else ():
        with path.open("rb") as file:
            compiled = io.BytesIO()
            write_mo(compiled, read_po(file, locale=code))
        compiled.seek(0)
        read = Translations(compiled)
        found = found.merge(read) if isinstance(found, Translations) else read
    return found


@cache
def _separators(code: str) -> dict[int, str]:
    symbols = Locale.parse(code).number_symbols["latn"]
    return {ord(","): symbols["group"], ord("."): symbols["decimal"]}


def as_here(number: str, code: str) -> str:
    """A number that is written as in English, "1,234.5", as it is written in this language: "1 234,5"."""
    return number.translate(_separators(code))


@cache
def language(code: str) -> Language:
    """The sentences of every code in a language; where a translation is missing, in English."""
    said = translations(code)
    if not isinstance(said, Translations):
        return ENGLISH
    return Language(
        templates={key: said.gettext(text) for key, text in ENGLISH.templates.items()},
        # A fraction ("1.5 GB") has the form of a few.
        plural=lambda number: int(said.plural(int(number))) if number == int(number) else 1,
        number=lambda text: as_here(text, code),
        last={key: said.gettext(word) for key, word in ENGLISH.last.items()},
    )


@cache
def for_people(code: str) -> Language:
    """The same as pages, letters and chats say it: no name moves the words beside it, and dates are written out."""
    locale = Locale.parse(code)
    return replace(language(code), value=isolated, date=lambda iso, kind: written(iso, kind, locale))
