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

from app.accounts import admins, factors, passkeys
from app.config.file import ConfigError, ConfigFile
from app.config.model import Admin, Config
from app.config.passwords import hash_password, verify_among
from app.config.second_factors import SecondFactors
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

    def check(self, username: str, password: str, place: Place, login: bool = True) -> Admin | None:
        """The admin if name and password are right, else None. Raises LoginThrottled and LoginBusy. login: False where
        somebody who is logged in types the password again; that is no login.

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
        if login and not factors.of(config, username):
            self._note(username, place)
        return admin

    def check_code(self, username: str, typed: str, place: Place, login: bool = True) -> bool:
        """Whether this is a code of the admin's second factor that nobody has used; a recovery code is used up. Wrong
        ones are counted as wrong passwords are, apart from them: whoever gets here knows the password. Raises
        LoginThrottled; with a broken config.json, a recovery code is refused (ConfigError) and codes of an app work."""
        buckets, code = self._ledger.buckets, factors.typed(typed)
        counted = buckets.take(_allowed_codes(username, place))
        if counted.wait:
            raise LoginThrottled(counted.wait)
        own = factors.of(self._config(), username)
        if own is None or not self._is_code(own, username, code):
            self._note_wrong(username, place)
            return False
        buckets.give_back(counted)
        buckets.clear(next(iter(_allowed_codes(username, place))))
        if login:
            self._note(username, place)
        return True

    def check_passkey(self, username: str, answer: passkeys.Answer, place: Place, login: bool = True) -> bool:
        """The same with a passkey in place of a code. What was asked for is answered once."""
        buckets = self._ledger.buckets
        counted = buckets.take(_allowed_codes(username, place))
        if counted.wait:
            raise LoginThrottled(counted.wait)
        own = factors.of(self._config(), username)
        state = answer.state
        found = passkeys.used(answer.host, state, answer.text, own.passkeys) if own and state else None
        if found is None or state is None or not self._ledger.once.take(
                f"challenge {_name(username)}", str(state["challenge"])):
            self._note_wrong(username, place)
            return False
        buckets.give_back(counted)
        self._ledger.passkey_uses.note(passkeys.id_of(found), PATIENCE)
        if login:
            self._note(username, place)
        return True

    def _is_code(self, own: SecondFactors, username: str, code: str) -> bool:
        if len(code) == factors.LENGTH:
            if not factors.use_recovery(self._file, username, code):
                return False
            self._ledger.events.record(f"admin:{username}", "login.recovery_used", username, Problem(
                "event.codes_left", {"count": max(0, len(own.recovery_codes) - 1)}), PATIENCE)
            return True
        step = factors.step_of(own.totp_secret, code, self._ledger.latest.shown())
        return step is not None and self.use_step(username, step)

    def use_step(self, username: str, step: int) -> bool:
        """Whether nobody has used the code of these 30 seconds before. Which was used is noted, not until when: a clock
        that is set forward and back lets none pass twice, and one that was used by a wrong clock closes no other."""
        return self._ledger.once.take(f"step {_name(username)}", str(step))

    def _note_wrong(self, username: str, place: Place) -> None:
        """That somebody knows the password is worth an entry, but not thousands."""
        if not self._ledger.buckets.take({f"{_name(username)}/told": 1}).wait:
            self._ledger.events.record("panel", "login.wrong_code", username,
                                       Problem("event.from", {"place": place.told}), PATIENCE)

    def _note(self, username: str, place: Place) -> None:
        self._ledger.events.record(f"admin:{username}", "login.succeeded", username,
                                   Problem("event.from", {"place": place.told}), PATIENCE)

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
        return self._ledger.sessions.begin(admin.username, stamp_of(admin), address)

    def admin_of(self, token: str, address: str) -> Admin | None:
        """Who is logged in by this token; None once it has ended, is too old, or the password or the admin is not
        that of its beginning."""
        session: Session | None = self._ledger.sessions.find(token) if token else None
        admin = admins.find(self._config(), session.admin) if session else None
        if session is None or admin is None or session.stamp != stamp_of(admin):
            return None
        self._ledger.sessions.note_use(token, session, address)
        return admin

    def sessions(self, username: str) -> list[tuple[str, Session]]:
        """(id, session) of those that are worth something, the one that was used last first."""
        admin = admins.find(self._config(), username)
        return [(key, session) for key, session in self._ledger.sessions.of(username)
                if admin and session.stamp == stamp_of(admin)]

    def end_one_session(self, username: str, key: str) -> bool:
        """End the session with this id; False if this admin has none such."""
        return self._ledger.sessions.end_one(username, key)

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


def _allowed_codes(username: str, place: Place) -> dict[str, int]:
    """The same for codes of a second factor; the first is that of the place."""
    where = f"device {place.device}" if place.device else f"{place.door} {place.network}"
    found = {f"{_name(username)}/code/{where}": FAILURES}
    return found if place.device else {**found, f"{_name(username)}/codes/{place.door}": FAILURES_OF_NAME}


def _name(username: str) -> str:
    """Not as it was typed: it may be long, or a password."""
    return f"login/{hashlib.sha256(username.encode(errors='replace')).hexdigest()[:16]}"


def _pair(username: str, place: Place) -> str:
    return f"{_name(username)}/{f'device {place.device}' if place.device else f'{place.door} {place.network}'}"


def _opened(username: str) -> str:
    return _name(username).replace("login", "opened", 1)


def stamp_of(admin: Admin) -> str:
    """Ties a session to one password: another hash, another stamp. It tells nothing about the hash."""
    return hashlib.sha256(f"session:{admin.password_hash}".encode()).hexdigest()[:32]
