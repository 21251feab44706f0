"""Whether an mtg has learned its timing, by its log. The lines are what mtg 2.2.8 wrote."""

from __future__ import annotations

import json

import pytest

from app.engines.builtin import Builtin
from app.engines.mtg.engine import Mtg, MtgImage
from app.messages import Problem, sentence

START = 1_795_259_900.0
OURS = "https://172.28.255.254:8445/timing.bin"
THEIRS = "https://www.example.com/large"


def failed(at: float, url: str = OURS, count: int = 3) -> str:
    """What a raid leaves that begins at START + `at` and fails `count` times."""
    line = ('{"level":"warn","logger":"proxy.doppelganger","error":"Get \\"%s\\": dial tcp 172.28.255.254:'
            '8445: connect: connection refused","timestamp":%d,"message":"cannot learn"}\n')
    return "".join(line % (url, (START + at + 0.01 * n) * 1000) for n in range(count))


def slow(log: str, seconds: float) -> list[Problem]:
    """What is found when the start is so many seconds ago."""
    return MtgImage().findings(log, START, START + seconds)


def test_an_mtg_that_found_no_nginx_is_slow_and_it_is_said_why_and_what_comes():
    found, = slow(failed(0.1), 20)
    assert (found.code, found.params["url"], found.params["minutes"]) == ("mtg.not_learned", OURS, 5)
    assert "connection refused" in found.params["reason"] and "18 Mbit/s" in sentence(found)


@pytest.mark.parametrize("log", ["", failed(0.1, count=2), "no JSON: cannot learn\n", "{} cannot learn\n",
                                 '{"message":"cannot learn"}\n', "[1] cannot learn\n"])
def test_an_mtg_that_learned_or_says_nothing_is_not_slow(log):
    assert slow(log, 400) == Mtg("/opt/mtg").findings(log) == []


def test_one_raid_that_succeeds_is_enough():
    first_failed = failed(0.1)
    assert slow(first_failed, 299) and slow(first_failed, 310)
    assert slow(first_failed, 360) == []
    assert slow(first_failed + failed(300.1), 360)
    assert slow(first_failed + failed(300.1), 700) == []


def test_what_was_learned_stays_when_nginx_goes_later():
    assert slow(failed(300.1) + failed(600.1), 700) == []


def test_a_part_of_a_raid_is_enough():
    assert slow(failed(0.1, count=2), 100) == []


def test_an_earlier_start_of_the_same_container_counts_for_nothing():
    assert slow(failed(-90), 100) == []
    # Docker may note the start after the first line.
    assert slow(failed(-0.2), 100)


def test_a_foreign_site_is_asked_less_often():
    found, = slow(failed(0.1, THEIRS), 3500)
    assert found.params["minutes"] == 60
    assert slow(failed(0.1, THEIRS), 3700) == []


def test_without_the_times_every_line_counts():
    assert MtgImage().findings(failed(-90)) == MtgImage().findings(failed(0.1))


def test_the_builtin_engine_is_never_slow():
    assert Builtin().findings(failed(0.1), START, START + 60) == []


def test_the_lines_of_these_tests_are_json():
    assert {json.loads(line)["message"] for line in failed(0).splitlines()} == {"cannot learn"}
