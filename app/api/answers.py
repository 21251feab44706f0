"""What the API answers with: records, whose schemas are those of OpenAPI. None of them holds a secret but `Link`.
Those about the whole are in server_answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import WithJsonSchema

from app.messages import Problem

#: A problem as JSON: code, params, and the sentence in English.
Told = Annotated[Problem, WithJsonSchema({"$comment": "Told"})]
#: What is declared, by the names that PATCH takes.
UserFields = Annotated[dict[str, Any], WithJsonSchema({"$comment": "UserFields"})]
PlanFields = Annotated[dict[str, Any], WithJsonSchema({"$comment": "PlanFields"})]
ChannelFields = Annotated[dict[str, Any], WithJsonSchema({"$comment": "ChannelFields"})]
SettingFields = Annotated[dict[str, Any], WithJsonSchema({"$comment": "Settings"})]


@dataclass(frozen=True)
class Traffic:
    """Bytes that were relayed. down, up: since the user exists; period_down, period_up: since the last reset, which is
    what counts towards the limit; now_down, now_up: bytes/s. estimated: whether some of it is an estimate."""

    down: int
    up: int
    period_down: int
    period_up: int
    now_down: int
    now_up: int
    estimated: bool
    limit_used_percent: float | None


@dataclass(frozen=True)
class Effective:
    """What applies to a user, be it their own, their plan's or that of the settings. 0 is none."""

    limit_gb: float
    at_limit: str
    speed_mbps: float
    max_unique_ips: int
    reset_cycle: str


@dataclass(frozen=True)
class User:
    """One user. declared: what PATCH changes. state: of the proxy: running, starting, stopped, disabled, expired,
    blocked, failed, unknown; condition: of the person: those, or online, idle, never, slowed, failing. reason: why it
    does not run, or is troubled. throttled_bps: the speed limit in force, in bits per second. has_page: whether there
    is a page for this user. version: of what is declared, which is the ETag, too. Times are ISO 8601."""

    id: str
    name: str
    enabled: bool
    state: str
    condition: str
    reason: Told | None
    declared: UserFields
    effective: Effective
    traffic: Traffic
    connections: int
    throttled_bps: int | None
    last_seen_at: str | None
    created_at: str
    served_by: str
    hints: list[Told]
    has_page: bool
    version: str


@dataclass(frozen=True)
class UserList:
    """One page of the users that match. found: on all pages, of those after `after`; total: all users there are;
    counts: how many are in each state that can be filtered by; next: the `after` of the next page."""

    users: list[User]
    page: int
    pages: int
    size: int
    found: int
    total: int
    counts: dict[str, int]
    next: str | None


@dataclass(frozen=True)
class OldLink:
    """A link from before a change of domain that works until then."""

    tg_link: str
    tme_link: str
    domain: str
    until: str
    last_used_at: str | None


@dataclass(frozen=True)
class Link:
    """What lets a user in: keep it as a password."""

    tg_link: str
    tme_link: str
    server: str
    port: int
    secret: str
    old_links: list[OldLink]


@dataclass(frozen=True)
class Page:
    """The page of a user, for that user. url: "" for none, or where the panel does not know under which name people
    reach it; path: from there on."""

    url: str
    path: str


@dataclass(frozen=True)
class Address:
    """An address from which a link is used now. since: when that was first seen."""

    address: str
    since: str | None


@dataclass(frozen=True)
class Devices:
    """addresses: how many use the link now, None if nobody tells; most: how many may, 0 for any number; connected:
    which ones, where the engine tells; refused_day, refused_month: connections that were one too many."""

    addresses: int | None
    most: int
    connected: list[Address]
    refused_day: int
    refused_month: int


@dataclass(frozen=True)
class Series:
    """Traffic of one period in equal parts. at: Unix seconds at which each begins; down, up: bytes in each; before:
    both directions, of the period before."""

    period: str
    at: list[int]
    down: list[int]
    up: list[int]
    before: list[int] | None
    estimated: bool


@dataclass(frozen=True)
class Step:
    """One step of a try, and how it went: "ok", "failed", or "" where it was not come to."""

    name: str
    result: str


@dataclass(frozen=True)
class LinkTest:
    """A try of a link from the server. milliseconds: until Telegram answered."""

    ok: bool
    server: str
    port: int
    steps: list[Step]
    reason: Told | None
    milliseconds: float | None


@dataclass(frozen=True)
class DeletedUser:
    """Who was deleted, and can be restored until then."""

    id: str
    name: str
    port: int
    domain: str
    note: str
    deleted_at: str
    until: str


@dataclass(frozen=True)
class Restored:
    """changed: what is not as it was, because somebody else has it by now."""

    user: User
    changed: list[Told]


@dataclass(frozen=True)
class Trouble:
    """Whose change failed, or is not applied yet, and why."""

    name: str
    reason: Told


@dataclass(frozen=True)
class Job:
    """A change to many users, under way or done. phase: saving, applying, done. changed: names by id; same: how many
    were so already. trouble: why nothing was changed at all, or nothing could be applied."""

    id: str
    action: str
    value: str
    phase: str
    wanted: int
    changed: dict[str, str]
    same: int
    failed: list[Trouble]
    later: list[Trouble]
    trouble: Told | None
    can_undo: bool


@dataclass(frozen=True)
class Plan:
    """A set of limits. users: how many have it. declared: what PATCH changes."""

    id: str
    name: str
    users: int
    declared: PlanFields
    version: str


@dataclass(frozen=True)
class Backup:
    """A backup on the server. made_at: ISO 8601. scheduled: by itself, not before a restore."""

    name: str
    made_at: str
    bytes: int
    encrypted: bool
    scheduled: bool


@dataclass(frozen=True)
class Admin:
    """Who may log in. role: owner, operator or viewer. second_factor: whether a code or a passkey is asked for."""

    username: str
    role: str
    second_factor: bool


@dataclass(frozen=True)
class NewPassword:
    """It is told this once."""

    username: str
    password: str


@dataclass(frozen=True)
class Token:
    """A token of this API. Times are ISO 8601, None for never."""

    id: str
    name: str
    admin: str
    scope: str
    created_at: str
    expires_at: str | None
    expired: bool
    last_used_at: str | None
    last_address: str


@dataclass(frozen=True)
class Self:
    """Who asks: the admin, the token, and what it may do now: view, users or sudo."""

    admin: str
    token: str
    scope: str
    right: str
    expires_at: str | None


@dataclass(frozen=True)
class Settings:
    """Every setting. version: is the ETag, too."""

    settings: SettingFields
    version: str


@dataclass(frozen=True)
class Channel:
    """A channel of notifications. declared: what PATCH changes, but for the secret, which is told to nobody.
    has_secret: whether there is one. troubles: why it could not be reached last."""

    id: str
    kind: str
    declared: ChannelFields
    has_secret: bool
    troubles: list[Told]
    version: str


@dataclass(frozen=True)
class UserLink:
    """The link of one user."""

    id: str
    name: str
    tg_link: str
    tme_link: str
