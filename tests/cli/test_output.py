"""How things are laid out for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.output import WIDTH, cells, plain, shorten, table
from app.lib.units import size


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1536, "1.5 kB"), (1024**2, "1 MB"),
     (1024**3 * 312, "312 GB"), (1024**4 * 5000, "5000 TB"), (1023 * 1024, "1 MB")],
)
def test_sizes_read_as_people_write_them(count: int, text: str) -> None:
    assert size(count) == text


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert plain("a\x1b[31mb\nc\u202ed") == r"a\x1b[31mb\nc\u202ed"


def test_wide_letters_take_two_columns() -> None:
    assert cells("日本") == 4
    assert cells("e\u0301") == 1
    assert shorten("日本語", 4) == "日…"


@given(st.lists(st.lists(st.text(max_size=90), min_size=3, max_size=3), max_size=4))
def test_a_table_is_never_wider_than_a_terminal_unless_its_other_columns_are(rows: list[list[str]]) -> None:
    rows = [[name, *(cell[:12] for cell in rest)] for name, *rest in rows]
    lines = table(["NAME", "STATE", "PORT"], rows, right=(2,)).split("\n")
    others = max([sum(cells(plain(cell)) for cell in row[1:]) for row in rows], default=0)
    assert len(lines) == len(rows) + 1
    assert others + 20 > WIDTH or all(cells(line) <= WIDTH + 8 for line in lines)


def test_the_name_gives_way_in_a_table_that_is_too_wide() -> None:
    lines = table(["NAME", "STATE"], [["x" * 100, "running"]]).split("\n")
    assert lines[1].endswith("…  running") and len(lines[1]) == WIDTH


def test_letters_that_join_stay_as_they_are_and_take_no_column() -> None:
    """Persian names and emoji of several parts have them."""
    for name, columns in (("علی\u200cرضا", 6), ("👩\u200d🚀", 4), ("e\u0301\ufe0f", 1)):
        assert plain(name) == name and cells(name) == columns


def test_what_has_to_be_copied_gives_no_way() -> None:
    address = "2001:db8:1234:5678::/64"
    row = table(["ADDRESS", "REASON", "SINCE"], [[address, "wrong-key", "x" * 60]], gives=1).split("\n")[1]
    assert row.startswith(f"{address}  wrong-k…  x")
