"""What applies to a user: limit, speed, what happens at the limit, reset cycle, expiry. Pure."""

from __future__ import annotations

from datetime import datetime, tzinfo

from app.config import times
from app.config.model import Config, User
from app.ledger.traffic import Total
from app.messages import Problem
from app.rules.cycles import next_reset

GB = 1024 ** 3

BLOCK = "block"

#: Percent of the limit at which a user is marked.
MARKS = (100, 95, 80)


def limit_gb(user: User, config: Config) -> float:
    """The traffic limit that applies, in GB of 1024^3 bytes; 0 = none."""
    plan = config.plan_of(user)
    return _first(user.traffic_limit_gb, plan.traffic_limit_gb if plan else 0.0, config.traffic_limit_gb)


def speed_mbps(user: User, config: Config) -> float:
    """The speed after the limit, in Mbit/s of 10^6 bits per second; 0 = not slowed down."""
    plan = config.plan_of(user)
    return _first(user.throttle_speed_mbps, plan.throttle_speed_mbps if plan else 0.0, config.throttle_speed_mbps)


def max_unique_ips(user: User, config: Config) -> int:
    """From how many addresses each of the user's links may be used at a time; 0 = any number."""
    plan = config.plan_of(user)
    return int(_first(user.max_unique_ips, plan.max_unique_ips if plan else 0, config.max_unique_ips))


def at_limit(user: User, config: Config) -> str:
    """What happens at the limit: throttle or block."""
    plan = config.plan_of(user)
    return user.at_limit or (plan.at_limit if plan else "") or config.at_limit


def reset_cycle(user: User, config: Config) -> str:
    """The reset cycle that applies; see values.parse_cycle."""
    plan = config.plan_of(user)
    return user.reset_cycle or (plan.reset_cycle if plan else "") or config.reset_cycle


def _first(*declared: float | None) -> float:
    """What is declared first, from the user to the settings: 0 = not here, None = none."""
    for value in declared:
        if value is None:
            return 0.0
        if value:
            return value
    return 0.0


def is_over(limit: float, total: Total) -> bool:
    """Whether so many GB are used; 0 = no limit."""
    return limit > 0 and total.period >= limit * GB


def mark(limit: float, total: Total) -> int:
    """The highest mark that was reached: 80, 95 or 100 percent of so many GB; 0 below, and without a limit."""
    used, whole = total.period * 100, limit * GB
    return next((mark for mark in MARKS if used >= whole * mark), 0) if limit and used >= whole * MARKS[-1] else 0


def over_limit(user: User, config: Config, total: Total) -> bool:
    return is_over(limit_gb(user, config), total)


def blocked(user: User, config: Config, total: Total) -> bool:
    return at_limit(user, config) == BLOCK and over_limit(user, config, total)


def expired(user: User, now: datetime) -> bool:
    return user.expires_at is not None and user.expires_at <= now


def reset_due(user: User, config: Config, total: Total, now: datetime, zone: tzinfo) -> datetime | None:
    """When the user's traffic is reset next; None for never."""
    cycle = reset_cycle(user, config)
    if total.cycle == cycle and total.next_reset > now.timestamp():
        return times.at(total.next_reset, zone)
    return next_reset(now, cycle, zone)


def at_the_limit(user: User, config: Config, total: Total, now: datetime, zone: tzinfo) -> Problem | None:
    """What happened to a user over the limit, and when it ends; None for everybody else."""
    if not over_limit(user, config, total):
        return None
    speed = speed_mbps(user, config)
    done = (Problem("limit.blocked") if blocked(user, config, total) else
            Problem("limit.slowed", {"mbps": speed}) if speed else Problem("limit.not_slowed"))
    due = reset_due(user, config, total, now, zone)
    end = Problem("limit.until", {"at": due.isoformat()}) if due else Problem("limit.until_reset")
    return Problem("limit.used", {"used_gb": total.period / GB, "limit_gb": limit_gb(user, config), "done": done,
                                  "end": end})
