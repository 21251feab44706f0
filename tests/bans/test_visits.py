"""What engines tell of their visitors: who had a wrong key, who had a session, and who is no offender."""

from __future__ import annotations

import json

import pytest

from app.bans.offences import REPLAY, WRONG_KEY
from app.builtin.visitors import MOST, REMEMBERED, Visitors
from app.engines.builtin import Builtin
from app.engines.mtg.engine import MtgImage
from app.engines.telemt.visitors import read

STARTED, HELLO = "Stream has been started", "cannot read client hello"
BAD = "incorrect client random"


class Mtg:
    """mtg 2.2.8 with `debug = true`, as far as its log goes. at: seconds."""

    def __init__(self) -> None:
        self.lines: list[str] = ["not JSON", '{"level":"debug","timestamp":1,"message":"configuration"}', "{}"]
        self.at = 1000.0
        self.number = 0

    def say(self, message: str, **more: object) -> None:
        self.lines.append(json.dumps({"level": "info", "timestamp": int(self.at * 1000), **more, "message": message}))

    def start(self, address: str) -> dict[str, str]:
        self.number += 1
        stream = {"stream-id": f"s{self.number}", "client-ip": address}
        self.say(STARTED, **stream, logger="proxy")
        return stream

    def end(self, stream: dict[str, str], logger: str) -> None:
        for way in ("client -> telegram", "telegram -> client"):
            self.say(f"{way} has been finished", **stream, logger=f"proxy.{logger}")
        self.say("Stream has been finished", **stream, logger="proxy")

    def turn_away(self, address: str, error: str = BAD) -> None:
        stream = self.start(address)
        self.say(HELLO, error=error, logger="proxy")
        self.at += 0.2
        self.end(stream, "domain-fronting")

    def visits(self) -> list[tuple[str, str]]:
        return [(visit.address, visit.reason) for visit in MtgImage().visits("\n".join(self.lines))]


@pytest.fixture
def mtg() -> Mtg:
    return Mtg()


def test_mtg_names_who_had_a_wrong_key_and_who_had_a_session(mtg: Mtg) -> None:
    good = mtg.start("198.51.100.1")
    mtg.at += 30
    for _ in range(3):
        mtg.turn_away("203.0.113.7")
        mtg.at += 2
    mtg.end(good, "relay")
    assert mtg.visits() == [("203.0.113.7", WRONG_KEY)] * 3 + [("198.51.100.1", "")]


@pytest.mark.parametrize("error", [
    'timestamp "2026" is too old 5m', "cannot find a.example in [b.example]", "cannot read client hello: EOF",
    "cannot parse SNI: cannot read extensions: EOF", ""])
def test_a_wrong_clock_another_name_and_what_is_no_hello_are_no_offence_at_mtg(mtg: Mtg, error: str) -> None:
    mtg.turn_away("203.0.113.7", error)
    assert mtg.visits() == []


def test_a_replay_is_one_at_mtg(mtg: Mtg) -> None:
    stream = mtg.start("203.0.113.7")
    mtg.say("replay attack has been detected!", logger="proxy")
    mtg.end(stream, "domain-fronting")
    assert mtg.visits() == [("203.0.113.7", REPLAY)]


def test_one_who_keeps_the_cover_site_open_is_known_before_that_ends(mtg: Mtg) -> None:
    mtg.start("203.0.113.7")
    mtg.say(HELLO, error=BAD, logger="proxy")
    assert mtg.visits() == [("203.0.113.7", WRONG_KEY)]


def test_of_two_at_the_same_instant_the_one_with_a_session_is_not_charged(mtg: Mtg) -> None:
    bad, good = mtg.start("203.0.113.7"), mtg.start("198.51.100.1")
    mtg.say(HELLO, error=BAD, logger="proxy")
    assert mtg.visits() == [], "nobody knows yet whose it was"
    mtg.at += 1
    mtg.end(bad, "domain-fronting")
    mtg.end(good, "relay")
    assert sorted(mtg.visits()) == [("198.51.100.1", ""), ("203.0.113.7", WRONG_KEY)]


def test_telemt_tells_by_address_and_only_a_tls_hello_counts() -> None:
    told = read("[HTTP]\n203.0.113.1-9\n[TLS-scanner]\n203.0.113.7-6\n2001:db8::1-2\n::ffff:203.0.113.8-1\nrubbish\n"
                "[SSH]\n203.0.113.2-1\n[other]\n203.0.113.3-4\n[TLS fingerprints]\n203.0.113.9-1\n")
    assert told.turned_away == {("203.0.113.7", WRONG_KEY): 6, ("2001:db8::", WRONG_KEY): 2,
                                ("203.0.113.8", WRONG_KEY): 1}
    assert read("empty\n").turned_away == read("beobachten disabled\n").turned_away == {}


def test_the_built_in_engine_tells_only_who_has_the_key() -> None:
    visitors = Visitors("key")
    visitors.turned_away("203.0.113.7", WRONG_KEY)
    assert visitors.text("Bearer other") is None and visitors.text("") is None and visitors.text("Bearer \xff") is None
    told = Builtin().visitors(visitors.text("Bearer key") or "")
    assert told.turned_away == {("203.0.113.7", WRONG_KEY): 1}
    silent = Visitors()
    silent.turned_away("203.0.113.7", WRONG_KEY)
    assert silent.text("Bearer ") is None, "without a key, nothing is kept"


def test_a_million_strangers_cost_the_built_in_engine_no_more_than_some_thousand() -> None:
    visitors = Visitors("key")
    for number in range(MOST * 2):
        visitors.turned_away(f"198.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", WRONG_KEY)
        visitors.began(f"198.51.{number >> 8 & 255}.{number & 255}")
        visitors.ended(f"198.51.{number >> 8 & 255}.{number & 255}")
    told = json.loads(visitors.text("Bearer key") or "")
    assert len(told["turned_away"]) == len(told["good"]) == MOST


def test_a_session_speaks_for_its_address_while_it_lasts_and_a_while_after(monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("app.builtin.visitors.time.monotonic", lambda: clock[0])
    visitors = Visitors("key")

    def good() -> list[str]:
        return json.loads(visitors.text("Bearer key") or "")["good"]

    visitors.began("::ffff:198.51.100.1")
    visitors.began("198.51.100.1")
    clock[0] += 10 * REMEMBERED
    assert good() == ["198.51.100.1"]
    visitors.ended("198.51.100.1")
    visitors.ended("198.51.100.1")
    clock[0] += REMEMBERED - 1
    assert good() == ["198.51.100.1"]
    clock[0] += 2
    assert good() == []


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"turned_away": 1, "good": []}', "<html>"])
def test_an_answer_that_is_none_is_refused(answer: str) -> None:
    with pytest.raises(ValueError):
        Builtin().visitors(answer)
