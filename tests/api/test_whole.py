"""The API does everything that the panel does: an action stands behind an operation, or here with a reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.api import problems
from app.messages.catalogue import ENGLISH
from tests.support.documents import ROOT

APP = Path(__file__).parents[2] / "app"

_OWN = "the own account: a program proves neither a password nor a factor, and a lost token must not change them"
_PAGE = "of the panel's pages: a program is not led through them"
#: What is deliberately no operation, and why.
NOT_IN_THE_API = {
    "actions.admins.set_own_password": _OWN,
    "actions.admins.keep_first_password": _OWN,
    "actions.factors.prove": _OWN,
    "actions.factors.set_up": _OWN,
    "actions.factors.remove": _OWN,
    "actions.factors.renew_codes": _OWN,
    "actions.factors.begin_passkey": _OWN,
    "actions.factors.add_passkey": _OWN,
    "actions.factors.remove_passkey": _OWN,
    "actions.tokens.create_token": "no token makes another one: one that was lost would never end",
    "actions.first_run.end": _PAGE,
    "actions.backups.look": "brings back admins and tokens: for whoever can run commands on the server",
    "actions.backups.restore": "as backups.look",
    "actions.proxies.start_all": "POST /proxies/start, which does not wait for it (all_proxies)",
    "actions.proxies.stop_all": "POST /proxies/stop, in the same way",
    "actions.proxies.reconcile": "the panel does it after each change, and every ten seconds",
    "actions.proxies.stop_everything": "for the uninstaller: the next pass would start them again",
    "actions.renewal.renew": "POST /proxies/renew, which does not wait for it (Renewal)",
    "actions.many.check": "part of POST /bulk",
    "actions.many.undo": "POST /bulk/{job_id}/undo, which does not wait for it (Many)",
    "actions.many.add_many": "POST /bulk/users, in the same way",
    "actions.mtproxy.add_secret": "POST /users with the engine mtproxy, and `link` for a secret that is there",
}


def actions() -> Iterator[str]:
    """Every function, and method of a class, that takes an actor: "actions.users.rotate", "actions.many.Many.begin"."""
    for file in (*sorted((APP / "actions").glob("*.py")), *sorted((APP / "notify").glob("*.py"))):
        module = f"{file.parent.name}.{file.stem}"
        for each in ast.parse(file.read_text()).body:
            if isinstance(each, ast.FunctionDef) and takes_actor(each):
                yield f"{module}.{each.name}"
            elif isinstance(each, ast.ClassDef):
                yield from (f"{module}.{each.name}.{inner.name}" for inner in each.body
                            if isinstance(inner, ast.FunctionDef) and takes_actor(inner))


def takes_actor(function: ast.FunctionDef) -> bool:
    return not function.name.startswith("_") and any(
        argument.annotation is not None and ast.unparse(argument.annotation) == "Actor"
        for argument in (*function.args.args, *function.args.kwonlyargs))


def called_by_the_api() -> set[str]:
    """What its files name: functions, and methods of the classes that they name."""
    called: set[str] = set()
    for file in (APP / "api").glob("*.py"):
        tree, names = ast.parse(file.read_text()), {}
        for each in ast.walk(tree):
            if isinstance(each, ast.ImportFrom) and each.module:
                names |= {alias.asname or alias.name: f"{each.module}.{alias.name}".removeprefix("app.")
                          for alias in each.names}
        attributes = [each for each in ast.walk(tree) if isinstance(each, ast.Attribute)]
        direct = {names[each.value.id] + "." + each.attr for each in attributes
                  if isinstance(each.value, ast.Name) and each.value.id in names}
        bare = {names[each.id] for each in ast.walk(tree) if isinstance(each, ast.Name) and each.id in names}
        called |= direct | bare | {f"{found}.{each.attr}" for found in bare for each in attributes
                                   if found.rpartition(".")[2][0].isupper()}
    return called


def test_every_action_is_an_operation_or_has_a_reason_why_it_is_none():
    called, known = called_by_the_api(), set(actions())
    assert len(known) > 60
    missing = known - called
    assert missing - NOT_IN_THE_API.keys() == set(), "no operation of the API does this: add one, or say here why not"
    assert NOT_IN_THE_API.keys() - missing == set(), "this is in the API by now, or is no action any more"


#: Where what a program has to act upon is raised: the rest is about one field, and its code is that of the subject.
RAISED = ("api/*.py", "accounts/tokens.py", "accounts/actor.py", "rules/seen.py", "ledger/idempotency.py",
          "control/errors.py", "messages/refused.py")
RAISES = {"Bad", "Refused", "nothing", "NoToken", "WrongToken", "NotAllowed", "Outdated", "KeyInUse", "Unfinished",
          "TooMany", "__init__"}
#: Raised there, and not by the API: tokens are made elsewhere, and a form is no request of a program.
ELSEWHERE = {"token.unknown", "token.many", "token.exists", "token.no_scope", "token.days", "token.more_than_admin",
             "form.stale", "login.busy"}


def raised() -> set[str]:
    """Every code that is raised in those places, by its name."""
    found = {problem.code for problem in problems.OF_NGINX.values()} | set(problems._OF_HTTP.values()) | {
        "api.failed", "api.refused"}
    for pattern in RAISED:
        for file in APP.glob(pattern):
            for call in ast.walk(ast.parse(file.read_text())):
                if isinstance(call, ast.Call) and call.args and ast.unparse(call.func).rpartition(".")[2] in RAISES:
                    found |= constants(call.args[0])
    for file in (APP / "api").glob("*.py"):
        found |= {code for code in constants(ast.parse(file.read_text())) if code.startswith("api.unknown_")}
    return {code for code in found if code in ENGLISH.templates} - ELSEWHERE


def constants(tree: ast.AST) -> set[str]:
    return {each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


@pytest.mark.parametrize("page", ["docs/api.md", "docs/ru/api.md"])
def test_the_codes_that_programs_act_upon_are_documented(page):
    text = (ROOT / page).read_text()
    documented = set(re.findall(r"^\| `([a-z_0-9]+(?:\.[a-z_0-9]+)?)` \|", text, re.MULTILINE))
    assert documented == raised()


def test_every_code_can_be_asked_for(reader):
    told = {each["code"]: each["text"] for each in reader.get("/codes").json}
    assert told == ENGLISH.templates and told["api.no_plan"] == "there is no plan with the id {ref!r}"
