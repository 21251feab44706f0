"""What people and programs see, as flat records: one user, one certificate, the edge, the whole."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime, tzinfo
from typing import Any, Literal

from app.config import schema, times
from app.config.model import User
from app.messages import Problem, coded


@dataclass(frozen=True)
class OldLinkView:
    """A link from before a change of domain. until, last_used: ISO 8601; None for not used since."""

    domain: str
    until: str
    tg_link: str
    tme_link: str
    last_used: str | None


@dataclass(frozen=True)
class AddressView:
    """An address from which a link is used now. since: when this process, the panel or a command, first saw it
    there, ISO 8601."""

    address: str
    since: str | None

    @property
    def network(self) -> str:
        """The part of the internet that it is in, as providers give them out: a /24, of IPv6 a /48. Devices of one
        home have the same; so may neighbours. What is no address is told as it is."""
        try:
            parsed = ipaddress.ip_address(self.address.partition("%")[0])
        except ValueError:
            return self.address
        return str(ipaddress.ip_network(f"{parsed}/{24 if parsed.version == 4 else 48}", strict=False))


@dataclass(frozen=True)
class UserView:
    """One user: declaration, state and traffic in one flat record; its fields are the CLI's JSON.

    state: running, starting, stopped, disabled, expired, blocked, failed, or unknown while the
    runtime does not answer. reason: why it does not run, or is troubled; None if all is well.
    addresses: from which the links are used now, None if nobody tells; most_addresses: how many may be at
    a time, for each link, 0 for any number; addresses_verified_at: when that limit was last read back from the kernel
    or nginx, which keep it for an engine that does not itself; None if they do not. connected: these addresses,
    where the engine tells them, the longest first. refused_addresses_day, _month:
    connections that were refused for it in the last 24 hours, and in the last 30 days.
    over_limit: what happened at the limit and when it ends, None below it. warning: 80, 95 or
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
    when that was last read back. slow: why the proxy serves worse than it could, None if it does not.
    served_by: the engine's name; shared: whether its one workload serves other users, too; restarts: whether a new
    domain or secret restarts it, which ends all connections of its users. link_port: the port in the link: the
    declared public_port, else listened_port: the user's own, that of an engine which serves all its users
    together, or that of nginx.
    link_last_used: when this link, not an old one, was last used. Times are ISO 8601.
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
    reason: Problem | None
    connections: int
    addresses: int | None
    most_addresses: int
    addresses_verified_at: str | None
    connected: list[AddressView]
    refused_addresses_day: int
    refused_addresses_month: int
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
    hints: list[Problem]
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
    over_limit: Problem | None
    throttled_bps: int | None
    throttle_verified_at: str | None
    expires_at: str | None
    expires_after_days: int
    note: str
    created_at: str
    slow: Problem | None
    served_by: str
    shared: bool
    restarts: bool
    listened_port: int
    link_port: int
    tg_link: str
    tme_link: str
    link_last_used: str | None
    old_links: list[OldLinkView]
    more: dict[str, Any]

    def without_secrets(self) -> UserView:
        """The same without what lets somebody in, and without the addresses that people come from."""
        return replace(self, secret="", masked_secret="", tg_link="", tme_link="", connected=[],
                       old_links=[replace(old, tg_link="", tme_link="") for old in self.old_links])

    def to_json(self) -> dict[str, Any]:
        told = document(self)
        del told["more"]
        return {**told, **self.more}

    def more_written(self) -> dict[str, str]:
        """`more` as it is typed; "" for what is left at the default."""
        return {key: schema.fields(User)[key].write(value) for key, value in self.more.items()}


#: How a person is: the first that applies. "stopped": all proxies are declared stopped; "unknown": the runtime does
#: not answer.
Condition = Literal["disabled", "expired", "blocked", "unknown", "failing", "stopped", "slowed", "online", "idle",
                    "never"]


@dataclass(slots=True)
class Row:
    """One user in a list.

    condition: of the person; state, reason: of their proxy, as in UserView. sees_nobody: whether it can't be
    seen who is connected. down, up: bytes since the user exists, used_*: since the last reset, today_*: since
    midnight, now_*: bytes/s. share: of the limit, in percent; 0.0 without one. last_seen: Unix seconds, 0.0 for
    never. engine: the name of the one that serves the user. throttled: bits per second, None if not slowed.
    hints: as in UserView. attention: why somebody should look at this user, as in app/control/attention; "" for
    no reason.
    """

    user: User
    condition: Condition
    state: str
    reason: Problem | None
    engine: str
    connections: int
    down: int
    up: int
    used_down: int
    used_up: int
    now_down: int
    now_up: int
    probes: int
    estimated: bool
    used_estimated: bool
    limit_gb: float
    share: float
    warning: int
    over: bool
    throttled: int | None
    last_seen: float
    soon: bool
    hints: list[Problem]
    today_down: int
    today_up: int
    attention: str = ""

    def without_secrets(self) -> Row:
        """The same, without what lets somebody in."""
        return replace(self, user=self.user.model_copy(update={"secret": "", "share_token": "", "old_links": []}))

    @property
    def id(self) -> str:
        return self.user.id

    @property
    def name(self) -> str:
        return self.user.name

    @property
    def used(self) -> int:
        """Bytes since the last reset, both directions."""
        return self.used_down + self.used_up

    @property
    def today(self) -> int:
        """Bytes since midnight, both directions."""
        return self.today_down + self.today_up

    @property
    def now(self) -> int:
        """Bytes a second, both directions."""
        return self.now_down + self.now_up

    @property
    def expires_at(self) -> datetime | None:
        return self.user.expires_at


