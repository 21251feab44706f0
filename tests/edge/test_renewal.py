"""Which certificates there should be and when they are asked for: data in, data out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.certificates.renewal import (
    ADDRESS,
    ADDRESS_PAUSE,
    BETWEEN_ADDITIONS,
    MOST_NAMES,
    Wanted,
    due,
    pause,
    wanted,
    without,
)
from app.edge.base import Certificate
from app.ledger.certificates import Row

NOW = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0


def names(count: int, start: int = 0) -> list[str]:
    return [f"n{number}.example.com" for number in range(start, start + count)]


def certificate(name: str, *domains: str, left: float = 60, life: float = 90) -> Certificate:
    """left, life: days until it ends, and between its beginning and its end."""
    ends = datetime.fromtimestamp(NOW, UTC) + timedelta(days=left)
    return Certificate(name, domains, "", "", ends - timedelta(days=life), ends)


def asked(each: Wanted, have: Certificate | None = None, row: Row | None = None, now: float = NOW,
          **more: object) -> bool:
    return due([each], {each.name: have} if have else {}, {each.name: row} if row else {}, now, **more) == [each]


# Which there should be


def test_without_a_domain_no_certificate_is_wanted() -> None:
    assert wanted("", (), {}) == []


def test_the_panel_has_a_certificate_of_its_own_and_the_base_domain_is_first_in_the_others() -> None:
    assert wanted("panel.example.com", ("example.com", "a.example.com"), {}) == [
        Wanted("panel", ("panel.example.com",)), Wanted("cover-1", ("example.com", "a.example.com"))]


def test_the_bare_address_has_a_certificate_of_its_own() -> None:
    assert wanted("panel.example.com", ("example.com",), {}, "203.0.113.7") == [
        Wanted("panel", ("panel.example.com",)), Wanted("address", ("203.0.113.7",)),
        Wanted("cover-1", ("example.com",))]
    assert wanted("", (), {}, "2001:db8::7") == [Wanted("address", ("2001:db8::7",))]


def test_a_certificate_of_six_days_is_renewed_two_days_before_its_end() -> None:
    each, life = Wanted(ADDRESS, ("203.0.113.7",)), 160 / 24
    assert not asked(each, certificate(ADDRESS, "203.0.113.7", left=2.5, life=life))
    assert asked(each, certificate(ADDRESS, "203.0.113.7", left=2.2, life=life))


def test_after_failures_the_address_is_asked_for_often_enough_to_be_there_before_the_end() -> None:
    each, have = Wanted(ADDRESS, ("203.0.113.7",)), certificate(ADDRESS, "203.0.113.7", left=0.5, life=160 / 24)
    row = Row(ADDRESS, ("203.0.113.7",), tried_at=NOW - ADDRESS_PAUSE, failures=12)
    assert asked(each, have, row) and not asked(each, have, row, now=NOW - HOUR)
    # Let's Encrypt takes five failures an hour.
    assert pause(1, ADDRESS) == HOUR and pause(99, ADDRESS) == ADDRESS_PAUSE < pause(99)


def test_another_address_is_asked_for_without_waiting_for_the_old_ones_pause() -> None:
    each, have = Wanted(ADDRESS, ("198.51.100.9",)), certificate(ADDRESS, "203.0.113.7", left=5, life=160 / 24)
    row = Row(ADDRESS, ("203.0.113.7",), tried_at=NOW - BETWEEN_ADDITIONS, failures=9)
    assert asked(each, have, row)


def test_a_hundred_names_fill_a_certificate() -> None:
    result = wanted("", names(250), {})
    assert [(each.name, len(each.domains)) for each in result] == [("cover-1", 100), ("cover-2", 100),
                                                                  ("cover-3", 50)]


def test_a_new_name_goes_where_there_is_room_and_the_others_stay_where_they_are() -> None:
    existing = {"cover-1": tuple(names(100)), "cover-2": tuple(names(100, 100))}
    gone, new = "n5.example.com", "new.example.com"
    result = wanted("", [*(n for n in names(200) if n != gone), new], existing)
    assert [each.name for each in result] == ["cover-1", "cover-2"]
    assert new in result[0].domains and gone not in result[0].domains
    assert result[1].domains == existing["cover-2"]


def test_the_tenth_certificate_comes_after_the_second() -> None:
    existing = {f"cover-{number + 1}": tuple(names(100, number * 100)) for number in range(11)}
    assert [each.name for each in wanted("", names(1100), existing)] == list(existing)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=60))
def test_a_change_of_one_user_changes_one_certificate_at_most(changes: list[tuple[bool, int]]) -> None:
    there: list[str] = ["example.com", *names(230)]
    had = {each.name: each.domains for each in wanted("", there, {})}
    for add, number in changes:
        name = f"n{number}.example.com"
        if add and name not in there:
            there.append(name)
        elif not add and name in there:
            there.remove(name)
        result = wanted("", there, had)
        assert sorted(d for each in result for d in each.domains) == sorted(there)
        assert all(len(each.domains) <= MOST_NAMES for each in result)
        changed = [each for each in result if not set(each.domains) <= set(had.get(each.name, ()))]
        assert len(changed) <= int(add)
        # Names that are gone stay in a certificate until it is asked for again.
        had |= {each.name: each.domains for each in changed}


# When they are asked for

PANEL, COVER = Wanted("panel", ("panel.example.com",)), Wanted("cover-1", ("example.com", "a.example.com"))


@pytest.mark.parametrize(("have", "expected"), [
    (None, True),
    (certificate("panel", "panel.example.com", left=31), False),
    (certificate("panel", "panel.example.com", left=29), True),
    (certificate("panel", "panel.example.com", left=3, life=6), False),
    (certificate("panel", "panel.example.com", left=1.9, life=6), True),
    (certificate("panel", "panel.example.com", left=-1), True),
    (certificate("panel", "another.example.com"), True),
    (certificate("panel", "panel.example.com", "gone.example.com"), False),
])
def test_a_certificate_is_asked_for_when_it_is_missing_or_lacks_a_name_or_ends_soon(
        have: Certificate | None, expected: bool) -> None:
    assert asked(PANEL, have) is expected


def test_after_each_failure_in_a_row_the_pause_doubles_up_to_a_day() -> None:
    assert [pause(n) / HOUR for n in (0, 1, 2, 3, 4, 5, 6, 60)] == [0, 1, 2, 4, 8, 16, 24, 24]
    row = Row("panel", PANEL.domains, tried_at=NOW, failures=2)
    assert not asked(PANEL, row=row, now=NOW + 2 * HOUR - 1)
    assert asked(PANEL, row=row, now=NOW + 2 * HOUR)
    assert asked(PANEL, row=row, now=NOW + 1, asked=True), "a person need not wait"
    assert asked(PANEL, row=row, now=NOW - DAY), "a clock that was set back holds nothing up"


def test_names_that_have_just_come_are_collected_for_a_while() -> None:
    have = certificate("cover-1", "example.com")
    fresh = frozenset(["a.example.com"])
    assert not asked(COVER, have, fresh=fresh) and asked(COVER, have)
    assert not asked(COVER, fresh=frozenset(COVER.domains)), "also for the first certificate"
    assert asked(COVER, fresh=fresh), "one that waits is enough"
    assert asked(PANEL, fresh=frozenset(PANEL.domains)), "the panel's own name does not wait"


def test_a_certificate_gets_more_names_no_more_often_than_the_authority_allows() -> None:
    have, row = certificate("cover-1", "example.com"), Row("cover-1", ("example.com",), tried_at=NOW)
    assert not asked(COVER, have, row, NOW + BETWEEN_ADDITIONS - 1)
    assert asked(COVER, have, row, NOW + BETWEEN_ADDITIONS)
    assert asked(COVER, certificate("cover-1", "example.com", left=20), row, NOW + 1), "a renewal does not wait"


def test_a_name_that_is_refused_does_not_hold_up_one_that_comes_later() -> None:
    have, row = certificate("cover-1", "example.com"), Row("cover-1", COVER.domains, tried_at=NOW, failures=6)
    assert not asked(COVER, have, row, NOW + 3 * HOUR)
    assert asked(Wanted("cover-1", (*COVER.domains, "new.example.com")), have, row, NOW + 3 * HOUR)


def test_what_the_authority_refuses_is_left_out_only_if_that_brings_something() -> None:
    refused = frozenset(["a.example.com"])
    rest = Wanted("cover-1", ("example.com",))
    assert without(COVER, refused, None, NOW) == rest
    assert without(COVER, refused, certificate("cover-1", "example.com"), NOW) is None, "it would be the same again"
    assert without(COVER, refused, certificate("cover-1", "example.com", left=20), NOW) == rest
    assert without(COVER, frozenset(COVER.domains), None, NOW) is None
    assert without(COVER, frozenset(), None, NOW) is None


def test_the_name_of_users_own_pages_is_in_a_certificate_of_its_own() -> None:
    found = wanted("panel.example.com", ("example.com", "share.example.com"), {}, share_hostname="share.example.com")
    assert found == [Wanted("panel", ("panel.example.com",)), Wanted("share", ("share.example.com",)),
                     Wanted("cover-1", ("example.com",))]
