"""What people and programs see of the fleet: one user, and the whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from typing import Any

from app.config import schema, times
from app.config.model import Config, User
from app.ledger.refusals import Refused
from app.ledger.traffic import Total
from app.mtproto.links import tg_link, tme_link
from app.rules import limits
from app.rules.hints import hints
from app.rules.links import link_port, links, workload_name
from app.runtimes.base import RUNNING, STOPPED, Observed


@dataclass(frozen=True)
class OldLinkView:
    """A link from before a change of domain. until, last_used: ISO 8601; None for not used since."""

    domain: str
    until: str
    tg_link: str
    tme_link: str
    last_used: str | None


#: Why the numbers of a user whose proxy runs are no exact ones.
ESTIMATING = ("its engine tells no counters (no metrics answer on its metrics port), so its traffic is "
              "estimated from the container's network counters, and its connections and probes are not known")


@dataclass(frozen=True)
class UserView:
    """One user: declaration, state and traffic in one flat record; its fields are the CLI's JSON.

    state: running, starting, stopped, disabled, expired, blocked, failed, or unknown while the
    runtime does not answer. reason: why it does not run, or is troubled; "" if all is well.
    over_limit: what happened at the limit and when it ends, "" below it. warning: 80, 95 or
    100, the percentage of the limit that was reached; else 0.
    limit_gb, speed_mbps, at_limit ("throttle", "block"), reset_cycle: what applies (0 = none);
    own_*: the user's own (0 or "" = the global one, None = none).
    bytes_down, bytes_up: relayed to and from the user since the user exists; period_*: since the last reset
    (period_since, None = never), which is what counts towards the limit; now_*: bytes/s. probes:
    connections turned away, never billed. wrong_clock, no_sni, other_sni: tries with the right key that were
    refused, which are no probes; None if the engine does not count them. clock_behind_s: of the last one of the
    first, in seconds, negative if ahead. hints: what those of the last day mean.
    estimated, period_estimated: whether bytes_*, period_* hold an estimate from the network's counters: about
    right in all, half of it in each direction.
    next_reset_at, last_seen, expires_at: None = never; expires_after_days: days from the first use, while
    that is awaited.
    throttled_bps: the limit in force in bits per second, None if there is none; throttle_verified_at:
    when that was last read back. slow: why the proxy sends slower than it could, "" if it does not.
    link_port: the port in the link: the declared public_port, else the user's own, or that of nginx.
    link_last_used: when this link, not an old one, was last used, as far as can be told. Times are ISO 8601.
    more: what is declared in the fields of the schema that stand under no name above, by key.
    """

    id: str
    name: str
    port: int
    domain: str
    secret: str
    masked_secret: str
    enabled: bool
    state: str
    reason: str
    connections: int
    bytes_down: int
    bytes_up: int
    period_down: int
    period_up: int
    period_since: str | None
    now_down: int
    now_up: int
    last_seen: str | None
    probes: int
    wrong_clock: int | None
    clock_behind_s: int | None
    no_sni: int | None
    other_sni: int | None
    hints: list[str]
    estimated: bool
    period_estimated: bool
    limit_gb: float
    speed_mbps: float
    at_limit: str
    reset_cycle: str
    own_limit_gb: float | None
    own_speed_mbps: float | None
    own_at_limit: str
    own_reset_cycle: str
    next_reset_at: str | None
    warning: int
    over_limit: str
    throttled_bps: int | None
    throttle_verified_at: str | None
    expires_at: str | None
    expires_after_days: int
    note: str
    created_at: str
    slow: str
    link_port: int
    tg_link: str
    tme_link: str
    link_last_used: str | None
    old_links: list[OldLinkView]
    more: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        told = asdict(self)
        del told["more"]
        return {**told, **self.more}

    def more_written(self) -> dict[str, str]:
        """`more` as it is typed; "" for what is left at the default."""
        return {key: schema.fields(User)[key].write(value) for key, value in self.more.items()}


@dataclass(frozen=True)
class EdgeStatus:
    """nginx before the panel. port_443: whether users are reached by it. panel_https: whether the panel's name
    has a certificate. names: how many users with a running proxy it leads to. trouble: why it does not
    serve what it should, as the last pass found; "" if it does. problems: that, and those of certificates."""

    port_443: bool
    panel_domain: str
    panel_https: bool
    names: int
    trouble: str
    problems: list[str]


@dataclass(frozen=True)
class CertificateView:
    """One certificate. Times are ISO 8601, None for never. reason: of the last failure, "" if the last try
    succeeded. days_left: until it expires, negative if it has."""

    name: str
    domains: list[str]
    issued_at: str | None
    expires_at: str | None
    days_left: int | None
    tried_at: str | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Status:
    """running, total: users whose proxy runs, and who should have one running (enabled, not expired and
    not blocked).
    stopped: whether all proxies are declared stopped. problems: sentences that a person should read.
    bytes_*, period_*, now_* (bytes/s), connections, probes: of all users together. edge: None without nginx.
    notes: what of the settings the engine does not do, and the users' hints. server_note: "" or why the address
    in links is a guess, or leads nobody here. outdated: proxies that run, and whose image is an old one."""

    runtime: str
    engine: str
    running: int
    total: int
    users: list[UserView]
    stopped: bool
    problems: list[str]
    notes: list[str]
    server: str
    server_note: str
    bytes_down: int
    bytes_up: int
    period_down: int
    period_up: int
    now_down: int
    now_up: int
    connections: int
    probes: int
    edge: EdgeStatus | None
    outdated: int

    @property
    def estimated(self) -> bool:
        """Whether bytes_* hold estimates; period_* may."""
        return any(view.estimated for view in self.users)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "users": [view.to_json() for view in self.users], "estimated": self.estimated}


@dataclass(frozen=True)
class Snapshot:
    """Everything a view is made of, read once for all users. observed: None, and `unavailable` says
    why, while the runtime does not answer. verified: Unix seconds by workload. last_uses: Unix seconds by
    link id. slow: reasons by link id. public_port: the one that nginx is published on. zone: the server's."""

    config: Config
    observed: Mapping[str, Observed] | None
    unavailable: str
    totals: Mapping[str, Total]
    problems: Mapping[str, str]
    refusals: Mapping[str, Refused]
    throttles: Mapping[str, int]
    verified: Mapping[str, float]
    last_uses: Mapping[str, float]
    slow: Mapping[str, str]
    public_port: int
    now: datetime
    zone: tzinfo
    server: str

    @property
    def outdated(self) -> int:
        return sum(o.outdated and o.state == RUNNING for o in (self.observed or {}).values())


