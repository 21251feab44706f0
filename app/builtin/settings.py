"""The engine's configuration file: mtg's TOML, read and checked.

Keys that the engine does not know are tolerated, so the same file serves mtg and this engine.
"""

from __future__ import annotations

import ipaddress
import math
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from app.builtin.dc import PREFER_IP
from app.mtproto.secret import Secret, SecretError

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SIZE = re.compile(r"(\d+)([kmgt]?)i?b")
_PREFIX = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_MAX_SECONDS = 365 * 86400.0


class SettingsError(ValueError):
    """The configuration can't be used: the message names the key, its value and what is allowed."""


@dataclass(frozen=True)
class Endpoint:
    """An address to bind or to connect to; host is an IP address without brackets, or a name."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Upstream:
    """A SOCKS5 server. user and password are "" without authentication."""

    endpoint: Endpoint
    user: str = ""
    password: str = ""

    def __str__(self) -> str:
        return f"socks5://{self.endpoint}"


@dataclass(frozen=True)
class KeepAlive:
    """TCP keepalive: seconds until the first probe, between probes, and how many may fail."""

    enabled: bool = True
    idle: int = 15
    interval: int = 15
    count: int = 9


@dataclass(frozen=True)
class Settings:
    """Everything the engine is told. Times are in seconds, sizes in bytes."""

    secret: Secret
    bind_to: Endpoint
    debug: bool
    concurrency: int
    #: From how many addresses at a time, 0 for any number; limits.toml may say another one.
    max_unique_ips: int
    #: Who asks for the visitors' addresses with this key is told; "" to keep none.
    visitors_key: str = field(repr=False)
    prefer_ip: str
    proxy_protocol_listener: bool
    tolerate_time_skewness: float
    allow_fallback_on_unknown_dc: bool
    cover: Endpoint | None
    #: Whether the file names the address of the cover host, instead of leaving it to the DNS.
    cover_pinned: bool
    cover_proxy_protocol: bool
    upstreams: tuple[Upstream, ...]
    connect_timeout: float
    idle_timeout: float
    handshake_timeout: float
    keep_alive: KeepAlive
    anti_replay: bool
    anti_replay_bytes: int
    metrics: Endpoint | None
    metrics_path: str
    metrics_prefix: str


def read_settings(path: Path) -> Settings:
    """Read the file. Raises SettingsError, also for a file that is missing or not TOML."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise SettingsError(f"can't read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"the configuration {path} is not UTF-8 text") from error
    return parse_settings(text)