@dataclass(frozen=True)
class PlanView:
    """A plan, and how many have it. Of limit_gb, speed_mbps, max_unique_ips: 0 = as the settings say, None = none; of
    at_limit and reset_cycle, "" is as the settings say."""

    id: str
    name: str
    users: int
    limit_gb: float | None
    at_limit: str
    speed_mbps: float | None
    max_unique_ips: int | None
    reset_cycle: str
    expires_after_days: int

    def to_json(self) -> dict[str, Any]:
        return document(self)


@dataclass(frozen=True)
class DeletedView:
    """A user who was deleted. deleted_at; until: for how long they can be restored; ISO 8601."""

    id: str
    name: str
    port: int
    domain: str
    note: str
    deleted_at: str
    until: str

    def to_json(self) -> dict[str, Any]:
        return document(self)


@dataclass(frozen=True)
class DoorView:
    """The panel by HTTPS at the bare address. self_signed: whether its certificate is its own, which browsers warn of;
    then people compare the fingerprint (SHA-256), and reason says why no authority has issued one, as far as that is
    known. expires_at: ISO 8601."""

    url: str
    self_signed: bool
    fingerprint: str
    expires_at: str
    reason: Problem | None


@dataclass(frozen=True)
class EdgeStatus:
    """nginx before the panel. port_443: whether users are reached by it. panel_https: whether the panel's name
    has a certificate. names: how many users with a running proxy it leads to. trouble: why it does not
    serve what it should, as the last pass found; None if it does. problems: that, and those of certificates.
    by_address: the panel at the bare address, None where it is not served there. router: who takes the connections
    on port 443, "nginx" or "traefik"."""

    port_443: bool
    panel_domain: str
    panel_https: bool
    names: int
    trouble: Problem | None
    problems: list[Problem]
    by_address: DoorView | None = None
    router: str = "nginx"


@dataclass(frozen=True)
class CertificateView:
    """One certificate. Times are ISO 8601, None for never. reason: of the last failure, None if the last try
    succeeded. days_left: until it expires, negative if it has. ends_soon: whether it should long have been renewed."""

    name: str
    domains: list[str]
    issued_at: str | None
    expires_at: str | None
    days_left: int | None
    tried_at: str | None
    reason: Problem | None
    ends_soon: bool = False

    def to_json(self) -> dict[str, Any]:
        return document(self)


@dataclass(frozen=True)
class TokenView:
    """A token of the API. Times are ISO 8601, None for never. orphaned: whether there is no such admin any more, so
    that it is worth nothing. last_used_at: to ten minutes; last_address: from where, "" for never."""

    id: str
    name: str
    admin: str
    scope: str
    created_at: str
    expires_at: str | None
    expired: bool
    orphaned: bool
    last_used_at: str | None
    last_address: str

    def to_json(self) -> dict[str, Any]:
        return document(self)


@dataclass(frozen=True)
class BadView:
    """Connections that an engine turned away for one reason (its own name for it): in the last 24 hours, in the last
    30 days. what, todo: the cause, and what to do about it."""

    engine: str
    reason: str
    day: int
    month: int
    what: Problem
    todo: Problem


@dataclass(frozen=True)
class DebugLogView:
    """An engine that can write a more detailed log for a while. until: when that ends, ISO 8601; None if it writes the
    usual one. minutes: those that are left, begun ones included."""

    engine: str
    until: str | None
    minutes: int


@dataclass(frozen=True)
class Status:
    """running, total: users whose proxy runs, and who should have one running (enabled, not expired and
    not blocked).
    users: everybody's view, where it was asked for; rows: everybody, in short.
    stopped: whether all proxies are declared stopped. problems: what a person should know of.
    bytes_*, period_*, now_* (bytes/s), connections, probes: of all users together. edge: None without nginx.
    notes: what of the settings the engine does not do, and the users' hints. server_note: why the address
    in links is a guess, or leads nobody here; None if it is neither. outdated: proxies that run, and whose image is
    an old one. bad: connections that engines turned away, the most frequent of the last day first; of engines that
    tell. debug_logs: engines that serve somebody, and can write a more detailed log."""

    runtime: str
    engine: str
    running: int
    total: int
    users: list[UserView]
    rows: list[Row]
    stopped: bool
    problems: list[Problem]
    notes: list[Problem]
    server: str
    server_note: Problem | None
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
    bad: list[BadView]
    debug_logs: list[DebugLogView]

    @property
    def estimated(self) -> bool:
        """Whether bytes_* hold estimates; period_* may."""
        return any(row.estimated for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        told = document(replace(self, rows=[]))
        del told["rows"]
        return {**told, "users": [view.to_json() for view in self.users], "estimated": self.estimated}


def moment(seconds: float, zone: tzinfo) -> str | None:
    """Unix seconds as ISO 8601; None for 0.0, which is never."""
    return times.at(int(seconds), zone).isoformat() if seconds else None


def document(record: Any) -> dict[str, Any]:
    """A record as JSON has it. Its problems are put into words by whoever writes it, "" for none; beside a field that
    holds some, one that ends in _coded has them as code, params and message."""
    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(each) for each in value]
        return document(value) if is_dataclass(value) and not isinstance(value, Problem) else value

    told = {field.name: plain(getattr(record, field.name)) for field in fields(record)}
    for name in [field.name for field in fields(record) if field.type == "Problem | None"]:
        told |= {name: told[name] or "", f"{name}_coded": coded(told[name]) if told[name] else None}
    for name in [field.name for field in fields(record) if field.type == "list[Problem]"]:
        told[f"{name}_coded"] = list(map(coded, told[name]))
    return told
