"""Settings that hold a password: they are shown without it."""

from __future__ import annotations

#: What stands in place of a password.
MASK = "…"
SECRETS = ("upstream_socks5",)


def without_password(socks5: str) -> str:
    """user:password@host:port with the password masked; what has none stays as it is."""
    login, at, address = socks5.rpartition("@")
    return f"{login.partition(':')[0]}:{MASK}@{address}" if at else socks5


def masked(key: str, value: str) -> str:
    """The value of a setting as it may be shown."""
    return without_password(value) if key in SECRETS else value


def is_masked(key: str, typed: str) -> bool:
    """Whether this was typed from what is shown, so that the password is missing."""
    return key in SECRETS and f":{MASK}@" in typed
