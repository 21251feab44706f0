"""What the panel says when it won't do what was asked."""

from __future__ import annotations

from collections.abc import Iterable

from app.messages.errors import Coded


class Refused(Coded):
    """Nothing was changed. Carries a problem for each input that was refused."""

    @property
    def parts(self) -> tuple[Refused, ...]:
        """One refusal for each problem."""
        return tuple(map(Refused, self.problems))

    @classmethod
    def raise_all(cls, parts: Iterable[Refused]) -> None:
        """Raise what was refused, all at once; nothing if it is none."""
        parts = tuple(parts)
        if len(parts) == 1:
            raise parts[0]
        if parts:
            raise cls.of(problem for part in parts for problem in part.problems)


class LoginThrottled(Refused):
    """Too many failed logins; `seconds` until the next attempt is looked at."""

    def __init__(self, seconds: float):
        super().__init__("login.throttled", minutes=max(1, round(seconds / 60)))
        self.seconds = seconds


class LoginBusy(Refused):
    """More people log in at this moment than are looked at; this attempt was not. `seconds` until it may be."""

    seconds = 2.0

    def __init__(self) -> None:
        super().__init__("login.busy")
