"""Every code has a sentence with its values, every sentence is said somewhere, and nothing below the pages and the
commands says one by itself."""

from __future__ import annotations

import ast
import importlib
import pkgutil
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

#: The engine is a program of its own, with a log of its own, in English as mtg's and nginx's.
PROGRAMS = ("builtin", "mtproto")
#: Raises sentences still: the probe's answers, and what never leaves its module.
NOT_CONVERTED = ("control",)
#: What it raises is only logged.
LOGGED = ("runtimes/scrape.py",)


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
    found = [(where, code, params(call)) for where, call in calls() for code in codes(call.args[0])
             if " " not in code]
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


def is_sentence(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return is_sentence(node.left) or is_sentence(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)
                                               and " " in node.value)


@pytest.mark.parametrize("room", sorted({name.partition("/")[0].removesuffix(".py") for name in TREES}
                                        - {"web", "cli", *PROGRAMS, *NOT_CONVERTED}))
def test_below_the_pages_and_commands_nothing_raises_a_sentence(room):
    raised = [f"{name}:{node.lineno}" for name, tree in TREES.items()
              if name.split("/")[0].removesuffix(".py") == room and name not in LOGGED
              for node in ast.walk(tree)
              if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
              and any(map(is_sentence, node.exc.args))]
    assert not raised, raised
