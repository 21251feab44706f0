"""Dates in sentences: as people of the language write them, and in the server's time zone, which is named."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.messages import ENGLISH, Problem
from app.messages.translations import for_people

RESET = "2026-12-01T00:00:00+00:00"


@pytest.fixture(autouse=True)
def tehran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tehran")


@pytest.mark.parametrize(("language", "said"), [
    ("en", "until 1 Dec 2026, 03:30 UTC+03:30, when"), ("ru", "до 1 дек. 2026, 03:30 UTC+03:30, когда")])
def test_a_moment_is_written_out_and_its_zone_is_named(language: str, said: str) -> None:
    assert said in for_people(language).sentence(Problem("limit.until", {"at": RESET}))


def test_zones_with_a_name_of_their_own_are_called_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert "1 Dec 2026, 01:00 CET," in for_people("en").sentence(Problem("limit.until", {"at": RESET}))


@pytest.mark.parametrize(("language", "said"), [
    ("en", "ends on 31 Dec 2026"), ("ru", "заканчивается 31 дек. 2026")])
def test_midnight_ends_the_day_before_it(language: str, said: str) -> None:
    end = "2027-01-01T00:00:00+03:30"
    assert for_people(language).sentence(Problem("notice.expiring", {"name": "Ann", "at": end})).endswith(said)


def test_terminals_and_programs_are_told_it_as_it_sorts() -> None:
    assert "until 2026-12-01 00:00, when" in ENGLISH.sentence(Problem("limit.until", {"at": RESET}))


@pytest.mark.parametrize("kept", ["2026-12-01 00:00", "2026-12-01"])
def test_what_an_older_version_kept_is_a_date_too(kept: str) -> None:
    assert "1 Dec 2026, 00:00 UTC+03:30" in for_people("en").sentence(Problem("limit.until", {"at": kept}))


@pytest.mark.parametrize("odd", ["tomorrow", "", "9999-99-99"])
def test_what_is_no_date_is_shown_as_it_is(odd: str) -> None:
    for language in (ENGLISH, for_people("ru")):
        assert odd in language.sentence(Problem("limit.until", {"at": odd}))


def test_dates_at_the_ends_of_what_python_knows() -> None:
    for at in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert for_people("en").sentence(Problem("limit.until", {"at": at.isoformat()}))
