"""Hosts, addresses and what is made of them: how text is read, and what is allowed. All raise ValueError."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote

from app.config.invalid import InvalidValue
from app.mtproto.secret import MAX_DOMAIN, ascii_name, valid_domain

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
#: What resolvers read as a number, and so as an IPv4 address.
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
#: scheme://host[:port][/path], without a login; the host may be an IPv6 address in brackets.
_URL = re.compile(r"([a-z]+)://(\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+)(?::([0-9]{1,5}))?(/[!-~]*)?")

#: [registry[:port]/]path[:tag][@digest], as Docker's reference grammar has it.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(rf"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{{1,5}})?/)?{_PART}(?:/{_PART})*"
                    r"(?::\w[\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,})?", re.ASCII)

#: RFC 1929 has one byte for the length of a user name, and one for that of a password.
SOCKS5_LOGIN_BYTES = 255

#: How long a random name under sni_base_domain is, beside the base.
_RANDOM_PART = len("rumakoba.")


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def network(text: str) -> str:
    """An IP address, or a network such as 198.51.100.0/24, in its one form."""
    text = text.strip()
    return str(ipaddress.ip_network(text, strict=False) if "/" in text else ipaddress.ip_address(text))


def host_name(text: str) -> str:
    """A name of the DNS or the hosts file in lower-case ASCII, of one label or more."""
    name = ascii_name(text.strip().removesuffix(".").lower())
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or _NUMBER.fullmatch(labels[-1]):
        raise ValueError  # not a host name
    return name


def bare(value: str) -> str:
    """A name as people paste it, without https:// before it and a slash after it."""
    value = value.strip()
    found = re.fullmatch(r"(?:[a-z]+://)?([^/:@]+)/?", value, re.IGNORECASE)
    return found[1] if found else value


def host(value: str) -> str:
    """An address that clients can connect to, a host name, or ""."""
    value = bare(value)
    if not value:
        return ""
    return address(value) if is_ip(value.strip("[]")) else host_name(value)


def address(value: str) -> str:
    """An IP address that something can be reached at, or ""."""
    value = value.strip().removeprefix("[").removesuffix("]")
    if not value:
        return ""
    found = ipaddress.ip_address(value)
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    zoned = isinstance(found, ipaddress.IPv6Address) and found.scope_id
    beyond = isinstance(found, ipaddress.IPv4Address) and (found.is_reserved or str(found).startswith("0."))
    if found.is_unspecified or found.is_multicast or zoned or beyond:
        raise ValueError  # nobody can be reached at this address
    return str(found)


def bind_address(value: str) -> str:
    """An IP address that can be listened on, or ""."""
    value = value.strip().removeprefix("[").removesuffix("]")
    if not value or (is_ip(value) and ipaddress.ip_address(value).is_unspecified):
        return str(ipaddress.ip_address(value)) if value else ""
    return address(value)


def domain(value: str) -> str:
    """A domain for an SNI, or "". Raises SecretError."""
    return valid_domain(value) if value.strip() else ""


def base_domain(value: str) -> str:
    """A domain under which there is room for random names, or ""."""
    name = domain(value.strip().removeprefix("*."))
    if len(name) > MAX_DOMAIN - _RANDOM_PART:
        raise InvalidValue("domain.base_long", name=name[:60], count=len(name), most=MAX_DOMAIN - _RANDOM_PART)
    return name


def https(value: str) -> str:
    """https://host[:port][/path] without a fragment or a login, or ""."""
    return _page(value, "https")


def web(value: str) -> str:
    """The same by http:// or https://."""
    return _page(value, "http", "https")


def _page(value: str, *schemes: str) -> str:
    value = value.strip()
    if not value:
        return ""
    value = _url(value, *schemes)
    if any(character in value for character in "[]\"';{}\\$#"):
        raise ValueError  # characters that have no place in such an address
    return value


def site(value: str) -> str:
    """https://host[:port] or ""."""
    value = https(value).rstrip("/")
    if value.count("/") > 2:
        raise ValueError  # a path
    return value


def resolver(value: str) -> str:
    """An IP address, https://… or tls://…, or ""."""
    value = value.strip()
    if "://" not in value:
        return address(value)
    return _url(value, "https", "tls")


def _url(value: str, *schemes: str) -> str:
    found = _URL.fullmatch(value)
    if not found or found[1] not in schemes:
        raise ValueError  # not an address of this kind
    name = host(found[2])
    return (f"{found[1]}://{f'[{name}]' if ':' in name else name}{f':{_port(found[3])}' if found[3] else ''}"
            f"{found[4] or ''}")


def email(value: str) -> str:
    """name@example.com or ""; it is an argument of a command, so it begins with no dash."""
    value = value.strip()
    if value:
        name, _, where = value.rpartition("@")
        if not re.fullmatch(r"[A-Za-z0-9_%+]([A-Za-z0-9._%+-]*[A-Za-z0-9_%+-])?", name) or ".." in name or \
                len(name) > 64 or len(value) > 254:
            raise ValueError  # not an e-mail address
        value = f"{name}@{valid_domain(where)}"
    return value


def image(value: str) -> str:
    """A Docker image name."""
    value = value.strip()
    if not _IMAGE.fullmatch(value) or len(value.partition("@")[0]) > 255:
        raise ValueError  # not an image name
    return value


def parse_socks5(text: str) -> tuple[str, int, str, str]:
    """(host, port, user, password) of `host:port` or `user:password@host:port`.

    The user and password may hold any character but a colon in the user name, up to 255 bytes each.
    Raises ValueError when it is neither.
    """
    login, at, where = text.strip().rpartition("@")
    user, colon, password = login.partition(":")
    name, _, port = where.rpartition(":")
    bracketed = name.startswith("[") and name.endswith("]")
    if at and not (user and colon):
        raise ValueError  # user and password are missing before @
    if max(len(user.encode()), len(password.encode())) > SOCKS5_LOGIN_BYTES:
        raise ValueError  # user or password are longer than the protocol has room for
    if not name or (":" in name and not bracketed):
        raise ValueError  # the host is missing
    return host(name), _port(port), user, password


def socks5_url(text: str) -> str:
    """The same as an address that has names looked up by the proxy: where Telegram is blocked, its names are often
    answered wrongly. Raises ValueError as parse_socks5() does."""
    server, port, user, password = parse_socks5(text)
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    return f"socks5h://{login}{f'[{server}]' if ':' in server else server}:{port}"


def socks5(value: str) -> str:
    """`host:port` or `user:password@host:port`, or ""."""
    value = value.strip()
    if value:
        parse_socks5(value)
    return value


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError  # the port is missing, or not from 1 to 65535
    return int(text)
