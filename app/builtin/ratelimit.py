"""Limits that can be set while the engine runs: the buckets of the speed, and the file that sets all of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: A bucket may fall this far behind (seconds) and catch up at full speed.
BURST_SECONDS = 0.05
#: One read under a limit takes about this much of a second, so that the flow stays smooth.
_SLICE_SECONDS = 0.02
_SMALLEST_READ = 1024


class LimitsError(ValueError):
    """The limits file can't be used; the message says which key, which value and what is allowed."""


@dataclass(frozen=True)
class Limits:
    """connection, total: bits per second, 0 for none; each direction is counted on its own. addresses: from how many
    the link may be used at a time, 0 for any number; None where the configuration says it."""

    connection: int = 0
    total: int = 0
    addresses: int | None = None


class Bucket:
    """Spaces out what passes so that it does not exceed `rate` bytes per second; 0 is no limit.

    It gives out appointments instead of tokens: connections that share one are served in turn.
    """

    def __init__(self, rate: float = 0.0) -> None:
        self.rate = rate
        self._free_at = 0.0

    def charge(self, count: int, now: float) -> float:
        """Count bytes that passed; returns how many seconds (<= 0: none) to wait with the next."""
        if not self.rate:
            return 0.0
        self._free_at = max(self._free_at, now - BURST_SECONDS) + count / self.rate
        return self._free_at - now

    def set_rate(self, rate: float) -> None:
        self.rate, self._free_at = rate, 0.0


class RateLimiter:
    """The limits in force, and the buckets that all connections share."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.total_down, self.total_up = Bucket(), Bucket()
        self.connection_rate = 0.0
        self.read_size = 0

    def apply(self, limits: Limits) -> None:
        self.limits = limits
        self.connection_rate = limits.connection / 8
        self.total_down.set_rate(limits.total / 8)
        self.total_up.set_rate(limits.total / 8)
        rates = [rate / 8 for rate in (limits.connection, limits.total) if rate]
        #: How much one read may take; 0 if there is no limit.
        self.read_size = max(_SMALLEST_READ, int(min(rates) * _SLICE_SECONDS)) if rates else 0


class LimitsFile:
    """limits.toml beside the configuration; looked at when its time or size has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def changed(self) -> Limits | None:
        """New limits, or None if the file is as it was. Raises LimitsError once for a broken file."""
        try:
            stat = self.path.stat()
            mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except FileNotFoundError:
            mark = (0, 0, 0)
        except OSError as error:
            mark = (0, 0, error.errno or -1)
        if mark == self._seen:
            return None
        self._seen = mark
        if mark == (0, 0, 0):
            return Limits()
        try:
            return parse_limits(self.path.read_text("utf-8"))
        except OSError as error:
            raise LimitsError(f"can't read {self.path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise LimitsError(f"{self.path} is not UTF-8 text") from error


def parse_limits(text: str) -> Limits:
    """Read connection-bits-per-second, total-bits-per-second and max-unique-ips. Raises LimitsError."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise LimitsError(f"the limits are not TOML: {error}") from error
    return Limits(connection=_whole(data, "connection-bits-per-second"), total=_whole(data, "total-bits-per-second"),
                  addresses=_whole(data, "max-unique-ips") if "max-unique-ips" in data else None)


def _whole(data: Mapping[str, object], key: str) -> int:
    value = data.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**12:
        raise LimitsError(f"{key} = {str(value)[:40]} is not allowed; allowed is 0 (none) to 10^12")
    return value
