"""Proxy links: tg://proxy and https://t.me/proxy, written and read."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

from app.lib.problem import Coded
from app.mtproto.english import ENGLISH
from app.mtproto.secret import Secret, SecretError

_WEB_HOSTS = {"t.me", "www.t.me", "telegram.me", "www.telegram.me", "telegram.dog"}


class LinkError(Coded, ValueError):
    """The link is not a proxy link, or can't be made; it says what is wrong."""

    language = ENGLISH


@dataclass(frozen=True)
class Link:
    """Where a proxy is and its secret. server: host name or IP address, IPv6 without brackets."""

    server: str
    port: int
    secret: Secret


def tg_link(server: str, port: int, secret: Secret) -> str:
    """The link that a Telegram app on the same device opens directly. Raises LinkError."""
    return f"tg://proxy?{_query(server, port, secret)}"


def tme_link(server: str, port: int, secret: Secret) -> str:
    """The link that any browser opens, leading to the app. Raises LinkError."""
    return f"https://t.me/proxy?{_query(server, port, secret)}"


def parse_link(url: str) -> Link:
    """Read tg://proxy?…, tg:proxy?… or https://t.me/proxy?…. Raises LinkError."""
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").lower()
    except ValueError as error:
        raise LinkError("link.not", reason=error) from error
    where = (host or parts.path.strip("/")) if parts.scheme == "tg" else parts.path.strip("/")
    known = parts.scheme == "tg" or (parts.scheme in ("http", "https") and host in _WEB_HOSTS)
    if not known or where != "proxy":
        raise LinkError("link.other")
    try:
        fields = parse_qs(parts.query, keep_blank_values=True, max_num_fields=20)
    except ValueError as error:
        raise LinkError("link.fields") from error
    found = {}
    for name in ("server", "port", "secret"):
        if not fields.get(name, [""])[0]:
            raise LinkError("link.lacks", part=name)
        if len(set(fields[name])) > 1:
            raise LinkError("link.twice", part=name)
        found[name] = fields[name][0]
    try:
        # A "+" of a standard-alphabet base64 secret arrives here as a space.
        secret = Secret.parse(found["secret"].replace(" ", "+"))
    except SecretError as error:
        raise LinkError("link.secret", problem=error) from error
    return Link(_server(found["server"]), _port(found["port"]), secret)


def _query(server: str, port: int, secret: Secret) -> str:
    return urlencode({"server": _server(server), "port": _port(port), "secret": secret.hex})


def _server(text: str) -> str:
    name = text.strip()
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    if not name or len(name) > 255 or any(char.isspace() or not char.isprintable() for char in name):
        raise LinkError("link.server", typed=text[:60])
    return name


def _port(value: int | str) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise LinkError("link.port", typed=text[:20])
    return int(text)
