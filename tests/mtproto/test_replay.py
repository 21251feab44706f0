"""A recorded handshake is not accepted again: not later, not after a restart, not with its time moved."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.builtin import replay
from app.builtin.replay import ReplayMemory
from app.builtin.settings import parse_settings
from app.engines.mtg.config_file import REPLAYS
from app.mtproto.faketls import RANDOM_AT
from app.mtproto.faketls_client import client_hello
from tests.mtproto.parts import (
    SECRET,
    CoverHost,
    Engine,
    connect,
    inverted,
    read_exactly,
    running,
    shake_hands,
    without_name,
)

StartCover = Callable[..., CoverHost]
MB = 1 << 20


def moved(hello: bytes, seconds: int, sent_at: float) -> bytes:
    """The hello as whoever recorded it can show it: with another time, for which no key is needed."""
    changed = bytearray(hello)
    for index, byte in enumerate(struct.pack("<I", int(sent_at) ^ int(sent_at + seconds))):
        changed[RANDOM_AT + 28 + index] ^= byte
    return bytes(changed)


def is_turned_away(proxy: Engine, hello: bytes) -> bool:
    """Whether the mirroring cover host gets it."""
    with connect(proxy) as sock:
        sock.sendall(hello)
        return read_exactly(sock, len(hello)) == inverted(hello)


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_after_a_restart_a_recorded_hello_is_still_a_replay_whatever_its_time(
    end: str, cover_host: StartCover, tmp_path: Path
) -> None:
    port, sent_at = cover_host().port, time.time() - 10
    hello = client_hello(SECRET, sent_at)
    with running(Engine(tmp_path / "engine", cover_port=port)) as proxy:
        shake_hands(proxy, hello).close()
        getattr(proxy.process, end)()
        proxy.process.wait()
    with running(Engine(tmp_path / "engine", cover_port=port)) as proxy:
        assert is_turned_away(proxy, hello) and is_turned_away(proxy, moved(hello, 10, sent_at))
        assert proxy.metric("mtg_replay_attacks") == 2
        shake_hands(proxy).close()
    assert stat.S_IMODE((tmp_path / "engine" / REPLAYS[0]).stat().st_mode) == 0o600
    assert {path.name for path in (tmp_path / "engine").glob("replays*")} <= set(REPLAYS)


@pytest.mark.parametrize("refused", ["wrong clock", "no SNI", "other SNI"])
def test_a_hello_that_was_refused_can_not_be_mended_by_whoever_recorded_it(
    refused: str, cover_host: StartCover, tmp_path: Path
) -> None:
    sent_at = time.time() - 3600 * (refused == "wrong clock")
    hello = client_hello(SECRET.with_domain("else.example.com") if refused == "other SNI" else SECRET, sent_at)
    if refused == "no SNI":
        hello = without_name(hello, SECRET, sent_at)
    with running(Engine(tmp_path / "engine", cover_port=cover_host().port)) as proxy:
        assert is_turned_away(proxy, hello)
        assert is_turned_away(proxy, moved(hello, 3600, sent_at))
        assert proxy.metric("mtg_replay_attacks") == 1
        assert proxy.metric("mtg_domain_fronting") == 1, "only the replay is a probe"
        counted = {
            "wrong clock": proxy.metric("builtin_wrong_clock"),
            "no SNI": proxy.metric("builtin_wrong_name", sni="missing"),
            "other SNI": proxy.metric("builtin_wrong_name", sni="other"),
        }
        assert counted == {kind: kind == refused for kind in counted}
        if refused == "wrong clock":
            assert abs(proxy.metric("builtin_clock_behind_seconds") - 3600) < 60


def test_two_engines_at_once_share_what_they_have_seen(tmp_path: Path) -> None:
    old, new = (ReplayMemory(tmp_path / "marks", MB) for _ in range(2))
    for number in range(200):
        first, second = (old, new) if number % 2 else (new, old)
        assert not first.seen_before(b"%d" % number)
        assert second.seen_before(b"%d" % number)
    old.close()
    assert all(new.seen_before(b"%d" % number) for number in range(200))


def test_the_newest_are_remembered_within_the_bounds_given_also_by_two_at_once(tmp_path: Path) -> None:
    size = 64 * 2000
    memories = [ReplayMemory(tmp_path / "marks", size) for _ in range(2)]
    for number in range(10_000):
        assert not memories[number % 2].seen_before(b"%d" % number)
    with sqlite3.connect(tmp_path / "marks") as db:
        kept = sum(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("recent", "older"))
    assert 2000 <= kept <= 4 * 2000 + 2, "twice what one keeps, as each counts its own"
    assert all(memories[0].seen_before(b"%d" % number) for number in range(8000, 10_000))
    assert not memories[1].seen_before(b"0")
    for memory in memories:
        memory.close()
    assert (tmp_path / "marks").stat().st_size < 4 * size


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "noise":
        path.write_bytes(random.Random(1).randbytes(20_000))
    elif how == "torn":
        path.write_bytes(whole[: len(whole) // 2 + 100])
    elif how == "holes":
        path.write_bytes(whole[:100] + bytes(len(whole) - 100))
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["noise", "torn", "holes", "empty", "missing"])
@pytest.mark.parametrize("while_it_runs", [False, True])
def test_a_damaged_file_is_begun_anew_and_remembers_from_then_on(
    how: str, while_it_runs: bool, tmp_path: Path
) -> None:
    path = tmp_path / "marks"
    memory = ReplayMemory(path, MB)
    for number in range(3000):
        memory.seen_before(b"%d" % number)
    if not while_it_runs:
        memory.close()
        damage(path, how)
        memory = ReplayMemory(path, MB)
    else:
        memory._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        memory._db.execute("PRAGMA cache_size = 0")
        damage(path, how)
    for number in range(5000, 8000):
        memory.seen_before(b"%d" % number)
    assert all(memory.seen_before(b"%d" % number) for number in range(6000, 8000))
    memory.close()
    if not while_it_runs:
        again = ReplayMemory(path, MB)
        assert all(again.seen_before(b"%d" % number) for number in range(5000, 8000))
        again.close()


def test_a_full_disk_turns_no_client_away_and_what_was_seen_is_written_later(tmp_path: Path) -> None:
    memory = ReplayMemory(tmp_path / "marks", MB)
    pages = memory._db.execute("PRAGMA page_count").fetchone()[0]
    memory._db.execute(f"PRAGMA max_page_count = {pages}")
    assert not any(memory.seen_before(b"%d" % number) for number in range(2000))
    assert memory._unwritten and all(memory.seen_before(b"%d" % number) for number in range(2000))
    memory.tend()
    memory._db.execute("PRAGMA max_page_count = 100000")
    while memory._unwritten:
        memory.tend()
    memory.close()
    again = ReplayMemory(tmp_path / "marks", MB)
    assert all(again.seen_before(b"%d" % number) for number in range(2000))


def test_a_file_that_can_not_be_used_is_told_and_used_as_soon_as_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "marks"
    path.mkdir()
    memory = ReplayMemory(path, MB)
    assert not memory.seen_before(b"one") and memory.seen_before(b"one")
    memory.tend()
    path.rmdir()
    memory.tend()
    memory.close()
    again = ReplayMemory(path, MB)
    assert again.seen_before(b"one") and not again.seen_before(b"two")


def test_a_file_that_may_only_be_read_still_turns_replays_away(tmp_path: Path) -> None:
    memory = ReplayMemory(tmp_path / "marks", MB)
    assert not memory.seen_before(b"one")
    memory._db.execute("PRAGMA query_only = ON")  # root may write to any file
    assert memory.seen_before(b"one") and not memory.seen_before(b"two") and memory.seen_before(b"two")


def test_marks_in_memory_are_bounded_while_the_file_can_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_MOST_UNWRITTEN", 100)
    memory = ReplayMemory(tmp_path, MB)  # a folder
    assert not any(memory.seen_before(os.urandom(8)) for _ in range(1000))
    assert len(memory._unwritten) == 100


def test_a_month_of_a_handshake_every_five_seconds_is_remembered_by_default() -> None:
    settings = parse_settings(f"secret = '{SECRET.hex}'\nbind-to = '127.0.0.1:4000'")
    assert settings.anti_replay_bytes // replay._MARK_BYTES // 2 >= 30 * 86400 / 5
