"""What the operator declares: fields, units, defaults, and the rules that need no I/O.

A field's `description` says what is allowed; it is also what a person reads
when a value is refused, and what the README's table is checked against.
Names are those of the installations that came before, so their files load.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
import secrets
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

from pydantic import (AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field,
                      ValidationError, model_validator)

from app.mtproto.secret import Secret, SecretError, valid_domain

NAME_LENGTH = 64

#: Domains that many people visit and that speak TLS 1.3: the SNI of a user who asked for none.
DOMAIN_POOL = (
    "www.cloudflare.com", "www.google.com", "www.apple.com", "www.microsoft.com", "www.amazon.com",
    "www.netflix.com", "www.github.com", "www.reddit.com", "www.wikipedia.org", "www.mozilla.org",
    "www.dropbox.com", "www.spotify.com", "www.twitch.tv", "www.stackoverflow.com", "www.nvidia.com",
    "www.intel.com", "www.oracle.com", "www.ibm.com", "www.adobe.com", "www.samsung.com",
    "vk.com", "ya.ru", "mail.ru", "ok.ru", "dzen.ru", "rutube.ru", "www.ozon.ru", "www.avito.ru",
    "habr.com", "www.kinopoisk.ru",
)

#: How the installations before us spelled `proxy_prefer_ip`.
OLD_PREFER_IP = {"v4": "prefer-ipv4", "v6": "prefer-ipv6", "prefer-v4": "prefer-ipv4",
                 "prefer-v6": "prefer-ipv6"}
PREFER_IP = ("prefer-ipv4", "prefer-ipv6", "only-ipv4", "only-ipv6")


#: Looser than an SNI domain: the server may be called by a name of one label in its own network.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class InvalidConfig(ValueError):
    """The declaration breaks a rule. One line per broken rule: field, value, what is allowed."""


def _refuse_bool(value: Any) -> Any:
    # JSON's true would otherwise pass as the number 1.
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("not a number")
    return value


def _host(value: str) -> str:
    value = value.strip().strip("[]")
    if value and not is_ip(value) and not _HOST.fullmatch(value):
        raise ValueError("not a host")
    return value.lower()


def _ip(value: str) -> str:
    value = value.strip().strip("[]")
    return str(ipaddress.ip_address(value)) if value else ""


def _socks5(value: str) -> str:
    if value.strip():
        parse_socks5(value)
    return value.strip()


def _prefer_ip(value: Any) -> Any:
    value = OLD_PREFER_IP.get(value, value)
    if value not in PREFER_IP:
        raise ValueError("unknown")
    return value


def _secret(value: str) -> str:
    return Secret.parse(value).hex


def _domain(value: str) -> str:
    return valid_domain(value) if value.strip() else ""


def _name(value: str) -> str:
    if not value.strip():
        raise ValueError("empty")
    return value


def _local(value: Any) -> Any:
    # The old panel wrote local times without a zone.
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.astimezone()
    return value


Whole = Annotated[int, BeforeValidator(_refuse_bool)]
Number = Annotated[float, BeforeValidator(_refuse_bool), AfterValidator(_finite)]
Text = Annotated[str, Field(strict=True)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
LocalTime = Annotated[AwareDatetime, BeforeValidator(_local)]

PORT_RULE = "a port: a whole number from 1 to 65535"
HOST_RULE = "a host name such as proxy.example.com, an IP address, or empty"
IP_RULE = "an IPv4 or IPv6 address, or empty"
LIMIT_RULE = "GB (1024^3 bytes), from 0 to 1,000,000; 0 means"
SPEED_RULE = "Mbit/s (10^6 bits per second), from 0 to 100,000; 0 means"


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", validate_assignment=False, populate_by_name=True)

    @model_validator(mode="after")
    def _no_misspelt_field(self):
        """A field of a newer or older version is kept; one letter off a known one is a typo."""
        known = {f.alias or name for name, f in type(self).model_fields.items()}
        for extra in self.model_extra or {}:
            close = difflib.get_close_matches(extra, known, n=1, cutoff=0.85)
            if close:
                raise ValueError(f"unknown field {extra!r}; did you mean {close[0]!r}?")
        return self


class User(_Part):
    """A person with a proxy link."""

    id: Text = Field(default="", pattern=r"^[0-9a-z-]{1,32}$",
                     description="1 to 32 of 0-9, a-z and -; made by the panel, never changed")
    name: Annotated[Text, AfterValidator(_name)] = Field(description="any text that is not empty")
    secret: Annotated[Text, AfterValidator(_secret)] = Field(
        repr=False, description="a proxy secret: ee + 32 hex digits + the domain in hex (or base64url), "
                                "dd + 32 hex digits, or 32 hex digits")
    port: Port = Field(description=PORT_RULE)
    enabled: bool = Field(default=True, description="true or false")
    fake_tls_domain: Annotated[Text, AfterValidator(_domain)] = Field(
        default="", description="a host name; it is part of an ee secret, and the secret decides")
    traffic_limit_gb: Number = Field(default=0, ge=0, le=1e6, description=f"{LIMIT_RULE} the global limit")
    throttle_speed_mbps: Number = Field(default=0, ge=0, le=1e5,
                                        description=f"{SPEED_RULE} the global speed")
    expires_at: LocalTime | None = Field(
        default=None, description="a date and time such as 2027-01-31T00:00:00+03:00, or null for never")
    note: Text = Field(default="", max_length=1000, description="any text of up to 1,000 characters")
    created_at: LocalTime = Field(
        default_factory=lambda: now(), description="a date and time such as 2026-01-31T12:00:00+03:00")

    @model_validator(mode="after")
    def _domain_of_the_secret(self):
        secret = Secret.parse(self.secret)
        if secret.domain:
            self.fake_tls_domain = secret.domain
        return self


class Admin(_Part):
    """A person who logs in to the panel, beside the first one (`admin_username`)."""

    username: Annotated[Text, AfterValidator(_name)] = Field(description="any text that is not empty")
    password_hash: Text = Field(repr=False, description="a hash made by the panel")
    sudo: bool = Field(default=False, description="true for an admin who may change settings and admins")
    created_at: LocalTime = Field(
        default_factory=lambda: now(), description="a date and time such as 2026-01-31T12:00:00+03:00")


class Config(_Part):
    """The whole declaration: data/config.json."""

    admin_username: Annotated[Text, AfterValidator(_name)] = Field(
        default="admin", description="any text that is not empty")
    admin_password_hash: Text = Field(default="", repr=False, description="a hash made by the panel")
    initial_password: Text | None = Field(
        default=None, alias="_initial_password", repr=False,
        description="the first password, removed at the first login")
    admins: list[Admin] = Field(default_factory=list, description="a list of admins")
    secret_key: Text = Field(default="", repr=False, description="the key that signs sessions")
    server_domain: Annotated[Text, AfterValidator(_host)] = Field(default="", description=HOST_RULE)
    server_ip: Annotated[Text, AfterValidator(_ip)] = Field(default="", description=IP_RULE)
    proxy_port: Port = Field(default=2443, description=PORT_RULE)
    proxy_bind: Annotated[Text, AfterValidator(_ip)] = Field(
        default="", description="an IP address of this machine; empty means all of them")
    proxy_image: Text = Field(default="mtg-custom", description="a Docker image name")
    proxy_tag: Text = Field(default="", description="an advertising tag, or empty")
    proxy_prefer_ip: Annotated[Text, BeforeValidator(_prefer_ip)] = Field(
        default="prefer-ipv4", description=", ".join(PREFER_IP[:-1]) + " or " + PREFER_IP[-1])
    fake_tls_domain: Annotated[Text, AfterValidator(valid_domain)] = Field(
        default="www.cloudflare.com", description="a host name such as www.example.com")
    stats_enabled: bool = Field(default=True, description="true or false")
    traffic_limit_gb: Number = Field(default=0, ge=0, le=1e6, description=f"{LIMIT_RULE} no limit")
    throttle_speed_mbps: Annotated[Number, Field(gt=0, le=1e5)] = Field(
        default=1, description="Mbit/s (10^6 bits per second), more than 0 and up to 100,000")
    port_443_mode: bool = Field(default=False, description="true or false")
    upstream_socks5: Annotated[Text, AfterValidator(_socks5)] = Field(
        default="", repr=False, description="host:port or user:password@host:port, or empty")
    domain_fronting_ip: Annotated[Text, AfterValidator(_ip)] = Field(default="", description=IP_RULE)
    domain_fronting_port: Port = Field(default=443, description=PORT_RULE)
    users: list[User] = Field(default_factory=list, description="a list of users")

    @model_validator(mode="before")
    @classmethod
    def _complete_old_users(cls, data: Any) -> Any:
        return _with_ports_and_ids(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _nobody_shares(self):
        _refuse_shared("id", [(u.id, u.name) for u in self.users])
        _refuse_shared("port", [(u.port, u.name) for u in self.users])
        names = [self.admin_username, *(a.username for a in self.admins)]
        _refuse_shared("admin name", [(n, n) for n in names])
        return self


#: Settings that this version acts on; the others are kept for the installation they came from.
SETTINGS = ("server_domain", "server_ip", "proxy_port", "proxy_bind", "proxy_prefer_ip", "fake_tls_domain",
            "traffic_limit_gb", "throttle_speed_mbps", "upstream_socks5", "domain_fronting_ip",
            "domain_fronting_port")


def now() -> datetime:
    """The current time with the server's own offset, to the second."""
    return datetime.now().astimezone().replace(microsecond=0)


