"""What people and programs see of the fleet: one user, and the whole."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from app.config.model import Config, User
from app.fleet.desired import expired, limit_gb, speed_mbps, workload_name
from app.ledger.traffic import Total
from app.mtproto.links import tg_link, tme_link
from app.mtproto.secret import Secret
from app.runtimes.base import RUNNING, STOPPED, Observed


@dataclass(frozen=True)
class UserView:
    """One user: declaration, state and traffic in one flat record; its fields are the CLI's JSON.

    state: running, starting, stopped, disabled, expired, failed, or unknown while the
    runtime does not answer. reason: why it does not run, or is troubled; "" if all is well. limit_gb, speed_mbps: what
    applies (0 = no limit); own_*: the user's own (0 = the global one).
    bytes_down, bytes_up: relayed to and from the user since the user exists.
    throttled_bps: the limit in force in bits per second, None if there is none.
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
    limit_gb: float
    speed_mbps: float
    own_limit_gb: float
    own_speed_mbps: float
    throttled_bps: int | None
    expires_at: str | None
    note: str
    created_at: str
    tg_link: str
    tme_link: str

    def to_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Status:
    """running, total: users whose proxy runs, and who should have one running (enabled, not expired).
    stopped: whether all proxies are declared stopped. problems: sentences that a person should read.
    notes: what of the settings the engine does not do. server_note: "" or why the address in links is a guess."""

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
    connections: int

    def to_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Sight:
    """Everything a view is made of, read once for all users. observed: None, and `unavailable` says
    why, while the runtime does not answer."""

    config: Config
    observed: Mapping[str, Observed] | None
    unavailable: str
    totals: Mapping[str, Total]
    problems: Mapping[str, str]
    throttles: Mapping[str, int]
    now: datetime
    server: str


def user_view(user: User, sight: Sight) -> UserView:
    name = workload_name(user)
    total = sight.totals.get(user.id, Total())
    state, reason = _state(user, name, sight)
    secret = Secret.parse(user.secret)
    link = (sight.server, user.port, secret)
    return UserView(
        id=user.id, name=user.name, port=user.port, domain=user.fake_tls_domain, secret=secret.hex,
        masked_secret=secret.masked(), enabled=user.enabled, state=state, reason=reason,
        connections=total.connections if state == "running" else 0,
        bytes_down=total.down, bytes_up=total.up,
        limit_gb=limit_gb(user, sight.config), speed_mbps=speed_mbps(user, sight.config),
        own_limit_gb=user.traffic_limit_gb, own_speed_mbps=user.throttle_speed_mbps,
        throttled_bps=sight.throttles.get(name) if state == "running" else None,
        expires_at=user.expires_at.isoformat() if user.expires_at else None,
        note=user.note, created_at=user.created_at.isoformat(),
        tg_link=tg_link(*link), tme_link=tme_link(*link))


def _state(user: User, name: str, sight: Sight) -> tuple[str, str]:
    if not user.enabled:
        return "disabled", ""
    if expired(user, sight.now):
        return "expired", f"expired on {user.expires_at:%Y-%m-%d %H:%M}"
    if sight.observed is None:
        return "unknown", sight.unavailable
    there, problem = sight.observed.get(name), sight.problems.get(name, "")
    if there and there.state == RUNNING and there.user_id == user.id:
        return "running", problem
    if sight.config.proxies_stopped:
        return "stopped", ""
    if problem or (there and there.reason not in ("", STOPPED)):
        return "failed", problem or there.reason
    return ("stopped" if there is None or there.reason == STOPPED else "starting"), ""


def server_address(config: Config) -> tuple[str, str]:
    """(the address that goes into links, "" or a sentence that says why it may be wrong)."""
    declared = config.server_domain or config.server_ip
    if declared:
        return declared, ""
    if config.proxy_bind and not ipaddress.ip_address(config.proxy_bind).is_unspecified:
        guess = config.proxy_bind
    else:
        guess = _own_address()
    return guess, (f"Links use {guess}, this machine's own address, because neither server_domain nor "
                   "server_ip is set. Set the one that people reach from outside.")


def _own_address() -> str:
    """The address this machine would use towards the internet; connecting a UDP socket sends nothing."""
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((elsewhere, 9))
                return probe.getsockname()[0]
            except OSError:
                continue
    return "127.0.0.1"
