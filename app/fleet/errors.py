"""What the fleet says when it won't do what was asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from app.config.file import ConfigError
from app.edge.base import EdgeFailure
from app.runtimes.base import RuntimeFailure


class Refused(Exception):
    """Nothing was changed. The message is for people; `field` names the input it is about, or is ""."""

    def __init__(self, message: str, field: str = ""):
        super().__init__(message)
        self.field = field


class LoginThrottled(Refused):
    """Too many failed logins; `seconds` until the next attempt is looked at."""

    def __init__(self, seconds: float):
        super().__init__(f"Too many failed logins. Try again in {max(1, round(seconds / 60))} min.")
        self.seconds = seconds


class LoginBusy(Refused):
    """More people log in at this moment than are looked at; this attempt was not. `seconds` until it may be."""

    seconds = 2.0

    def __init__(self) -> None:
        super().__init__("Too many people log in at this moment. Try again in a few seconds.")


@contextmanager
def refusing() -> Iterator[None]:
    """What a lower room could not do is told to people as a refusal."""
    try:
        yield
    except (ConfigError, RuntimeFailure, EdgeFailure) as error:
        raise Refused(str(error)) from None
    except sqlite3.OperationalError as error:
        raise Refused(f"panel.db can't be used: {error}") from None
