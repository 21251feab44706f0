"""A user and a declaration to serve."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.config.model import Config, User
from app.mtproto.secret import Secret
from app.runtimes.base import Place

PLACE = Place("127.0.0.1:2443", "127.64.9.139:3129")


@pytest.fixture
def place() -> Place:
    return PLACE


@pytest.fixture
def user() -> Callable[..., User]:
    """Call it for a user: user(secret=…, name=…, port=…)."""

    def make(**changes: object) -> User:
        values = {"id": "a1b2c3d4", "name": "Alice", "port": 2443,
                  "secret": Secret.generate("www.example.com").hex}
        return User(**{**values, **changes})

    return make


@pytest.fixture
def config() -> Config:
    return Config()
