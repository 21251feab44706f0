"""What the engine writes to stderr: the start and warnings, a line each; no keys, no client addresses."""

from __future__ import annotations

import logging
import os
import time

log = logging.getLogger("mtproto")

#: The same kind of trouble is told once in so many seconds.
QUIET_SECONDS = 10.0
_told: dict[str, tuple[float, int]] = {}


def set_up(debug: bool) -> None:
    """Send the engine's log to stderr; informative lines below WARN only with debug."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    log.setLevel(logging.DEBUG if debug else logging.INFO)


def warn_rarely(kind: str, message: str) -> None:
    """Warn, but about one kind of trouble at most once in QUIET_SECONDS; the next line has the count.

    Scanners can cause any number of these, and must not fill a disk with them.
    """
    silent = _silenced(kind)
    if silent is not None:
        log.warning("%s%s", message, f" ({silent} more like it since the last such line)" if silent else "")


def failure_rarely(where: str, error: BaseException) -> None:
    """Log a fault of the engine itself, with its traceback, as rarely as a warning of one kind.

    Without memory nothing can be relied on any more: then the process ends, and whoever started it starts it again.
    """
    if isinstance(error, MemoryError):
        os.write(2, b"error: out of memory\n")
        os._exit(1)
    if _silenced(f"failure of {where}") is not None:
        log.error("%s failed; this is a fault of the engine", where, exc_info=error)


def _silenced(kind: str) -> int | None:
    """How many of this kind were kept back since the last line; None if this one is to be, too."""
    now = time.monotonic()
    last, silent = _told.get(kind, (-QUIET_SECONDS, 0))
    if now - last < QUIET_SECONDS:
        _told[kind] = (last, silent + 1)
        return None
    _told[kind] = (now, 0)
    return silent
