"""proxy-secret and proxy-multi.conf: with which key, and where, MTProxy reaches Telegram. The last good ones, on
disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from app.lib import files
from app.lib.filelock import FileLock
from app.messages.errors import Coded

SECRET, CONF = "proxy-secret", "proxy-multi.conf"

#: Bytes that MTProxy takes as a key, and that a file of addresses may have: Telegram's has 1-2 kB.
_SHORTEST_KEY, _LONGEST_KEY, LONGEST_CONF = 32, 256, 64 * 1024
#: Telegram's data centres: who is on one that is missing could not connect.
_DCS = frozenset(range(1, 6))

_PROXY = re.compile(r"proxy_for\s+(-?\d{1,5})\s+(\[[0-9a-fA-F:.]{2,45}\]|[0-9A-Za-z.-]{1,253}):(\d{1,5})")
_OTHER = re.compile(r"(?:default\s+-?\d{1,5}|(?:timeout|min_connections|max_connections)\s+\d{1,9})")


class NotTelegrams(Coded, ValueError):
    """This is no such file; it says why."""


@dataclass(frozen=True)
class TelegramFiles:
    """secret: the key's bytes. conf: as MTProxy reads it, in an order of our own. at: Unix seconds, when they came."""

    secret: bytes
    conf: str
    at: float


def valid_secret(data: bytes) -> bytes:
    """The key, if it can be one. Raises NotTelegrams."""
    if not _SHORTEST_KEY <= len(data) <= _LONGEST_KEY:
        raise NotTelegrams("mtproxy.secret_size", count=len(data), least=_SHORTEST_KEY, most=_LONGEST_KEY)
    if all(byte < 0x80 for byte in data):
        # Of 32 random bytes, one in four billion has no high bit at all.
        raise NotTelegrams("mtproxy.secret_text")
    return data


def valid_conf(data: bytes) -> str:
    """The statements, sorted, without comments: so the same addresses in another order restart nobody. Raises
    NotTelegrams for anything else than Telegram's whole file."""
    if len(data) > LONGEST_CONF:
        raise NotTelegrams("mtproxy.conf_size", most=LONGEST_CONF)
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise NotTelegrams("mtproxy.conf_text") from None
    *statements, rest = "\n".join(line.partition("#")[0] for line in text.splitlines()).split(";")
    if rest.strip():
        raise NotTelegrams("mtproxy.conf_statement", text=_short(rest))
    found = [" ".join(statement.split()) for statement in statements if statement.strip()]
    dcs: set[int] = set()
    for statement in found:
        if proxy := _PROXY.fullmatch(statement):
            dcs.add(abs(int(proxy[1])))
            if not 1 <= int(proxy[3]) <= 65535:
                raise NotTelegrams("mtproxy.conf_statement", text=_short(statement))
        elif not _OTHER.fullmatch(statement):
            raise NotTelegrams("mtproxy.conf_statement", text=_short(statement))
    if missing := _DCS - dcs:
        raise NotTelegrams("mtproxy.conf_dcs", missing=sorted(missing))
    # Settings first, as they hold for what follows.
    ordered = sorted(set(found), key=lambda each: (each.startswith("proxy_for"), each))
    return "".join(f"{statement};\n" for statement in ordered)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 60 else words[:60] + "…"


class Store:
    """The files of a data folder. folder: made when something is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: tuple[tuple[int, ...], TelegramFiles] | None = None

    def read(self) -> TelegramFiles | None:
        """What is there and good; None if there is nothing, or nothing that could be used. Reads a file only when it
        has changed."""
        try:
            stats = [(self.folder / name).stat() for name in (SECRET, CONF)]
            stamp = tuple(value for each in stats for value in (each.st_mtime_ns, each.st_size, each.st_ino))
            if self._seen and self._seen[0] == stamp:
                return self._seen[1]
            found = TelegramFiles(valid_secret((self.folder / SECRET).read_bytes()),
                                  valid_conf((self.folder / CONF).read_bytes()), max(s.st_mtime for s in stats))
        except (OSError, NotTelegrams):
            return None
        self._seen = stamp, found
        return found

    def keep(self, secret: bytes, conf: bytes) -> bool:
        """Let these be the files from now on; whether they say something else than those before. Raises NotTelegrams,
        and OSError; what was there stays then."""
        secret, text = valid_secret(secret), valid_conf(conf)
        before = self.read()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with FileLock(self.folder / "lock") as lock:
            lock.take()
            files.put(self.folder / SECRET, secret, 0o600)
            files.put(self.folder / CONF, text.encode(), 0o644)
        return before is None or (before.secret, before.conf) != (secret, text)
