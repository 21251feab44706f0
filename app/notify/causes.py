"""What stands at this moment that people may be told of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from app.control.records import CertificateView, Row
from app.control.roster import SOON
from app.control.snapshot import Snapshot
from app.messages import Problem
from app.rules import limits
from app.rules.limits import GB

#: Seconds that trouble has to last until it is told, as a restart is none; and that it has to be over.
HOLDS, SETTLES = 60.0, 300.0
#: What is so far from its time was told by a clock that was wrong; one that is set by a little tells nothing again.
WRONG = timedelta(days=7)


@dataclass(frozen=True)
class Cause:
    """event, subject: one of them is told at a time. cause: another one is told again, the same once. mark: a higher
    one is told again. stands: whether it is so now; None if nobody can tell. told: the sentence. well: what is told
    once it is over, None for what is not over by itself. early: its time has not come, so a clock that was wrong has
    told it before."""

    event: str
    subject: str
    cause: str
    stands: bool | None
    told: Problem
    well: Problem | None = None
    mark: int = 1
    early: bool = False


def of(sight: Snapshot, rows: Iterable[Row], covers: Mapping[str, Problem], certificates: Iterable[CertificateView],
       update: tuple[str, str] | None) -> Iterator[Cause]:
    """covers: domains that nobody is passed on to. update: the installed version and the newest, None if that is not
    known."""
    unseen = sight.unavailable
    yield Cause("proxy_down", "", "", unseen is not None, Problem("notice.proxies_unseen", {"reason": unseen or ""}),
                Problem("notice.proxies_seen"))
    for row in rows:
        yield from _of_user(row, sight)
    for domain, reason in covers.items():
        yield Cause("domain", domain, "", True, Problem("notice.domain", {"domain": domain, "reason": reason}),
                    Problem("notice.domain_well", {"domain": domain}))
    for each in certificates:
        reason = Problem("certificate.trouble", {"name": each.name, "domain": each.domains[0], "reason": each.reason}) \
            if each.reason else Problem("certificate.ends", {"name": each.name, "domain": each.domains[0],
                                                             "days": each.days_left or 0})
        yield Cause("certificate", each.name, "", bool(each.reason or each.ends_soon),
                    Problem("notice.certificate", {"reason": reason}),
                    Problem("notice.certificate_well", {"name": each.name}))
    if update and update[1] and update[0] != update[1]:
        yield Cause("update", "", update[1], True,
                    Problem("notice.update", {"installed": update[0], "newest": update[1]}))


def _of_user(row: Row, sight: Snapshot) -> Iterator[Cause]:
    user, name = row.user, row.name
    active = row.condition not in ("disabled", "expired")
    if row.limit_gb:
        # A reset and another limit are other causes; below the first mark nothing stands.
        total = sight.totals.get(user.id)
        yield Cause("limit", user.id, f"{total.reset_at if total else 0} {row.limit_gb}",
                    bool(row.warning) and active, _limit(row, sight), mark=row.warning)
    if user.expires_at:
        at = {"name": name, "at": user.expires_at.astimezone(sight.zone).isoformat()}
        when = user.expires_at.isoformat()
        yield Cause("expiring", user.id, when, user.enabled and row.soon, Problem("notice.expiring", at),
                    early=sight.now < user.expires_at - SOON - WRONG)
        yield Cause("expired", user.id, when, user.enabled and limits.expired(user, sight.now),
                    Problem("notice.expired", at), early=sight.now < user.expires_at - WRONG)
    down = None if sight.unavailable else row.condition == "failing"
    # Whoever is not to be served has no proxy that works again.
    served = row.condition not in ("disabled", "expired", "blocked", "stopped")
    yield Cause("proxy_down", user.id, "", down,
                Problem("notice.proxy_down", {"name": name, "reason": row.reason or ""}),
                Problem("notice.proxy_up", {"name": name}) if served else None)


def _limit(row: Row, sight: Snapshot) -> Problem:
    if row.warning < 100:
        return Problem("notice.limit", {"name": row.name, "mark": row.warning, "limit_gb": row.limit_gb})
    speed = limits.speed_mbps(row.user, sight.config)
    blocks = limits.at_limit(row.user, sight.config) == limits.BLOCK
    done = Problem("limit.blocked") if blocks else Problem("limit.slowed", {"mbps": speed}) if speed else \
        Problem("limit.not_slowed")
    return Problem("notice.limit_reached", {"name": row.name, "limit_gb": row.limit_gb, "done": done})


def digest(rows: list[Row], moved: Mapping[str, int], now: int, before: int, weekly: bool) -> Problem:
    """moved: bytes by user id in the time that it is about; now, before: bytes of all in it, and in the one before."""
    def names(of: list[Row]) -> Problem | list[str]:
        found = [row.name for row in of]
        return found if len(found) <= 10 else Problem("digest.and_more", {"names": found[:10],
                                                                          "more": len(found) - 10})

    amounts = {"now": amount(now), "before": amount(before)}
    lines = [Problem("digest.traffic_week", amounts) if weekly else Problem("digest.traffic_day", amounts),
             Problem("digest.users", {"total": len(rows), "online": sum(row.connections > 0 for row in rows)})]
    top = sorted((row for row in rows if moved.get(row.id)), key=lambda row: -moved[row.id])[:5]
    if top:
        lines.append(Problem("digest.top", {"names": [
            Problem("digest.one", {"name": row.name, "amount": amount(moved[row.id])}) for row in top]}))
    blocked = [row for row in rows if row.condition == "blocked"]
    lines.append(Problem("digest.blocked", {"names": names(blocked)}) if blocked else Problem("digest.nobody_blocked"))
    if failing := [row for row in rows if row.condition == "failing"]:
        lines.append(Problem("digest.failing", {"names": names(failing)}))
    if soon := [row for row in rows if row.soon]:
        lines.append(Problem("digest.expiring", {"names": names(soon)}))
    return Problem("digest.day", {"lines": lines})


def amount(count: int) -> Problem:
    """Bytes, in GB of 1024^3 or MB of 1024^2."""
    return Problem("amount.gb", {"gb": count / GB}) if count >= GB else Problem("amount.mb", {"mb": count / 1024 ** 2})
