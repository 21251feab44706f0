"""`traffic …`, and the keys of users and settings that belong to it."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path

import click
import pytest

from app.cli.traffic import beginning
from app.ledger.ledger import Ledger
from app.ledger.refusals import Count, Refused
from app.ledger.traffic import Reading

NOW = datetime(2027, 3, 10, 12).timestamp()


def moved(data: Path, user: dict, down: int, at: float | None = None) -> None:
    """The user's engine had counted so much, as the monitor would have noted it."""
    Ledger(data).traffic.account([Reading(user["id"], "a link", "1", down, down // 10, 3, 0)], at)


@pytest.fixture
def alice(run, data: Path) -> dict:
    return run("user", "add", "Alice", "--limit-gb", "1", "--at-limit", "block", "--disabled",
               "--json").json()


def test_totals_are_told_for_one_and_for_all(run, data: Path, alice: dict) -> None:
    run("user", "add", "Bob", "--disabled")
    moved(data, alice, 5 * 1024 ** 2)
    one = run("traffic", "Alice", "--json").json()
    assert (one["name"], one["probes"]) == ("Alice", 3)
    assert one["bytes_down"] == one["period_down"] == 5 << 20
    everybody = run("traffic", "--json").json()
    assert [(u["name"], u["bytes_down"]) for u in everybody] == [("Alice", 5 << 20), ("Bob", 0)]
    assert run("--json", "traffic", "show", alice["id"]).json() == one
    assert run("traffic", "--json", "Alice").json() == one
    table = run("traffic").stdout
    assert "NAME" in table and "5 MB" in table and "Bob" in table and max(map(len, table.splitlines())) <= 80
    assert "5 MB / 512 kB" in run("traffic", "Alice").stdout


def test_tries_with_the_right_key_are_told_or_said_not_to_be_known(run, data: Path, alice: dict) -> None:
    moved(data, alice, 5)
    assert run("traffic", "Alice", "--json").json()["wrong_clock"] is None
    assert "not known (the built-in engine alone counts them)" in run("traffic", "Alice").stdout
    Ledger(data).refusals.account([Count(alice["id"], "a link", "1", Refused(7, 600, 2))], time.time())
    told = run("traffic", "Alice", "--json").json()
    assert (told["wrong_clock"], told["no_sni"], told["other_sni"]) == (7, 2, 0)
    said = " ".join(run("traffic", "Alice").stdout.split())
    assert "7 for the time, 2 without a domain, 0 for another domain" in said
    assert "Alice: 7 attempts with the right key" in " ".join(run("status").stdout.split())


def test_since_tells_what_was_moved_since_then_point_by_point(run, data: Path, alice: dict) -> None:
    now = time.time()
    moved(data, alice, 100, now - 40 * 86400)
    moved(data, alice, 300, now - 7200)
    recent = run("traffic", "Alice", "--since", "24h", "--json").json()
    assert (recent["bytes_down"], recent["bytes_up"], recent["step"]) == (200, 20, 3600)
    assert [(p["down"], p["up"]) for p in recent["points"]] == [(200, 20)]
    assert run("traffic", "Alice", "--since", "60d", "--json").json()["bytes_down"] == 300
    (everybody,) = run("traffic", "--since", "24h", "--json").json()
    assert (everybody["name"], everybody["bytes_down"]) == ("Alice", 200)
    assert "200 B" in run("traffic", "--since", "24h").stdout
    text = run("traffic", "Alice", "--since", "60d").stdout
    assert "FROM" in text and "100 B" in text
    assert "Alice" in run("traffic", "Alice", "--since", "1m").stdout


def test_a_reset_counts_from_zero_and_keeps_the_total(run, data: Path, alice: dict) -> None:
    moved(data, alice, 5000)
    user = run("traffic", "reset", "Alice", "--json").json()
    assert (user["bytes_down"], user["period_down"]) == (5000, 0)
    moved(data, alice, 5001)
    assert run("traffic", "Alice", "--json").json()["period_down"] == 1
    assert [u["period_down"] for u in run("traffic", "reset", "--all", "--json").json()] == [0]
    assert "counts from zero" in run("traffic", "reset", "Alice").stdout


@pytest.mark.parametrize("words", [("reset",), ("reset", "Alice", "--all"), ("Alice", "--since", "yesterday"),
                                   ("--since", "31.01.2027")])
def test_bad_usage_is_told_and_resets_nobody(run, data: Path, alice: dict, words: tuple[str, ...]) -> None:
    moved(data, alice, 5000)
    answer = run("traffic", *words)
    assert answer.code == 2 and answer.stderr
    assert run("traffic", "Alice", "--json").json()["period_down"] == 5000


@pytest.mark.parametrize("words", [("Nobody",), ("reset", "Nobody")])
def test_nobodys_traffic_is_refused(run, alice: dict, words: tuple[str, ...]) -> None:
    assert "no user 'Nobody'" in run("traffic", *words).refused()


def test_the_keys_of_limits_are_set_and_cleared(run, data: Path, alice: dict) -> None:
    assert (alice["at_limit"], alice["own_at_limit"]) == ("block", "block")
    user = run("user", "set", "Alice", "limit_gb=none", "speed_mbps=none", "at_limit=",
               "reset_cycle=weekly sun", "expires_after_days=30", "--json").json()
    assert (user["own_limit_gb"], user["limit_gb"], user["own_speed_mbps"]) == (None, 0, None)
    assert (user["at_limit"], user["reset_cycle"]) == ("throttle", "weekly sunday")
    assert user["expires_after_days"] == 30
    shown = run("user", "show", "Alice").stdout
    assert "30 days after the first use" in shown and "weekly sunday" in shown
    (declared,) = json.loads((data / "config.json").read_text())["users"]
    assert declared["traffic_limit_gb"] is None
    added = run("user", "add", "Bob", "--reset-cycle", "monthly 31", "--expires-after-days", "7",
                "--limit-gb", "none", "--disabled", "--json").json()
    assert (added["reset_cycle"], added["own_limit_gb"]) == ("monthly 31", None)
    assert added["expires_after_days"] == 7


@pytest.mark.parametrize("pair", ["at_limit=kill", "reset_cycle=often", "expires_after_days=1.5",
                                  "expires_after_days=99999", "limit_gb=nothing"])
def test_a_bad_value_is_refused_with_what_is_allowed(run, data: Path, alice: dict, pair: str) -> None:
    before = (data / "config.json").read_bytes()
    message = run("user", "set", "Alice", pair).refused()
    assert pair.partition("=")[2] in message
    assert (data / "config.json").read_bytes() == before


def test_settings_of_traffic_are_set_as_they_are_written(run) -> None:
    pairs = {"traffic_limit_gb": "2.5", "at_limit": "block", "reset_cycle": "monthly 15",
             "monitor_seconds": "5"}
    run("settings", "set", *(f"{key}={value}" for key, value in pairs.items()))
    for key, value in pairs.items():
        assert run("settings", "get", key).stdout == value + "\n"
    assert run("settings", "set", "traffic_limit_gb=none", "--json").json() == {"traffic_limit_gb": 0}
    assert "never, daily" in run("settings", "set", "reset_cycle=hourly").refused()


@pytest.mark.parametrize("text, expected", [
    ("90m", NOW - 5400), ("24h", NOW - 86400), ("30d", NOW - 30 * 86400), ("999999d", 0.0),
    ("2027-03-01", datetime(2027, 3, 1).timestamp()), ("2027-03-01T12:30Z", 1803904200.0)])
def test_a_beginning_is_a_date_or_a_time_until_now(text: str, expected: float) -> None:
    assert beginning(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "h", "1y", "-1h", "2027-02-30", "9999-12-31T23:59-12:00"])
def test_what_is_no_beginning_is_bad_usage(text: str) -> None:
    with pytest.raises(click.UsageError):
        beginning(text, NOW)
