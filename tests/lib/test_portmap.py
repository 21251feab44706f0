"""The table of ports: no file says a number of its own, and those that can't read the table say the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from app.lib import portmap

ROOT = Path(__file__).resolve().parents[2]
PORTS = {name: value for name, value in vars(portmap).items() if name.isupper()}


def numbers(path: Path) -> set[int]:
    return {int(number) for number in re.findall(r"(?<![\d.])\d{4}(?![\d.])", path.read_text())}


def test_each_port_is_there_once():
    assert len(set(PORTS.values())) == len(PORTS)


def said(path: Path) -> list[object]:
    """Constants of a module with one of the ports, but for docstrings and sentences, which may have examples."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return [value for value in constants if not (isinstance(value, str) and " " in value)
            and any(re.search(rf"(?<![\w.]){port}(?![\w.])", str(value)) for port in PORTS.values())]


def test_no_other_code_says_one_of_them():
    modules = [path for path in (ROOT / "app").rglob("*.py") if "node_modules" not in path.parts]
    assert {path.name: found for path in modules if path.name != "portmap.py" and (found := said(path))} == {}


def test_nginx_templates_take_them_from_the_table():
    assert {(path.name, number) for path in (ROOT / "nginx/templates").iterdir()
            for number in numbers(path) & set(PORTS.values())} == set()


@pytest.mark.parametrize("file, names", [
    ("nginx/nginx.conf", {"PANEL", "NGINX_HEALTH"}),
    ("docker-compose.yml", {"PANEL", "NGINX_HEALTH"}),
    ("docker-compose.traefik.yml", {"PANEL", "NGINX_HEALTH", "ROUTER", "ROUTER_API"}),
    ("Dockerfile", {"PANEL"}),
    ("Dockerfile.mtg", {"METRICS"}),
    ("host/lib/questions.sh", {"PANEL", "FIRST_PROXY"}),
    ("install.sh", {"PANEL"})])
def test_what_can_not_read_the_table_says_the_same(file, names):
    assert {PORTS[name] for name in names} <= numbers(ROOT / file)
