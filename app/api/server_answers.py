"""What the API answers with about the whole: records, whose schemas are those of OpenAPI, without any secret."""

from __future__ import annotations

from dataclasses import dataclass

from app.api.answers import Told


@dataclass(frozen=True)
class Certificate:
    """One certificate. Times are ISO 8601. reason: of the last failure."""

    name: str
    domains: list[str]
    issued_at: str | None
    expires_at: str | None
    days_left: int | None
    tried_at: str | None
    reason: Told | None
    ends_soon: bool


@dataclass(frozen=True)
class Status:
    """The whole. running, expected: proxies that run, and that should. stopped: whether all are declared stopped.
    problems: what somebody should look at; notes: what is worth knowing. The rest is of all users together."""

    version: str
    runtime: str
    engine: str
    users: int
    running: int
    expected: int
    stopped: bool
    connections: int
    down: int
    up: int
    now_down: int
    now_up: int
    outdated: int
    problems: list[Told]
    notes: list[Told]
    port_443: bool
    server: str


@dataclass(frozen=True)
class Event:
    """at: Unix seconds. subject: to whom or what. detail: None for none."""

    at: float
    actor: str
    action: str
    subject: str
    detail: Told | None
    message: str


@dataclass(frozen=True)
class Engine:
    """What serves users. missing: what has to be installed first. shared: whether its users share one proxy; users:
    how many it serves here."""

    name: str
    missing: Told | None
    shared: bool
    speed_limit: bool
    address_limit: bool
    restarts: bool
    users: int


@dataclass(frozen=True)
class Outcome:
    """What came of one action on a proxy."""

    action: str
    name: str
    user: str
    ok: bool
    reason: Told | None


@dataclass(frozen=True)
class Work:
    """A start, stop or restart of all proxies, under way or done. phase: none (nobody has asked for one since the panel
    was started), applying, done. done, of: proxies so far, both 0 while it is not known how many. outcomes: at the end,
    what came of each; trouble: why it could not be done at all."""

    action: str
    actor: str
    phase: str
    done: int
    of: int
    outcomes: list[Outcome]
    trouble: Told | None


@dataclass(frozen=True)
class Finding:
    """about: the part that was looked at. state: ok, note or problem. command: what mends it, on the server."""

    about: str
    state: str
    text: Told
    command: str


@dataclass(frozen=True)
class Checkup:
    """The last look at everything. at: Unix seconds, None if there was none yet."""

    running: bool
    at: float | None
    findings: list[Finding]
    failed: Told | None


@dataclass(frozen=True)
class Updates:
    """installed, newest: versions, newest "" where nobody looks. result: how the last update ended. asked: whether one
    is asked for."""

    installed: str
    newest: str
    available: bool
    result: str
    asked: bool


@dataclass(frozen=True)
class DomainCheck:
    """Whether a domain answers as one should that users have. reason: why not."""

    domain: str
    ok: bool
    reason: Told | None


@dataclass(frozen=True)
class MtproxyContainer:
    """One container of MTProxy. users: how many it is to serve. tls: whether their links look like a visit to a site.
    connections: now; created: since its start; uptime: seconds. The last three are null if it does not answer."""

    number: int
    name: str
    port: int
    users: int
    tls: bool
    state: str
    connections: int | None
    created: int | None
    uptime: int | None


@dataclass(frozen=True)
class MtproxyStatus:
    """files_age_s: seconds since Telegram's files were last found good, null if there are none."""

    containers: list[MtproxyContainer]
    files_age_s: float | None


@dataclass(frozen=True)
class Named:
    """Somebody who was added."""

    id: str
    name: str


@dataclass(frozen=True)
class MtproxyImport:
    """added: who was. known: how many secrets somebody had already. unserved: why those who were added are kept, but
    not served yet; what helps stands in it."""

    added: list[Named]
    known: int
    unserved: list[Told]


@dataclass(frozen=True)
class Renewal:
    """begun: whether it begins now; not if it was under way. outdated: proxies that run an old image."""

    begun: bool
    outdated: int


@dataclass(frozen=True)
class Code:
    """text: as a template, with the names of the params in braces."""

    code: str
    text: str


@dataclass(frozen=True)
class Ban:
    """since, until: ISO 8601; until is None for one without an end. reason: of its last offence, "" for a ban by hand.
    offences: how many are known; ports: at which. ending: whether its end was asked for."""

    address: str
    since: str
    until: str | None
    reason: str
    offences: int
    ports: list[int]
    ending: bool


@dataclass(frozen=True)
class Bans:
    """wanted: whether bans are switched on. state: of fail2ban on the server: running, stopped, missing or unknown.
    asked: addresses for which a ban was asked for that is not there yet. offences_day: of the last day."""

    wanted: bool
    state: str
    bans: list[Ban]
    asked: list[str]
    offences_day: int