#: How many hints of users stand among the notes of the whole.
_HINTS = 5


def user_view(user: User, sight: Snapshot) -> UserView:
    name = workload_name(user)
    total, refused = sight.totals.get(user.id, Total()), sight.refusals.get(user.id)
    state, reason = _state(user, name, sight)
    config = sight.config
    today, *old = links(user, config, sight.now)
    secret, port = today.secret, link_port(user, config, sight.public_port)
    link = (sight.server, port, secret)
    running = state == "running"
    fresh = running and abs(sight.now.timestamp() - total.sampled_at) <= max(30, 3 * config.monitor_seconds)
    due = limits.reset_due(user, config, total, sight.now, sight.zone)
    throttled = sight.throttles.get(name) if running else None
    return UserView(
        id=user.id, name=user.name, port=user.port, domain=user.fake_tls_domain, secret=secret.hex,
        masked_secret=secret.masked(), enabled=user.enabled, state=state, reason=reason,
        connections=total.connections if running else 0,
        bytes_down=total.down, bytes_up=total.up, period_down=total.period_down, period_up=total.period_up,
        period_since=moment(total.reset_at, sight.zone),
        now_down=round(total.down_rate) if fresh else 0, now_up=round(total.up_rate) if fresh else 0,
        last_seen=moment(total.last_seen, sight.zone), probes=total.fronted,
        wrong_clock=refused.wrong_clock if refused else None, no_sni=refused.no_sni if refused else None,
        other_sni=refused.other_sni if refused else None,
        clock_behind_s=refused.clock_behind if refused and refused.wrong_clock else None,
        hints=hints(refused, sight.now.astimezone(sight.zone)),
        estimated=total.estimated_since > 0, period_estimated=bool(total.period_estimated),
        limit_gb=limits.limit_gb(user, config), speed_mbps=limits.speed_mbps(user, config),
        at_limit=limits.at_limit(user, config), reset_cycle=limits.reset_cycle(user, config),
        own_limit_gb=user.traffic_limit_gb, own_speed_mbps=user.throttle_speed_mbps,
        own_at_limit=user.at_limit, own_reset_cycle=user.reset_cycle,
        next_reset_at=due.isoformat() if due else None, warning=limits.warning(user, config, total),
        over_limit=limits.at_the_limit(user, config, total, sight.now, sight.zone),
        throttled_bps=throttled,
        throttle_verified_at=moment(sight.verified.get(name, 0.0), sight.zone) if throttled else None,
        expires_at=user.expires_at.isoformat() if user.expires_at else None,
        expires_after_days=0 if user.expires_at else user.expires_after_days,
        note=user.note, created_at=user.created_at.isoformat(),
        slow=sight.slow.get(today.id, "") if running else "",
        link_port=port, tg_link=tg_link(*link), tme_link=tme_link(*link),
        link_last_used=_last_used(today.id, sight),
        old_links=[OldLinkView(
            domain=each.domain, until=each.until.isoformat(), tg_link=tg_link(sight.server, port, each.secret),
            tme_link=tme_link(sight.server, port, each.secret),
            last_used=_last_used(each.id, sight)) for each in old if each.until],
        more={key: getattr(user, spec.attribute) for key, spec in schema.fields(User).items() if key not in _TOLD})


