"""Every text that is told to people, as the catalogues of other languages know it, and where it stands.

    python -m tests.support.texts      adds what is missing to every catalogue, and takes out what is said no more

Added texts have no translation yet: tests/messages/test_translations.py says which.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment, nodes
from jinja2.ext import babel_extract

from app.messages import ENGLISH
from app.messages.english.fields import FIELDS
from app.messages.translations import LANGUAGES, LOCALE

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "app/web"
TEMPLATES = WEB / "templates"
KEYWORDS = {"gettext": None, "_": None, "lazy_gettext": None, "ngettext": (1, 2)}

#: Catalogue -> its comment. The page of a user is in more languages than the panel.
FILES = {"share": "the page of a user (/s/TOKEN).", "messages": "what app/messages/english says.",
         "panel": "the pages of the panel."}
HANDLERS = sorted(path for folder in (WEB, WEB / "pages", WEB / "share") for path in folder.glob("*.py"))

USERS_PAGE = ("app/web/templates/share/page.html", "app/web/share/page.py")
ENVIRONMENT = Environment(extensions=["jinja2.ext.i18n"])

#: A text, or its singular and plural.
Text = str | tuple[str, str]


def of_the_users_page() -> Iterator[tuple[Text, str]]:
    """(text, where) of the page of a user."""
    return ((text, where) for text, where in of_pages() if where.startswith(USERS_PAGE))


def of_pages() -> Iterator[tuple[Text, str]]:
    """(text, where) of every text that is marked in templates and handlers."""
    for path in sorted(TEMPLATES.rglob("*.html")):
        with path.open("rb") as file:
            for line, how, text, _ in babel_extract(file, tuple(KEYWORDS), (), {"trimmed": "true", "silent": "false"}):
                yield _text(how, text), f"{path.relative_to(ROOT)}:{line}"
    for path in HANDLERS:
        with path.open("rb") as file:
            for line, how, text, _ in extract_python(file, tuple(KEYWORDS), (), {}):
                yield _text(how, text), f"{path.relative_to(ROOT)}:{line}"


def of_messages() -> Iterator[tuple[Text, str]]:
    """(text, code) of every sentence of a problem, and of the words of fields."""
    for code, text in ENGLISH.templates.items():
        yield text, code
    for word in ENGLISH.last.values():
        yield word, "last"
    for code, words in FIELDS.items():
        for text in filter(None, (words.label, words.hint)):
            yield text, code


def texts() -> dict[str, dict[Text, list[str]]]:
    """The texts of each catalogue, and where they stand. What two say stands in the first."""
    found: dict[str, dict[Text, list[str]]] = {name: {} for name in FILES}
    for name, several in zip(FILES, (of_the_users_page(), of_messages(), of_pages())):
        for text, where in several:
            known = next((known for known in FILES if text in found[known]), name)
            if text:
                found[known].setdefault(text, []).append(where)
    return found


def files(code: str) -> tuple[str, ...]:
    """The catalogues that a language has to have."""
    return tuple(FILES) if code in LANGUAGES else ("share",)


def catalogue(code: str, name: str) -> Catalog:
    """One of a language's files; an empty one if it is not there."""
    path = LOCALE / code / "LC_MESSAGES" / f"{name}.po"
    return read_po(io.BytesIO(path.read_bytes()) if path.exists() else io.BytesIO(), locale=code)


def save(code: str, name: str, found: dict[Text, list[str]], said: dict[Text, object]) -> None:
    """Writes a file: the texts that there are, with the translations that are known."""
    new = Catalog(locale=code, header_comment=f"# {code}: {FILES[name]}", charset="utf-8", fuzzy=False)
    for text in found:
        new.add(text, said.get(text) or ("" if isinstance(text, str) else ("",) * new.num_plurals))
    path = LOCALE / code / "LC_MESSAGES" / f"{name}.po"
    path.parent.mkdir(parents=True, exist_ok=True)
    out = io.BytesIO()
    write_po(out, new, width=120, omit_header=False)
    # Neither dates nor versions of tools: two branches that add texts would both change them.
    kept = [line for line in out.getvalue().decode().splitlines()
            if not line.startswith(('"POT-Creation', '"PO-Revision', '"Generated-By', '"Project-Id', '"Report-Msgid',
                                    '"Last-Translator', '"Language-Team'))]
    path.write_text("\n".join(kept) + "\n")


#: Attributes that people read or hear.
TOLD = ("title", "aria-label", "placeholder", "alt", "data-label", "data-busy-label", "content")
_WORD = re.compile(r"[^\W\d_]{2}")
_HOLE = "\x00"


class _Page(HTMLParser):
    def __init__(self, told: list[str]):
        super().__init__()
        self.told = told

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in TOLD and value and tag != "meta":
                self.told.append(value)

    def handle_data(self, data: str) -> None:
        self.told.append(data)


def unmarked(source: str) -> list[str]:
    """What a template says that is not marked: words between and in elements, and words in its expressions."""
    written, found, depth = "", [], 0
    tokens = list(ENVIRONMENT.lex(source))
    for position, (_, kind, value) in enumerate(tokens):
        begins = tokens[position - 1][1] in ("whitespace", "block_begin")
        if kind == "name" and value in ("trans", "endtrans") and begins:
            depth += 1 if value == "trans" else -1
        if kind == "data" and not depth:
            written += value
        elif kind in ("variable_begin", "block_begin"):
            written += _HOLE
    page = _Page(told := [])
    page.feed(written)
    page.close()
    found += [text.replace(_HOLE, "{}").strip() for text in told if _WORD.search(text.replace(_HOLE, " "))]
    tree = ENVIRONMENT.parse(source)
    marked = {id(const) for call in tree.find_all(nodes.Call)
              if isinstance(call.node, nodes.Name) and call.node.name in KEYWORDS
              for const in (*call.find_all(nodes.Const), *call.find_all(nodes.TemplateData))}
    found += [const.value for const in tree.find_all(nodes.Const) if isinstance(const.value, str)
              and id(const) not in marked and re.match(r"\W*[A-Z][a-z]+\b", const.value)]
    return found


def _text(how: str | None, text: object) -> Text:
    """What stands in a call; "" where it is no literal."""
    parts = [text] if isinstance(text, str) else [part for part in text or () if part is not None]
    if how == "ngettext" and len(parts) > 1:
        return parts[0], parts[1]
    return parts[0] if parts else ""


def main() -> None:
    """Brings every catalogue up to date."""
    found = texts()
    for folder in sorted(LOCALE.iterdir()):
        said = {message.id: message.string for name in FILES for message in catalogue(folder.name, name) if message.id}
        for name in files(folder.name):
            save(folder.name, name, found[name], said)
            missing = sum(not said.get(text) for text in found[name])
            print(f"{folder.name}/{name}: {len(found[name])} texts, {missing} without a translation")


if __name__ == "__main__":
    main()
