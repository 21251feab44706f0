"""The panel over a fleet in memory, and programs with tokens of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from app import create_app
from app.accounts.actor import CLI
from app.actions import admins, tokens
from app.engines.builtin import Builtin
from tests.api.program import PASSWORD, Program
from tests.support import templates
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime

templates.share()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Ada is an owner, Olga an operator, Viktor a viewer. Alice is a user."""
    fleet = Fleet(tmp_path / "data", MemoryRuntime(), Builtin())
    for name, role in (("Ada", "owner"), ("Olga", "operator"), ("Viktor", "viewer")):
        admins.create_admin(fleet, CLI, name, PASSWORD, role)
    fleet.set_settings({"server_domain": "proxy.example"})
    fleet.add_user("Alice")
    return fleet


@pytest.fixture
def panel(fleet: Fleet) -> Flask:
    panel = create_app(fleet)
    panel.testing = False
    return panel


@pytest.fixture
def program(panel: Flask, fleet: Fleet) -> Callable[..., Program]:
    """A program with a new token; without a scope, one that has none."""
    def made(scope: str = "admin", admin: str = "Ada", days: int = 0) -> Program:
        text = tokens.create_token(fleet, CLI, f"{scope} {len(fleet.config().api_tokens)}", scope, days, admin)[1] \
            if scope else ""
        return Program(panel, text)
    return made


@pytest.fixture
def ada(program: Callable[..., Program]) -> Program:
    """Ada's, for everything."""
    return program()


@pytest.fixture
def reader(program: Callable[..., Program]) -> Program:
    """Ada's, for looking."""
    return program("read")


@pytest.fixture
def alice(fleet: Fleet) -> str:
    """Alice's id."""
    return fleet.users()[0].id
