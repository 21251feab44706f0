"""What people do to admins and their sessions: the declaration is changed, sessions end, and the audit log knows."""

from __future__ import annotations

from collections.abc import Callable

from app.accounts import admins
from app.accounts.logins import Logins, Place
from app.config.file import ConfigFile
from app.config.model import Admin, Config
from app.control.errors import refusing
from app.ledger.ledger import Ledger


class Accounts:
    def __init__(self, config: Callable[[], Config], file: ConfigFile, ledger: Ledger):
        """config: the declaration, or the last good one while the file is broken."""
        self._config = config
        self._file = file
        self._ledger = ledger
        self.logins = Logins(config, file, ledger)

    def everybody(self) -> list[Admin]:
        return admins.everybody(self._config())

    def find(self, username: str) -> Admin | None:
        return admins.find(self._config(), username)

    def has_first_password(self, username: str) -> bool:
        """Whether this is the first admin, with the password that was shown in a terminal."""
        config = self._config()
        return username == config.admin_username and (
            config.admin_password_initial or config.initial_password is not None)

    def check_login(self, username: str, password: str, place: Place) -> Admin | None:
        """See Logins.check."""
        with refusing():
            return self.logins.check(username, password, place)

    def create(self, username: str, password: str, sudo: bool = False, actor: str = "cli") -> str:
        """The name of the new admin, in the spelling that is kept."""
        with refusing():
            admin = admins.create(self._file, username, password, sudo)
        self._ledger.events.record(actor, "admin created", admin.username, "may change settings" if sudo else "")
        return admin.username

    def set_password(self, username: str, password: str | None = None, actor: str = "cli") -> str:
        """Give an admin this password, or a new random one, and return it. Ends that admin's sessions, and lets in
        who was locked out by others' failures."""
        with refusing():
            chosen = admins.set_password(self._file, username, password)
        self.logins.end_sessions(username)
        if password is None:
            self.logins.let_in(username)
        else:
            self.logins.forgive(username)
        self._ledger.events.record(actor, "password reset", username)
        return chosen

    def remove(self, username: str, actor: str = "cli") -> None:
        """This admin can no longer log in, and is logged out. Refused for the last who may change settings."""
        with refusing():
            admins.remove(self._file, username)
        self.logins.end_sessions(username)
        self._ledger.events.record(actor, "admin removed", username)

    def set_sudo(self, username: str, sudo: bool, actor: str = "cli") -> Admin:
        """Let an admin change settings, or no longer. Refused for the last who may."""
        with refusing():
            admin = admins.set_sudo(self._file, username, sudo)
        self._ledger.events.record(actor, "admin changed", username,
                                   "may change settings" if sudo else "may no longer change settings")
        return admin
