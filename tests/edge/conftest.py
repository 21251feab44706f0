"""What the tests of nginx and of Traefik share."""

from __future__ import annotations

import pytest

from tests.support.edge_lab import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
