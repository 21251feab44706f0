"""Every text of the panel is marked and has a translation, with the same values; and no catalogue holds another."""

from __future__ import annotations

import ast
import re
import string

import pytest
from babel.messages.plurals import get_plural

from app.lib.problem import params_of
from app.messages import ENGLISH, Problem
from app.messages.translations import LANGUAGES, LOCALE, language, translations
from tests.messages.test_catalogue import UNTOLD, is_sentence
from tests.support.texts import HANDLERS, TEMPLATES, Text, catalogue, files, texts, unmarked

#: Every catalogue that has to be complete.
CATALOGUES = [(folder.name, name) for folder in sorted(LOCALE.iterdir()) for name in files(folder.name)]
#: The languages of the panel.
WHOLE = sorted(set(LANGUAGES) - {"en"})

#: What templates hold that is the same in every language: commands, names of programs.
ALLOWED = re.compile(r"^(\{\}|\W|\d)*(settings (list|set \w+=)|restore|reset-password --username|Traefik|nginx)?"
                     r"(\{\}|\W|\d)*$")
#: A tag that holds an expression, or a block in an attribute, which the check takes for text.
NO_TEXT = re.compile(r"^<|^\{\} (selected|open)\{\}>|class=|mx-auto")


@pytest.fixture(scope="module")
def found() -> dict[str, dict[Text, list[str]]]:
    return texts()


@pytest.mark.parametrize(("code", "name"), CATALOGUES)
def test_every_text_is_translated_and_none_is_left_over(
        code: str, name: str, found: dict[str, dict[Text, list[str]]]) -> None:
    """python -m tests.support.texts adds the missing ones and takes out those that are left over."""
    said = {_key(message.id): message.string for message in catalogue(code, name) if message.id}
    missing = [(text, where[0]) for text, where in found[name].items()
               if not said.get(text) or not all([said[text]] if isinstance(text, str) else said[text])]
    assert not missing
    assert not said.keys() - found[name].keys()


@pytest.mark.parametrize(("code", "name"), CATALOGUES)
def test_a_translation_has_the_values_of_the_text(code: str, name: str) -> None:
    values = params_of if name == "messages" else _values
    for message in catalogue(code, name):
        one = message.id if isinstance(message.id, str) else message.id[-1]
        for said in [message.string] if isinstance(message.string, str) else message.string:
            if message.id:
                assert _signs(said) == _signs(one), (one, said)
                assert values(said) == values(one), (one, said)


@pytest.mark.parametrize("code", WHOLE)
def test_a_sentence_has_as_many_forms_as_the_language(code: str) -> None:
    forms = get_plural(code).num_plurals
    for template in language(code).templates.values():
        for _, name, spec, _ in string.Formatter().parse(template):
            assert "|" not in (spec or "") or len(spec.split("|")) == forms, (template, name)


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_no_text_of_a_template_is_unmarked(path) -> None:
    assert not [text for text in unmarked(path.read_text()) if not ALLOWED.match(text) and not NO_TEXT.search(text)]


def test_no_text_is_marked_where_it_is_not_found() -> None:
    """Inside of an f-string; or what is no literal."""
    for path in HANDLERS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                assert "gettext(" not in ast.unparse(node), f"{path.name}:{node.lineno}"


def test_no_sentence_of_a_handler_is_unmarked() -> None:
    left = []
    for path in HANDLERS:
        tree = ast.parse(path.read_text())
        told: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (ast.unparse(node.func) in ("gettext", "lazy_gettext", "ngettext", "_")
                                               or UNTOLD.search(ast.unparse(node.func))):
                told |= {id(each) for each in ast.walk(node)}
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                told.add(id(node.value))
        left += [f"{path.name}:{node.lineno}: {node.value}" for node in ast.walk(tree)
                 if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
                 and is_sentence(node.value) and not node.value.startswith("noindex")]
    assert not left, left


def test_a_problem_inside_another_is_in_the_same_language() -> None:
    inner = Problem("dns.none", {"name": "proxy.example"})
    told = language("ru").sentence(Problem("of_users", {"names": ["Анна", "Bob"], "reason": inner}))
    assert told == "Анна, Bob: у proxy.example нет адреса в DNS"


def test_a_language_that_is_not_there_is_english() -> None:
    assert language("xx") is ENGLISH and language("en") is ENGLISH
    assert translations("../../../etc").gettext("Log in") == "Log in"


def _key(text: str | tuple[str, ...] | list[str]) -> Text:
    return text if isinstance(text, str) else (text[0], text[1])


def _values(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)[sd]", text))


def _signs(text: str) -> list[str]:
    """What has to be the same: commands, tags, settings that the page calls by their labels."""
    return sorted(re.findall(r"<[^>]+>|`[^`]+`|--\w+|\{@[^}]+\}", text))
