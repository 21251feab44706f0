"""What is sent: one message of one or many things that happened, and why it could not be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from app.messages import Problem
from app.messages.errors import Coded


@dataclass(frozen=True)
class Message:
    """title: one line. text: lines, no longer than words.LONGEST. id: the same if it is sent again. entries: what
    happened, as data, for programs."""

    title: str
    text: str
    id: str
    entries: tuple[Mapping[str, Any], ...] = ()


class SendFailed(Coded):
    """It did not arrive, or nobody knows whether it did. retry_after: seconds that the other side asks for."""

    def __init__(self, code: str | Problem, /, retry_after: float = 0.0, **params: object):
        super().__init__(code, "", **params)
        self.retry_after = retry_after


class Sender(Protocol):
    """One address of one channel."""

    def send(self, message: Message) -> None:
        """Returns once it has arrived at the next server. Raises SendFailed."""
