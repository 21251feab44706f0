"""Logging in: how often it may be tried, and what a session is worth.

Failures are counted by name together with the place they came from, and by name over all places, before the
password is looked at. Nobody's failures keep a browser out that has logged in under this name before: it is a place
of its own ("device cookie"). So is the panel's door on the server itself, which strangers can't reach.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.accounts import admins
from app.config.file import ConfigError, ConfigFile
from app.config.model import Admin, Config
from app.config.passwords import hash_password, verify_among
from app.ledger.buckets import Place as Counted
from app.ledger.fallback import PATIENCE
from app.ledger.ledger import Ledger
from app.ledger.sessions import Session
from app.messages import Problem, text
from app.messages.refused import LoginBusy, LoginThrottled

#: Failures in five minutes: of one name from one place, and of one name from all places but known browsers.
FAILURES, FAILURES_OF_NAME = 5, 20
#: The same from one place under all names together: many people may share it, but none needs the hashing for itself.
FAILURES_OF_PLACE = 60
#: Passwords that are hashed at a time (each takes 32 MB), and how many more wait for their turn: for strangers, and
#: apart from them for known browsers and the local door. The panel's other threads go on answering.
AT_ONCE, WAITING = 1, 2
#: Seconds for that turn to come.
TURN = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where a login comes from. address: the client's, as the panel sees it; door: "local" or "https" where nginx
    tells them apart; device: the id of a browser that has logged in under this name before, or "" """

    address: str
    door: str = ""
    device: str = ""

    @property
    def network(self) -> str:
        """The address, or the /64 of an IPv6 address: who has one of them has all; "" for what is none."""
        try:
            address = ipaddress.ip_address(self.address.partition("%")[0])
        except ValueError:
            return ""
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped is None:
                return str(ipaddress.ip_network((address, 64), strict=False))
            return str(address.ipv4_mapped)
        return str(address)

    @property
    def told(self) -> Problem:
        """As the audit log has it."""
        place = text(self.network) if self.network else Problem("place.unknown")
        return Problem("place.own_door", {"network": place}) if self.door == "local" else place


