"""Who asks for something: where it came in, under which name, with what right. Every action takes an actor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from app.config.model import Admin
from app.messages.refused import Refused


class Right(IntEnum):
    """What an actor may do. Each right includes those before it."""

    NONE = 0
    #: Users, their traffic and their proxies.
    USERS = 1
    #: Settings, certificates and admins.
    SUDO = 2


class NotAllowed(Refused):
    """The actor lacks the right. Nothing was changed."""


@dataclass(frozen=True)
class Actor:
    """source: "web", "cli", or "panel" for what happens by itself. right: the most that the actor may do.
    name: of the admin; "" where nobody logged in."""

    source: str
    right: Right
    name: str = ""

    @classmethod
    def of_admin(cls, source: str, admin: Admin) -> Actor:
        """An admin who has logged in."""
        return cls(source, Right.SUDO if admin.sudo else Right.USERS, admin.username)

    def require(self, right: Right) -> None:
        """Raise NotAllowed for an actor without this right."""
        if self.right < right:
            who = self.name or self.source
            if right is Right.SUDO:
                raise NotAllowed("actor.not_sudo", name=who)
            raise NotAllowed("actor.no_admin", name=who)

    def __str__(self) -> str:
        """As it stands in the audit log."""
        return f"admin:{self.name}" if self.name else self.source


#: Whoever can run commands on the data folder can edit it, too.
CLI = Actor("cli", Right.SUDO)
PANEL = Actor("panel", Right.SUDO)