def new_id(taken: set[str]) -> str:
    """A random id of 8 hex digits that is not in `taken`."""
    while True:
        candidate = secrets.token_hex(4)
        # All digits would read like a number, and like a name that people do use.
        if candidate not in taken and not candidate.isdigit():
            return candidate


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def parse_socks5(text: str) -> tuple[str, int, str, str]:
    """(host, port, user, password) of `host:port` or `user:password@host:port`.

    The user and password may hold any character but a colon in the user name.
    Raises ValueError when it is neither.
    """
    login, at, address = text.strip().rpartition("@")
    user, colon, password = login.partition(":")
    host, _, port = address.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if at and not (user and colon):
        raise ValueError("user and password are missing before @")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError("the port is missing")
    if not is_ip(host) and not _HOST.fullmatch(host):
        raise ValueError("the host is missing")
    return host, int(port), user, password


def clean_name(text: str) -> str:
    """The name a new or renamed user gets. Raises ValueError with a human message."""
    name = text.strip()
    if not name:
        raise ValueError(f"a name is needed: 1 to {NAME_LENGTH} characters")
    if len(name) > NAME_LENGTH:
        raise ValueError(f"the name has {len(name)} characters; {NAME_LENGTH} are allowed")
    if not name.isprintable():
        bad = next(c for c in name if not c.isprintable())
        raise ValueError(f"the name contains the control character {bad!r}; letters, digits, spaces and "
                         "punctuation are allowed")
    return name


