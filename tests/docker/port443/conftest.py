"""One stage for all tests of this folder: nginx, network, DC and an empty fleet, tidied up after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import lab443
from tests.support.cover import free_port
from tests.support.lab443 import Stage


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("port443")
    with lab443.stage(folder, image, panel_port=free_port()) as stage:
        yield stage


@pytest.fixture
def stage(house: Stage) -> Iterator[Stage]:
    yield house
    house.reset()
