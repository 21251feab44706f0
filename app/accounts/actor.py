"""Who asks for something: where it came in, under which name, with what right. Every action takes an actor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from app.config.model import Admin, Role
from app.messages.refused import Refused


class Right(IntEnum):
    """What an actor may do. Each right includes those before it."""

    NONE = 0
    #: To look at states and traffic, and to change one's own account. Nothing that lets somebody in: no secret, no
    #: link, no address of a user's own page, no log.
    VIEW = 1
    #: Users, their traffic and their proxies, one by one or many; their links.
    USERS = 2
    #: Settings, certificates and admins, and what stops everybody.
    SUDO = 3


#: What each role may do.
RIGHTS: Mapping[Role, Right] = {"owner": Right.SUDO, "operator": Right.USERS, "viewer": Right.VIEW}


class NotAllowed(Refused):
    """The actor lacks the right. Nothing was changed."""


@dataclass(frozen=True)
class Actor:
    """source: "web", "api", "cli", "bot", or "panel" for what happens by itself. right: the most that the actor may do.
    name: of the admin; "" where nobody logged in. token: the name of the admin's token, "" for themselves."""

    source: str
    right: Right
    name: str = ""
    token: str = ""

    @classmethod
    def of_admin(cls, source: str, admin: Admin) -> Actor:
        """An admin who has logged in."""
        return cls(source, RIGHTS[admin.role], admin.username)

    def may(self, right: Right) -> bool:
        return self.right >= right

    def require(self, right: Right) -> None:
        """Raise NotAllowed for an actor without this right."""
        if not self.may(right):
            who = self.name or self.source
            if right is Right.SUDO:
                raise NotAllowed("actor.not_sudo", name=who)
            if right is Right.USERS and self.may(Right.VIEW):
                raise NotAllowed("actor.viewer", name=who)
            raise NotAllowed("actor.no_admin", name=who)

    def __str__(self) -> str:
        """As it stands in the audit log."""
        if self.source == "bot":
            return f"bot:{self.name}"
        by = f" ({self.token})" if self.token else ""
        return f"admin:{self.name}{by}" if self.name else self.source


#: Whoever can run commands on the data folder can edit it, too.
CLI = Actor("cli", Right.SUDO)
PANEL = Actor("panel", Right.SUDO)