class Logins:
    def __init__(self, config: Callable[[], Config], file: ConfigFile, ledger: Ledger):
        """config: the declaration, or the last good one while the file is broken."""
        self._config = config
        self._file = file
        self._ledger = ledger
        self._known, self._strangers = _Turn(), _Turn()

    def check(self, username: str, password: str, place: Place) -> Admin | None:
        """The admin if name and password are right, else None. Raises LoginThrottled and LoginBusy.

        Works with a broken config.json, by the last good one, and with a panel.db that can't be written. The first
        login of the first admin ends the initial password's stay in the file, and an old hash is replaced by one of
        today; neither keeps anybody from logging in.
        """
        buckets = self._ledger.buckets
        # Before the turn: whoever is to wait anyway keeps nobody else waiting.
        counted = buckets.take({} if buckets.is_marked(_opened(username)) else _allowed(username, place))
        if counted.wait:
            raise LoginThrottled(counted.wait)
        turn = self._known if place.device or place.door == "local" else self._strangers
        with self._given_back_if_busy(counted), turn.taken():
            config = self._config()
            people = admins.everybody(config)
            admin = admins.find(config, username)
            right, outdated = verify_among(admin.password_hash if admin else None, password,
                                           [person.password_hash for person in people])
            if not admin or not right:
                # What nobody is called may be a password, typed into the wrong field.
                self._ledger.events.record_failed_login(admin.username if admin else "", place.told, PATIENCE)
                return None
            buckets.give_back(counted)
            buckets.clear(_pair(username, place))
        if outdated or (config.initial_password is not None and username == config.admin_username):
            admin = self._renew(admin, password, outdated)
        self._ledger.events.record(f"admin:{username}", "login.succeeded", username,
                                   Problem("event.from", {"place": place.told}), PATIENCE)
        return admin

    @contextmanager
    def _given_back_if_busy(self, counted: Counted) -> Iterator[None]:
        """An attempt that nobody looked at is none."""
        try:
            yield
        except LoginBusy:
            self._ledger.buckets.give_back(counted)
            raise

    def let_in(self, username: str) -> None:
        """A new random password was made: what was tried before counts no longer, and for five minutes nothing
        does, as it can't be guessed. Whoever was locked out by others gets in at once."""
        self._ledger.buckets.clear(_name(username))
        self._ledger.buckets.mark(_opened(username))

    def forgive(self, username: str) -> None:
        """What was tried under this name counts no longer."""
        self._ledger.buckets.clear(_name(username))

    # Sessions

    def begin_session(self, admin: Admin, address: str) -> str:
        """The token of a new session."""
        return self._ledger.sessions.begin(admin.username, _stamp(admin), address)

    def admin_of(self, token: str, address: str) -> Admin | None:
        """Who is logged in by this token; None once it has ended, is too old, or the password or the admin is not
        that of its beginning."""
        session: Session | None = self._ledger.sessions.find(token) if token else None
        admin = admins.find(self._config(), session.admin) if session else None
        if session is None or admin is None or session.stamp != _stamp(admin):
            return None
        self._ledger.sessions.note_use(token, session, address)
        return admin

    def end_session(self, token: str) -> None:
        self._ledger.sessions.end(token)

    def end_sessions(self, username: str) -> None:
        self._ledger.sessions.end_all(username)

    def _renew(self, admin: Admin, password: str, outdated: bool) -> Admin:
        """Replace an old hash, and erase the initial password, if the file takes it; the next login tries again."""
        hashed = hash_password(password) if outdated else admin.password_hash
        try:
            with self._file.edit() as config:
                now = admins.find(config, admin.username)
                if now is None or now.password_hash != admin.password_hash:
                    return admin  # changed meanwhile: the newer password stays
                admins.set_hash(config, admin.username, hashed)
                if admin.username == config.admin_username and config.initial_password is not None:
                    config.initial_password, config.admin_password_initial = None, True
        except ConfigError as error:
            log.warning("%s has logged in, but config.json could not be changed: the old hash and the first password "
                        "stay in it until the next login. %s", admin.username, error)
            return admin
        return admin.model_copy(update={"password_hash": hashed})


class _Turn:
    """So many at a time, a few more in line, and nobody else: LoginBusy."""

    def __init__(self) -> None:
        self._room = threading.Semaphore(AT_ONCE + WAITING)
        self._work = threading.Semaphore(AT_ONCE)

    @contextmanager
    def taken(self) -> Iterator[None]:
        if not self._room.acquire(blocking=False):
            raise LoginBusy
        try:
            if not self._work.acquire(timeout=TURN):
                raise LoginBusy
            try:
                yield
            finally:
                self._work.release()
        finally:
            self._room.release()


def _allowed(username: str, place: Place) -> dict[str, int]:
    """The buckets that an attempt counts in, and how many each takes."""
    if place.device:
        return {_pair(username, place): FAILURES}
    return {_pair(username, place): FAILURES, f"{_name(username)}/all/{place.door}": FAILURES_OF_NAME,
            f"place/{place.door} {place.network}": FAILURES_OF_PLACE}


def _name(username: str) -> str:
    """Not as it was typed: it may be long, or a password."""
    return f"login/{hashlib.sha256(username.encode(errors='replace')).hexdigest()[:16]}"


def _pair(username: str, place: Place) -> str:
    return f"{_name(username)}/{f'device {place.device}' if place.device else f'{place.door} {place.network}'}"


def _opened(username: str) -> str:
    return _name(username).replace("login", "opened", 1)


def _stamp(admin: Admin) -> str:
    """Ties a session to one password: another hash, another stamp. It tells nothing about the hash."""
    return hashlib.sha256(f"session:{admin.password_hash}".encode()).hexdigest()[:32]
