"""The log of offenders: what a line is, how large it gets, and that nothing in it is a stranger's words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.bans.log import NAMES, OffendersLog
from app.bans.offences import REASONS, Offence, parse
from app.lib.place import place, shown

NOW = 1_795_874_400.0


def offences(count: int, start: int = 0) -> list[Offence]:
    return [Offence(NOW + n, f"203.0.113.{n % 250 + 1}", 443, REASONS[n % len(REASONS)]) for n in
            range(start, start + count)]


def lines(folder: Path) -> list[str]:
    return [line for name in NAMES for line in (folder / name).read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("written, read", [
    ("203.0.113.7", "203.0.113.7"), ("::ffff:203.0.113.7", "203.0.113.7"), ("[::ffff:cb00:7107]", "203.0.113.7"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("2001:DB8:1:2::9%eth0", "2001:db8:1:2::"), ("::1", "::")])
def test_an_address_has_one_form_however_it_is_written(written: str, read: str) -> None:
    assert place(written) == read == place(read)


def test_an_ipv6_place_is_shown_with_its_length() -> None:
    assert (shown("2001:db8::"), shown("203.0.113.7")) == ("2001:db8::/64", "203.0.113.7")


@pytest.mark.parametrize("odd", ["", "203.0.113.7 443", "1.2.3", "a\n203.0.113.9", "203.0.113.7/24", "Anna"])
def test_what_is_no_address_is_none(odd: str) -> None:
    with pytest.raises(ValueError):
        place(odd)


@pytest.mark.parametrize("reason", REASONS)
def test_a_line_is_read_as_it_was_written(reason: str) -> None:
    offence = Offence(NOW, place("2001:db8::5"), 2443, reason)
    assert offence.line == f"2026-11-28T14:00:00Z 2001:db8:: 2443 {reason}\n"
    assert parse(offence.line) == offence


@pytest.mark.parametrize("line", [
    "", "# comment", "2026-11-28T14:00:00Z 203.0.113.7 443 wrong-ke", "2026-11-28T14:00:00Z 203.0.113.7 443 other",
    "2026-11-28T14:00:00Z example.com 443 replay", "\0\0\0", "2026-11-28T14:00:00Z 203.0.113.7 443 replay more"])
def test_a_line_that_is_cut_off_or_none_of_ours_is_left_out(line: str) -> None:
    assert parse(line) is None


def test_the_files_are_the_panels_alone_and_never_empty(tmp_path: Path) -> None:
    log = OffendersLog(tmp_path)
    log.prepare()
    heads = {path.read_text() for path in log.paths}
    assert len(heads) == 2 and all(head.startswith("#") for head in heads), "fail2ban tells files apart by them"
    assert {path.stat().st_mode & 0o777 for path in log.paths} == {0o600}


def test_files_are_written_in_turn_and_no_line_is_lost_before_its_file_is_full_again(tmp_path: Path) -> None:
    log = OffendersLog(tmp_path, largest=3000)
    seen: set[str] = set()
    numbers = {}
    for start in range(0, 600, 10):
        batch = offences(10, start)
        log.append(batch)
        seen |= {each.line.strip() for each in batch}
        there = lines(tmp_path)
        assert {offence.line.strip() for offence in batch} <= set(there)
        assert len(there) == len(set(there))
        for path in log.paths:
            assert path.stat().st_size <= 3000
            numbers.setdefault(path.name, []).append(path.stat().st_ino)
    assert len(there) >= 3000 // 50 - 10, "the full one is still there beside the new one"
    assert len(set(numbers[NAMES[0]])) > 2, "a new file each time, not the old one emptied"


def test_what_is_read_is_what_was_written_in_its_order(tmp_path: Path) -> None:
    log = OffendersLog(tmp_path, largest=2000)
    for start in range(0, 60, 5):
        log.append(offences(5, start))
    read = list(log.read())
    assert read == offences(60)[-len(read):] and len(read) > 30


def test_a_line_that_a_full_disk_cut_off_swallows_no_other(tmp_path: Path) -> None:
    log = OffendersLog(tmp_path)
    log.append(offences(1))
    with open(log.paths[0], "a") as file:
        file.write("2026-11-28T14:00")
    log.append(offences(2)[1:])
    assert [*log.read()] == offences(2)


def test_two_that_write_at_once_lose_no_line(tmp_path: Path) -> None:
    children = []
    for number in range(3):
        child = os.fork()
        if not child:
            for start in range(20):
                OffendersLog(tmp_path).append(offences(1, number * 100 + start))
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert len(lines(tmp_path)) == 60


def test_reading_where_nothing_is_there_finds_nothing(tmp_path: Path) -> None:
    assert list(OffendersLog(tmp_path / "none").read()) == []
