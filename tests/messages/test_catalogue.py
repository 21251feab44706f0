"""Every code has a sentence with its values, every sentence is said somewhere, and nothing below the pages and the
commands says one by itself."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from app.control.outcome import FAILED
from app.lib.problem import TEXT, Coded, params_of
from app.messages import ENGLISH

APP = Path(app.__file__).parent
FILES = sorted(path for path in APP.rglob("*.py") if APP / "messages" not in path.parents
               and path.name != "english.py")
TREES = {path.relative_to(APP).as_posix(): ast.parse(path.read_text()) for path in FILES}

#: A word of a sentence, between spaces.
WORD = re.compile(r"[\"'(]*[A-Za-z]?[a-z]+(?:'[a-z]+)?[\"').,:;?!]*")

#: What is called with these goes to a log, to SQLite or to a regular expression.
UNTOLD = re.compile(r"^log\.|^re\.|\.(execute|executescript|query|best_effort|_do_beside)$")

#: What these hold is no message: the pages of the cover site, SQL, and what the engine writes into its own log only.
NO_MESSAGES = ("edge/nginx/cover.py", "ledger/migrations.py", "mtproto/faketls.py", "mtproto/obfuscated2.py",
               "mtproto/records.py", "engines/telemt/lines.py", "engines/mtg/visits.py")

#: Texts that begin so are commands, files of other programs, or their words, by which something is known.
OF_OTHERS = {
    "certificates/certbot.py": ("--profile ssl up -d", "An unexpected error occurred:", " Ask for help",
                                "cannot issue|", "NameResolutionError|"),
    "commands.py": ("docker compose ",),
    "config/passwords.py": ("password passwort ",),
    "edge/nginx/render.py": ("# ",),
    "edge/nginx/timing.py": ("Timing of this installation",),
    "runtimes/docker/doorkeeper.py": ("nft ", "meta nfproto ", "set waiting ", "type filter ", "tcp ", "ct ", "reject ",
                                      "counter name ", "add @waiting ", "if nsenter "),
    "runtimes/docker/shaper.py": ("tc ", "ip link ", "if ip link ", "root tbf ", "{} {} u32 "),
}


def coded() -> set[str]:
    """The names of all that takes a code and params."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, rest = {"Problem"}, [Coded]
    while rest:
        rest += (one := rest.pop()).__subclasses__()
        found.add(one.__name__)
    return found


def codes(node: ast.expr) -> list[str]:
    """The codes that an expression may have."""
    if isinstance(node, ast.IfExp):
        return codes(node.body) + codes(node.orelse)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def params(call: ast.Call) -> set[str] | None:
    """The params that a call gives; None where they are not written there."""
    if ast.unparse(call.func).split(".")[-1] != "Problem":
        named = {keyword.arg for keyword in call.keywords}
        return None if None in named else named
    given = call.args[1] if len(call.args) > 1 else ast.Dict([], [])
    if not isinstance(given, ast.Dict) or None in given.keys:
        return None
    return {key.value for key in given.keys}


def calls() -> Iterator[tuple[str, ast.Call]]:
    names = coded()
    for name, tree in TREES.items():
        if name.startswith("builtin/"):  # its Refused is another
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).split(".")[-1] in names:
                yield f"{name}:{node.lineno}", node


def test_every_code_has_a_sentence_with_exactly_its_values():
    found = [(where, code, params(call)) for where, call in calls() for arg in call.args[:2] for code in codes(arg)
             if "." in code and " " not in code]
    assert len(found) > 50
    unknown = [(where, code) for where, code, _ in found if code not in ENGLISH.templates]
    assert not unknown, unknown
    other = [(where, code, given, wanted) for where, code, given in found
             if given is not None and given != (wanted := params_of(ENGLISH.templates[code]))]
    assert not other, other


def test_every_sentence_is_said_somewhere():
    said = {node.value for tree in TREES.values() for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    said |= {TEXT, "login.throttled", "login.busy"}
    said |= {"event.may", "event.may_not", "event.speed"}  # in the audit logs of older installations
    assert not ENGLISH.templates.keys() - said, sorted(ENGLISH.templates.keys() - said)


def test_what_the_audit_log_is_told_is_a_code():
    told = {(where, code) for where, call in recorded() for code in codes(call.args[1])}
    assert len(told) > 25
    unknown = sorted((where, code) for where, code in told if code not in ENGLISH.templates)
    assert not unknown, unknown
    assert set(FAILED.values()) <= ENGLISH.templates.keys()


def recorded() -> Iterator[tuple[str, ast.Call]]:
    """Every call that adds to the audit log; and those that name the action in a call of their own."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("events.record"):
                yield f"{name}:{node.lineno}", node


def silent(tree: ast.Module) -> set[int]:
    """The ids of literals that nobody is told: docstrings, the log's, SQL, what is looked for in others' words."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and UNTOLD.search(ast.unparse(node.func)):
            found |= {id(each) for each in ast.walk(node)}
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In):
            found |= {id(each) for each in ast.walk(node.left)}
        elif isinstance(node, ast.JoinedStr):
            found |= {id(each) for each in ast.walk(node)} - {id(node)}
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(id(node.value))
    return found


def literal(node: ast.AST) -> str:
    """A text as it is written, values left out; "" for what is none."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_sentence(text: str) -> bool:
    """Three words or more, and mostly words: no path, no pattern."""
    words = text.split()
    return sum(bool(WORD.fullmatch(word)) for word in words) >= max(3, len(words) / 2)


def test_a_sentence_is_known_by_its_words():
    assert is_sentence("nobody listens there") and is_sentence("port {} can't be had: {}") and is_sentence(
        "(by hand, or by the kernel)")
    assert not any(map(is_sentence, ("user.unknown", "", "a name", "%Y-%m-%d %H:%M", r"^(?P<said>.*) in \S+ x$",
                                     "SELECT name FROM users WHERE id = ?", "--cert-name {} -p 1 a")))


@pytest.mark.parametrize("room", sorted({name.partition("/")[0].removesuffix(".py") for name in TREES}
                                        - {"web", "api", "cli", "builtin"}))
def test_below_the_pages_and_commands_nothing_is_a_sentence(room):
    """Neither what is raised nor what is returned: what people read is in the catalogue."""
    found = []
    for name, tree in TREES.items():
        if name.split("/")[0].removesuffix(".py") != room or name in NO_MESSAGES:
            continue
        untold, allowed = silent(tree), OF_OTHERS.get(name, ())
        found += [f"{name}:{node.lineno}: {text}" for node in ast.walk(tree) if id(node) not in untold
                  and is_sentence(text := literal(node)) and not text.startswith(tuple(allowed))]
    assert not found, "\n".join(found)


def test_every_exception_is_needed():
    for name in NO_MESSAGES:
        assert any(is_sentence(literal(node)) for node in ast.walk(TREES[name])), name
    for name, texts in OF_OTHERS.items():
        written = [literal(node) for node in ast.walk(TREES[name])]
        assert not [text for text in texts if not any(each.startswith(text) for each in written)], name