def parse_expiry(text: str) -> datetime | None:
    """A moment in the server's time zone. A bare date means the end of that day; "" and "never" mean None.

    Raises ValueError with a human message.
    """
    text = text.strip()
    if text.lower() in ("", "never", "none"):
        return None
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time()).astimezone()
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a date; write 2027-01-31, 2027-01-31T18:00, or never") from None


def pick_domain(config: Config) -> str:
    """The SNI domain of a new user who asked for none.

    Everybody gets a domain of their own, as port 443 tells users apart by it -
    except when the cover is pinned to one address: only the declared domain is
    sure to have a certificate there.
    """
    if config.domain_fronting_ip:
        return config.fake_tls_domain
    taken = {u.fake_tls_domain for u in config.users}
    free = (d for d in (config.fake_tls_domain, *DOMAIN_POOL) if d not in taken)
    return next(free, config.fake_tls_domain)


def load(data: Any) -> Config:
    """Turn parsed JSON into a Config. Raises InvalidConfig."""
    if not isinstance(data, dict):
        raise InvalidConfig(f"the file holds {_kind(data)}; an object {{…}} is expected")
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise InvalidConfig("\n".join(_sentence(e, data) for e in error.errors())) from None


def dump(config: Config) -> dict[str, Any]:
    """The JSON form of a Config; load(dump(c)) == c."""
    # No warnings: a value as typed may stand in a field until load() has read it.
    data = config.model_dump(mode="json", by_alias=True, warnings=False)
    if data["_initial_password"] is None:
        del data["_initial_password"]
    return data


def _with_ports_and_ids(data: dict) -> dict:
    """Users of the installations before us may lack a port, an id, or both."""
    users = data.get("users")
    if not isinstance(users, list) or not all(isinstance(u, dict) for u in users):
        return data
    base = data.get("proxy_port", 2443)
    ports = {u["port"] for u in users if isinstance(u.get("port"), int)}
    ids = {u["id"] for u in users if isinstance(u.get("id"), str)}
    completed = []
    for index, user in enumerate(users):
        user = dict(user)
        if "port" not in user and isinstance(base, int):
            user["port"] = next((p for p in range(base + index, 65536) if p not in ports), 0)
            ports.add(user["port"])
        if not user.get("id"):
            user["id"] = new_id(ids)
            ids.add(user["id"])
        completed.append(user)
    return {**data, "users": completed}


def _refuse_shared(what: str, pairs: list[tuple[Any, str]]) -> None:
    owner: dict[Any, str] = {}
    for value, name in pairs:
        if value in owner:
            raise ValueError(f"users {owner[value]!r} and {name!r} both have the {what} {value}"
                             if what != "admin name" else f"two admins are called {value!r}")
        owner[value] = name


#: Fields whose value is never repeated in a message.
_HIDDEN = {"secret", "password_hash", "admin_password_hash", "_initial_password", "secret_key",
           "upstream_socks5"}


def _sentence(error: Any, data: dict) -> str:
    """One pydantic error as a sentence: field, value, what is allowed."""
    path, model, rule, node = "", Config, "", data
    for step in error["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
            name = node[step].get("name") if isinstance(node, list) and isinstance(node[step], dict) else None
            path += f" ({name!r})" if name else ""
        else:
            path += f".{step}" if path else str(step)
            info = next((f for n, f in model.model_fields.items() if step in (n, f.alias)), None)
            rule = info.description if info and info.description else ""
            model = {"users": User, "admins": Admin}.get(str(step), model)
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            node = None
    if error["type"] == "missing":
        return f"{path} is missing; allowed: {rule}"
    cause = error.get("ctx", {}).get("error")
    if not error["loc"] or (cause and str(cause).startswith("unknown field")):
        return f"{path}: {cause}" if path else str(cause or error["msg"])
    hidden = error["loc"][-1] in _HIDDEN
    value = "this value" if hidden else _short(error["input"])
    if isinstance(cause, SecretError):
        return f"{path}: {cause}"
    return f"{path}: {value} is not allowed; allowed: {rule}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _kind(data: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(data), "a number")