#: Fields of the schema that a view tells by name, some by another one.
_TOLD = frozenset(each.name for each in dataclasses.fields(UserView)) | {"expires", "public_port"}


def troubles(views: list[UserView], sight: Snapshot) -> list[str]:
    """What is wrong with the runtime, with these users' proxies, and with those of their old links."""
    found = [sight.unavailable, *(f"{view.name}: {view.reason}" for view in views
             if view.reason and view.state in ("failed", "running"))]
    return found + [f"{user.name}, old link ({link.domain}): {sight.problems[link.name]}"
                    for user in sight.config.users for link in links(user, sight.config, sight.now)[1:]
                    if link.name in sight.problems]


def hint_notes(views: list[UserView]) -> list[str]:
    """The hints of all users; of many, the first few: a wrong clock of the server is everybody's."""
    found = [f"{view.name}: {hint}" for view in views for hint in view.hints]
    more = len(found) - _HINTS
    if more < 2:
        return found
    return [*found[:_HINTS], f"{more} more notes about tries with the right key are on the pages of the users"]


def moment(seconds: float, zone: tzinfo) -> str | None:
    """Unix seconds as ISO 8601; None for 0.0, which is never."""
    return times.at(int(seconds), zone).isoformat() if seconds else None


def _last_used(link: str, sight: Snapshot) -> str | None:
    return moment(sight.last_uses.get(link, 0.0), sight.zone)


def _serving(name: str, observed: Mapping[str, Observed]) -> Observed | None:
    """The workload of this name, which serves one link; or else the one that serves those of several users."""
    return observed.get(name) or next((each for each in observed.values() if each.live), None)


def _state(user: User, name: str, sight: Snapshot) -> tuple[str, str]:
    if not user.enabled:
        return "disabled", ""
    if user.expires_at and limits.expired(user, sight.now):
        end = user.expires_at.astimezone(sight.zone)
        return "expired", f"expired on {end:%Y-%m-%d %H:%M}, until a later date is set"
    total = sight.totals.get(user.id, Total())
    if limits.blocked(user, sight.config, total):
        return "blocked", limits.at_the_limit(user, sight.config, total, sight.now, sight.zone)
    if sight.observed is None:
        return "unknown", sight.unavailable
    there, problem = _serving(name, sight.observed), sight.problems.get(name, "")
    if there and there.state == RUNNING and (there.user_id == user.id or there.live):
        return "running", problem or (ESTIMATING if total.estimating else "")
    if sight.config.proxies_stopped:
        return "stopped", ""
    ended = there.reason if there else ""
    if problem or ended not in ("", STOPPED):
        return "failed", problem or ended
    return ("stopped" if there is None or ended == STOPPED else "starting"), ""


def changed_links(before: Iterable[UserView], after: Iterable[UserView]) -> str:
    """What to do, for people, when a change between these two looks has made another link of any; else ""."""
    old = {view.id: view.tg_link for view in before}
    changed = any(view.tg_link != old.get(view.id, view.tg_link) for view in after)
    return "The links have changed: send them again." if changed else ""
