"""What the fleet says when it won't do what was asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from app.config.file import ConfigError
from app.edge.base import EdgeFailure
from app.runtimes.base import RuntimeFailure


class Refused(Exception):
    """Nothing was changed. The message is for people; `field` names the input it is about, or is "".
    parts: one refusal for each input that is about; this one itself if it is about one."""

    def __init__(self, message: str, field: str = ""):
        super().__init__(message)
        self.field = field
        self.parts: tuple[Refused, ...] = (self,)

    @classmethod
    def raise_all(cls, parts: Iterable[Refused]) -> None:
        """Raise what was refused, all at once; nothing if it is none."""
        parts = tuple(parts)
        if len(parts) == 1:
            raise parts[0]
        if parts:
            whole = cls("\n".join(str(part) for part in parts), parts[0].field)
            whole.parts = parts
            raise whole


class Unfinished(Exception):
    """The declaration is saved, but what follows from it failed. The message is for people, and says both."""


@contextmanager
def refusing() -> Iterator[None]:
    """What a lower room could not do is told to people as a refusal."""
    try:
        yield
    except (ConfigError, RuntimeFailure, EdgeFailure) as error:
        raise Refused(str(error)) from None
    except sqlite3.OperationalError as error:
        raise Refused(f"panel.db can't be used: {error}") from None


@contextmanager
def after_saving(what: str) -> Iterator[None]:
    """For everything that is done once the declaration is saved: no failure of it may read as if nothing had changed.

    what: a sentence that says what is saved.
    """
    try:
        yield
    except Exception as error:
        why = str(error).replace("Nothing was changed.", "").strip().rstrip(".") or type(error).__name__
        raise Unfinished(f"{what} What follows from it failed, and is tried again by the panel: {why}.") from error


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
