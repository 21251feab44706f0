"""Pauses after failures."""

from __future__ import annotations

from app.lib.backoff import pause


def test_pauses_begin_with_the_first_and_double_up_to_the_longest():
    assert [pause(n, 0.2, 5.0) for n in range(8)] == [0, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]


def test_no_number_of_failures_is_too_many():
    assert [pause(n, 2.0, 300.0) for n in (-1, 1_100, 10**9)] == [0, 300, 300]
