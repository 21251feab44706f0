"""A refusal repeats what was typed, but never hundreds of characters of it."""

from __future__ import annotations

import pytest

from app.config import schema
from app.config.model import User
from app.messages.refused import Refused
from tests.support.fleet import Fleet

FIELDS = sorted(set(schema.fields(User)) - {"name", "note", "secret", "tags", "port"})


@pytest.mark.parametrize("typed", ["9" * 400, "x" * 400, "-1" * 200, "9" * 300 + ",5", "😀" * 400])
def test_no_refusal_of_a_field_repeats_more_than_a_line_of_it(fleet: Fleet, typed: str) -> None:
    for key in FIELDS:
        with pytest.raises(Refused) as refused:
            fleet.add_user("Bob", **{key: typed})
        assert typed[:120] not in str(refused.value), (key, str(refused.value)[:300])


def test_a_short_one_is_repeated_whole(fleet: Fleet) -> None:
    with pytest.raises(Refused, match="'-7'"):
        fleet.add_user("Bob", limit_gb="-7")
