"""The rooms of app/, as docs/architecture.md draws them: an import leads to the same room or to one further down."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: From above to below. Of two rooms on one floor of the map, the one that uses the other stands first.
ORDER = ("cli", "api", "web", "notify", "actions", "control", "accounts", "host", "certificates", "edge", "checks",
         "engines", "rules", "runtimes", "bans", "ledger", "config", "messages", "builtin", "mtproto", "commands",
         "lib")

#: The program that serves users is sent to machines without a panel: these know nothing of it.
ONLY = {"builtin": {"builtin", "mtproto", "lib"}, "mtproto": {"mtproto", "lib"}, "lib": {"lib"}}

#: Package -> the only places that may import it.
KEPT_TO = {"flask": ("app", "app.api", "app.web"), "flask_wtf": ("app.web",), "wtforms": ("app.web",),
           "flask_babel": ("app.web",), "babel": ("app.messages", "app.web"), "click": ("app.cli",),
           "waitress": ("app.cli",), "docker": ("app.runtimes.docker", "app.control.choice")}


def _modules() -> dict[str, Path]:
    files = [path for path in (ROOT / "app").rglob("*.py") if "node_modules" not in path.parts]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def _imports() -> set[tuple[str, str]]:
    """(module of app/, what it imports) - inside functions and for type checkers, too."""
    modules, found = _modules(), set()
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {(name, one.name) for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.module and not node.level, f"{name} imports by a relative path"
                inner = [f"{node.module}.{one.name}" for one in node.names]
                found |= {(name, one if one in modules else node.module) for one in inner}
    return found


IMPORTS = _imports()
INSIDE = {(who, what) for who, what in IMPORTS if what.partition(".")[0] == "app"}
BETWEEN = {(who, what) for who, what in INSIDE if who != "app" and who.split(".")[1] != what.split(".")[1]}


def test_every_room_is_on_the_map():
    assert {name.split(".")[1] for name in _modules() if name != "app"} <= set(ORDER)


def test_arrows_between_rooms_point_down():
    upward = {(who, what) for who, what in BETWEEN
              if ORDER.index(who.split(".")[1]) > ORDER.index(what.split(".")[1])}
    assert upward == set(), "an import that leads up: what both need belongs in a room below"


@pytest.mark.parametrize("room", ONLY)
def test_a_room_that_must_stand_alone_imports_nothing_else_of_the_panel(room):
    assert {(who, what) for who, what in INSIDE
            if who.split(".")[1:2] == [room] and what.split(".")[1] not in ONLY[room]} == set()


@pytest.mark.parametrize("package", KEPT_TO)
def test_a_package_is_imported_only_where_it_belongs(package):
    users = {who for who, what in IMPORTS if what.partition(".")[0] == package}
    assert users, "nobody imports it: take it off the list"
    assert {who for who in users
            if not any(who == place or (place != "app" and who.startswith(f"{place}.")) for place in KEPT_TO[package])
            } == set()


@pytest.mark.parametrize("room, foreign", [
    ("engines", ("app.runtimes.docker", "app.runtimes.process")), ("runtimes", ("app.engines", "app.builtin"))])
def test_engines_know_no_docker_and_runtimes_no_engine(room, foreign):
    assert {(who, what) for who, what in INSIDE if who.startswith(f"app.{room}.") and what.startswith(foreign)} == set()


def test_what_runs_before_any_package_is_there_imports_the_standard_library_only():
    """As install.sh does, with the system's Python: isolated, and without the folders of installed packages."""
    names = [name for name in _modules() if name.startswith("app.lib") or name == "app.cli.instance"]
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {', '.join(sorted(names))}"
    done = subprocess.run(["/usr/bin/python3", "-I", "-S", "-B", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert {what for who, what in IMPORTS if who.startswith("app.lib")
            and what.partition(".")[0] not in {*sys.stdlib_module_names, "app"}} == set()
