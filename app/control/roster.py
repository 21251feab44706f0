"""Who there is and how each of them is: one small record a user, for lists, sums and filters of thousands.

What takes time, such as links and whatever is told of one user alone, is in the views.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from app.config.model import User
from app.control import attention, move_notes
from app.control.engine_limits import REFUSALS, user_notes
from app.control.records import Condition, Row
from app.control.snapshot import Snapshot
from app.engines import base
from app.engines.base import engine_name
from app.ledger.devices import EDGE_RUN, Kept
from app.ledger.traffic import Total
from app.messages import Problem
from app.rules import limits
from app.rules.hints import hints
from app.rules.links import Together, links, workload_name
from app.runtimes.base import RUNNING, STOPPED

#: An end of access within so long is worth a look.
SOON = timedelta(days=3)

_NOTHING = Total()


def rows(sight: Snapshot, secrets: bool = True) -> list[Row]:
    """Everybody, in the order of the declaration; made once for each look, so read only. secrets: with what lets
    somebody in."""
    if not secrets:
        return sight.made.get("masked", lambda: [each.without_secrets() for each in rows(sight)])
    return sight.made.get("rows", lambda: [row(user, sight) for user in sight.config.users])


def row(user: User, sight: Snapshot) -> Row:
    # This is done for each of thousands: what several ask for is worked out once.
    config, name, total = sight.config, workload_name(user), sight.totals.get(user.id, _NOTHING)
    wanted = engine_name(user, config, sight.engines)
    engine = sight.placed.get(user.id) or wanted
    state, reason = _state(user, name, together(user, engine, sight), total, sight)
    running = state == "running"
    fresh = running and abs(sight.seconds - total.sampled_at) <= max(30, 3 * config.monitor_seconds)
    limit, throttled = limits.limit_gb(user, config), sight.throttles.get(name) if running else None
    connections = total.connections if running else 0
    share = 100 * total.period / (limit * limits.GB) if limit else 0.0
    today_down, today_up = sight.today.get(user.id, (0, 0))
    made = Row(
        user=user, state=state, reason=reason, engine=engine, connections=connections,
        condition=_condition(state, reason, connections, throttled, total),
        down=total.down, up=total.up, used_down=total.period_down, used_up=total.period_up,
        now_down=round(total.down_rate) if fresh else 0, now_up=round(total.up_rate) if fresh else 0,
        probes=total.fronted, estimated=total.estimated_since > 0, used_estimated=bool(total.period_estimated),
        limit_gb=limit, share=share, warning=limits.mark(limit, total), over=limits.is_over(limit, total),
        throttled=throttled, last_seen=total.last_seen,
        soon=user.expires_at is not None and sight.now < user.expires_at <= sight.now + SOON,
        hints=_hints(user, name, engine, wanted, running, sight), today_down=today_down, today_up=today_up)
    made.attention = attention.reason_of(made, sight.now, sight.closed_covers)
    return made


def together(user: User, engine: str, sight: Snapshot) -> Together | None:
    """What serves this user and others, if this engine does; None if each has their own."""
    return base.together(user, sight.config, sight.engines.get(engine))


def kept_limits(names: Iterable[str], sight: Snapshot) -> dict[str, Kept]:
    """The limits on addresses that somebody keeps for the engines of these links, by name."""
    found = {name: sight.device_limits[name] for name in names if name in sight.device_limits}
    runs: Mapping[str, str] = {name: sight.observed[name].run_id for name in found if name in sight.observed} \
        if sight.observed else {}
    return {name: one for name, one in found.items() if one.at and one.run in (runs.get(name), f"{EDGE_RUN}{name}")}


def _condition(state: str, reason: Problem | None, connections: int, throttled: int | None,
               total: Total) -> Condition:
    if state in ("disabled", "expired", "blocked", "unknown", "stopped"):
        return state  # type: ignore[return-value]  # one of these words
    if state == "failed" or (reason and reason.code != "user.estimated"):
        return "failing"
    if throttled:
        return "slowed"
    return "online" if connections else "idle" if total.last_seen else "never"


def _hints(user: User, name: str, engine: str, wanted: str, running: bool, sight: Snapshot) -> list[Problem]:
    refused = sight.refusals.get(user.id)
    found = hints(refused, sight.now.astimezone(sight.zone)) if refused else []
    if limits.max_unique_ips(user, sight.config):
        names = [link.name for link in links(user, sight.config, sight.now)] if user.old_links else [name]
        found += user_notes(user, sight.config, sight.engines,
                            limited=not running or bool(kept_limits(names, sight)))
    return found if engine == wanted else [*found, *move_notes.of_user(user, engine, sight)]


def _state(user: User, name: str, others: Together | None, total: Total, sight: Snapshot) -> tuple[str, Problem | None]:
    if not user.enabled:
        return "disabled", None
    if user.expires_at and limits.expired(user, sight.now):
        return "expired", Problem("user.expired", {"at": user.expires_at.astimezone(sight.zone).isoformat()})
    if limits.blocked(user, sight.config, total):
        return "blocked", limits.at_the_limit(user, sight.config, total, sight.now, sight.zone)
    if sight.observed is None:
        return "unknown", sight.unavailable
    shared = others.name if others else ""
    there, problem = sight.observed.get(shared or name), sight.problems.get(name) or sight.problems.get(shared)
    if there and there.state == RUNNING and (there.user_id == user.id or there.shared):
        if there.shared and problem and problem.code in REFUSALS:
            return "failed", problem  # it serves others
        return "running", problem or (Problem("user.estimated") if total.estimating else None)
    if sight.config.proxies_stopped:
        return "stopped", None
    ended = there.reason if there else None
    if problem or ended not in (None, STOPPED):
        return "failed", problem or ended
    return ("stopped" if there is None or ended == STOPPED else "starting"), None
