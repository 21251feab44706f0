"""What the fleet says when it won't do what was asked."""

from __future__ import annotations


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