def parse_settings(text: str) -> Settings:
    """Check the text of a configuration file. Raises SettingsError."""
    try:
        table = _Table(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the configuration is not TOML: {error}") from error
    except RecursionError as error:
        raise SettingsError("the configuration is nested too deeply") from error
    secret = _secret(table)
    prometheus = table.flag("stats.prometheus.enabled")
    return Settings(
        secret=secret,
        bind_to=_bind(table, "bind-to"),
        debug=table.flag("debug"),
        concurrency=table.number("concurrency", 4096, 1, 1_000_000),
        max_unique_ips=table.number("max-unique-ips", 0, 0, 1_000_000),
        visitors_key=table.text("visitors-key", "letters and digits"),
        prefer_ip=_prefer_ip(table),
        proxy_protocol_listener=table.flag("proxy-protocol-listener"),
        tolerate_time_skewness=table.seconds("tolerate-time-skewness", 3.0),
        allow_fallback_on_unknown_dc=table.flag("allow-fallback-on-unknown-dc"),
        cover=_cover(table, secret),
        cover_pinned=bool(table.text("domain-fronting.ip", "an IP address")),
        cover_proxy_protocol=table.flag("domain-fronting.proxy-protocol"),
        upstreams=_upstreams(table),
        connect_timeout=table.seconds("network.timeout.tcp", 10.0),
        idle_timeout=table.seconds("network.timeout.idle", 300.0),
        handshake_timeout=table.seconds("network.timeout.handshake", 10.0),
        keep_alive=KeepAlive(
            enabled=not table.flag("network.keep-alive.disabled"),
            idle=max(1, round(table.seconds("network.keep-alive.idle", 15.0))),
            interval=max(1, round(table.seconds("network.keep-alive.interval", 15.0))),
            count=table.number("network.keep-alive.count", 9, 1, 127),
        ),
        anti_replay=table.flag("defense.anti-replay.enabled"),
        anti_replay_bytes=_size(table, "defense.anti-replay.max-size", 32 * 1024 * 1024),
        metrics=_bind(table, "stats.prometheus.bind-to") if prometheus else None,
        metrics_path=_http_path(table),
        metrics_prefix=_metric_prefix(table),
    )


class _Table:
    """Dotted access to the parsed file, with one error wording for every wrong type."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    def value(self, key: str, kind: type, allowed: str) -> Any:
        """The value of a dotted key, None if it is absent."""
        value: Any = self._data
        walked: list[str] = []
        for name in key.split("."):
            if not isinstance(value, dict):
                raise bad(".".join(walked), value, "a table")
            value = value.get(name)
            walked.append(name)
            if value is None:
                return None
        # TOML's true and false are no numbers, though Python's are.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise bad(key, value, allowed)
        return value

    def text(self, key: str, allowed: str) -> str:
        return self.value(key, str, allowed) or ""

    def flag(self, key: str) -> bool:
        return bool(self.value(key, bool, "true or false"))

    def number(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number; absent or 0 means the default, as in mtg."""
        value: int | None = self.value(key, int, f"a whole number from {low} to {high}")
        if not value:
            return default
        if not low <= value <= high:
            raise bad(key, value, f"a whole number from {low} to {high}")
        return value

    def seconds(self, key: str, default: float) -> float:
        """A Go duration in seconds; absent or 0 means the default, as in mtg."""
        allowed = 'a duration such as "300ms", "5s" or "1h30m", at most one year'
        text = re.sub(r"[ \t]", "", self.text(key, allowed)).lower()
        if text in ("", "0"):
            return default
        if (not text.isascii() and "µ" not in text) or not _DURATION.fullmatch(text):
            raise bad(key, text, allowed)
        total = math.fsum(float(count) * _UNITS[unit] for count, unit in _DURATION_PART.findall(text))
        if total > _MAX_SECONDS:
            raise bad(key, text, allowed)
        return total or default


def bad(key: str, value: object, allowed: str) -> SettingsError:
    """The error for a value that is not allowed."""
    shown = repr(value)
    if len(shown) > 80:
        shown = shown[:80] + "…"
    return SettingsError(f"{key} = {shown} is not allowed; allowed is {allowed}")


def _secret(table: _Table) -> Secret:
    allowed = "a proxy secret as hex or base64url"
    text = table.text("secret", allowed)
    if not text:
        raise SettingsError(f"secret is missing; allowed is {allowed}")
    try:
        return Secret.parse(text)
    except SecretError as error:
        raise SettingsError(f"secret: {error}") from error


def _bind(table: _Table, key: str) -> Endpoint:
    allowed = 'an IP address and a port from 1 to 65535, such as "0.0.0.0:2443" or "[::]:2443"'
    text = table.text(key, allowed)
    if not text:
        raise SettingsError(f"{key} is missing; allowed is {allowed}")
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
        if (address.version == 6) != bracketed:
            raise ValueError
        return Endpoint(str(address), _port(port))
    except ValueError as error:
        raise bad(key, text, allowed) from error


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ValueError(text)
    return int(text)


def _prefer_ip(table: _Table) -> str:
    allowed = ", ".join(PREFER_IP)
    value = table.text("prefer-ip", allowed).lower() or "prefer-ipv6"
    if value not in PREFER_IP:
        raise bad("prefer-ip", value, allowed)
    return value


def _cover(table: _Table, secret: Secret) -> Endpoint | None:
    """Where the cover host is: ip, else host, else the secret's host name; None without FakeTLS."""
    address = table.text("domain-fronting.ip", "an IP address")
    if address:
        try:
            address = str(ipaddress.ip_address(address))
        except ValueError as error:
            raise bad("domain-fronting.ip", address, "an IP address") from error
    host = table.text("domain-fronting.host", "a host name or an IP address")
    if len(host) > 253 or any(not "!" <= char <= "~" for char in host):
        raise bad("domain-fronting.host", host, "a host name or an IP address")
    port = table.number("domain-fronting.port", 443, 1, 65535)
    return Endpoint(address or host or secret.domain, port) if secret.domain else None


def _upstreams(table: _Table) -> tuple[Upstream, ...]:
    allowed = 'a list of addresses such as "socks5://127.0.0.1:1080" or "socks5://user:password@host:1080"'
    found: list[Upstream] = []
    for item in table.value("network.proxies", list, allowed) or ():
        if not isinstance(item, str):
            raise bad("network.proxies", item, allowed)
        # The value is not shown: it may hold a password.
        problem = SettingsError(f"network.proxies: item {len(found) + 1} is not usable; allowed is {allowed}")
        try:
            parts = urlsplit(item)
            host, port = parts.hostname, parts.port or 1080
        except ValueError as error:
            raise problem from error
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if parts.scheme not in ("socks5", "socks5h") or not host:
            raise problem
        if len(user.encode()) > 255 or len(password.encode()) > 255:
            raise SettingsError("network.proxies: user and password may have 255 bytes each")
        found.append(Upstream(Endpoint(host, port), user, password))
    return tuple(found)


def _size(table: _Table, key: str, default: int) -> int:
    allowed = 'a size such as "512kib" or "1mib"'
    text = table.text(key, allowed).replace(" ", "").lower()
    if not text:
        return default
    match = _SIZE.fullmatch(text)
    if not match or len(match[1]) > 12:
        raise bad(key, text, allowed)
    return int(match[1]) * 1024 ** " kmgt".index(match[2] or " ") or default


def _http_path(table: _Table) -> str:
    path = table.text("stats.prometheus.http-path", "an HTTP path") or "/"
    if any(not "!" <= char <= "~" for char in path):
        raise bad("stats.prometheus.http-path", path, "an HTTP path of visible ASCII characters")
    return "/" + path.strip("/")


def _metric_prefix(table: _Table) -> str:
    prefix = table.text("stats.prometheus.metric-prefix", "a metric name") or "mtg"
    if not _PREFIX.fullmatch(prefix):
        raise bad("stats.prometheus.metric-prefix", prefix, "letters, digits and _, no digit first")
    return prefix
