"""Which certificates there should be, and which are to be asked for now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.edge.base import Certificate
from app.ledger.certificates import Row
from app.lib import backoff

#: The panel's own certificate, that of users' own pages, the one for the bare address, and the start of the names of
#: those for the users' names.
PANEL, SHARE, ADDRESS, COVER = "panel", "share", "address", "cover-"

#: Let's Encrypt takes up to 100 names in one certificate.
MOST_NAMES = 100

#: A certificate is renewed this long before it ends, or in the last third of its life if that is later.
EARLY = timedelta(days=30)

#: The pause after a failure, doubled with each one in a row. Let's Encrypt takes five failures per name and hour.
FIRST_PAUSE, LONGEST_PAUSE = 3600.0, 86400.0

#: The longest pause for the bare address, whose certificate lasts six days and is renewed two days before its end.
ADDRESS_PAUSE = 4 * 3600.0

#: Seconds between two requests that only add names: Let's Encrypt issues 50 new certificates a week per domain.
BETWEEN_ADDITIONS = 1200.0


@dataclass(frozen=True)
class Wanted:
    """A certificate that there should be. domains: at least these names."""

    name: str
    domains: tuple[str, ...]


def wanted(panel_domain: str, own_names: Iterable[str],
           existing: Mapping[str, tuple[str, ...]], address: str = "", share_hostname: str = "") -> list[Wanted]:
    """The certificates for these names: the panel's, that of users' own pages, the address's, then as few as hold the
    others, in their order.

    share_hostname: in a certificate of its own, as whoever sees it reads all names in it. address: an IP address, or
    "". existing: the names in each certificate so far. A name stays in the one that has it, so a new name changes one
    certificate, and one that is gone changes none.
    """
    result = [Wanted(name, (one,)) for name, one in ((PANEL, panel_domain), (SHARE, share_hostname),
                                                      (ADDRESS, address)) if one]
    names = [name for name in dict.fromkeys(own_names) if name not in (panel_domain, share_hostname)]
    places = _places(names, existing)
    return result + [Wanted(place, tuple(name for name in names if places[name] == place))
                     for place in sorted(set(places.values()), key=_number)]


def _number(place: str) -> int:
    return int(place.removeprefix(COVER))


def _places(names: list[str], existing: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    covers = {name: domains for name, domains in existing.items()
              if name.startswith(COVER) and name.removeprefix(COVER).isdecimal()}
    wanted = set(names)
    places: dict[str, str] = {}
    taken: dict[str, int] = {}

    def put(name: str, place: str) -> None:
        places[name] = place
        taken[place] = taken.get(place, 0) + 1

    for place in sorted(covers, key=_number):
        for name in covers[place]:
            if name in wanted and name not in places and taken.get(place, 0) < MOST_NAMES:
                put(name, place)
    number = 1
    for name in names:
        if name not in places:
            while taken.get(f"{COVER}{number}", 0) >= MOST_NAMES:
                number += 1
            put(name, f"{COVER}{number}")
    return places


def due(wanted: Iterable[Wanted], have: Mapping[str, Certificate], rows: Mapping[str, Row], now: float,
        fresh: frozenset[str] = frozenset(), asked: bool = False) -> list[Wanted]:
    """Those that are to be asked for now (Unix seconds): missing, without one of their names, or ending soon.

    fresh: names that were not there a minute ago; users' names among them wait for others that may come.
    asked: whether a person wants it, who need not wait until the pauses are over.
    """
    return [each for each in wanted if is_due(each, have.get(each.name), now)
            and (asked or _may_ask(each, have.get(each.name), rows.get(each.name), now, fresh))]


def is_due(wanted: Wanted, have: Certificate | None, now: float) -> bool:
    """Whether this certificate should be asked for: there is none, it lacks a name, or it ends soon."""
    return have is None or not set(wanted.domains) <= set(have.domains) or ends_soon(have, now)


def ends_soon(have: Certificate, now: float) -> bool:
    third = (have.not_after - have.not_before) / 3
    return datetime.fromtimestamp(now, UTC) >= have.not_after - min(EARLY, third)


def pause(failures: int, name: str = PANEL) -> float:
    """Seconds until the authority is asked again after so many failures in a row for the certificate of this name."""
    return backoff.pause(failures, FIRST_PAUSE, ADDRESS_PAUSE if name == ADDRESS else LONGEST_PAUSE)


def _may_ask(wanted: Wanted, have: Certificate | None, row: Row | None, now: float,
             fresh: frozenset[str]) -> bool:
    row = row or Row(wanted.name, ())
    # A clock that was set back must not hold anything up for years.
    since = now - row.tried_at if row.tried_at <= now else float("inf")
    missing = set(wanted.domains) - set(have.domains if have else ())
    wait = pause(row.failures, wanted.name)
    if not missing <= set(row.domains):
        # Who has just come need not wait for the day when a name that was refused is tried again.
        wait = min(wait, BETWEEN_ADDITIONS)
    if since < wait:
        return False
    if wanted.name in (PANEL, SHARE, ADDRESS) or (have and ends_soon(have, now)):
        return True
    return not missing <= fresh and (have is None or since >= BETWEEN_ADDITIONS)


def without(wanted: Wanted, refused: frozenset[str], have: Certificate | None, now: float) -> Wanted | None:
    """What is left to ask for when the authority refuses some of the names; None if it isn't worth it.

    One name whose address is wrong must not keep the others from their certificate, and the same
    certificate is not asked for again and again: Let's Encrypt issues five a week.
    """
    rest = tuple(domain for domain in wanted.domains if domain not in refused)
    if not rest or len(rest) == len(wanted.domains):
        return None
    if have and set(rest) <= set(have.domains) and not ends_soon(have, now):
        return None
    return Wanted(wanted.name, rest)
