"""Admins: logging in, and who may."""

from __future__ import annotations

from functools import cache

from app.config.file import ConfigFile
from app.config.model import Admin, Config
from app.config.passwords import hash_password, new_password, verify_password
from app.fleet.errors import LoginThrottled, Refused
from app.ledger.ledger import Ledger

FAILURES, WINDOW = 5, 300.0
SHORTEST_PASSWORD = 8


@cache
def _nobody() -> str:
    """What a password is compared with when no such admin exists, so that both cases take as long."""
    return hash_password(new_password())


def find(config: Config, username: str) -> Admin | None:
    """The admin of this name; the first admin lives in fields of its own and may do everything."""
    if username == config.admin_username:
        return Admin(username=username, password_hash=config.admin_password_hash, sudo=True)
    return next((a for a in config.admins if a.username == username), None)


def check_login(file: ConfigFile, ledger: Ledger, username: str, password: str, client: str) -> Admin | None:
    """The admin if name and password are right, else None.

    client: the address the attempt came from; five failures in five minutes from
    there raise LoginThrottled before anything is looked at. The first login of
    the first admin ends the initial password's stay in the file, and an old
    hash is replaced by one of today.
    """
    bucket = f"login:{client}"
    seconds = ledger.buckets.wait(bucket, FAILURES, WINDOW)
    if seconds:
        raise LoginThrottled(seconds)
    admin = find(file.read(), username)
    right, outdated = verify_password(admin.password_hash if admin else _nobody(), password)
    if not admin or not right:
        ledger.buckets.add(bucket, WINDOW)
        ledger.events.record("panel", "login failed", username[:64], f"from {client}")
        return None
    ledger.buckets.clear(bucket)
    config = file.read()
    first = username == config.admin_username and config.initial_password is not None
    if outdated or first:
        with file.edit() as config:
            if outdated:
                _set_hash(config, username, hash_password(password))
            if first:
                config.initial_password = None
        admin = find(config, username)
    ledger.events.record(f"admin:{username}", "login", username, f"from {client}")
    return admin


def create(file: ConfigFile, username: str, password: str, sudo: bool) -> None:
    username = username.strip()
    if not username or len(username) > 64 or not username.isprintable():
        raise Refused(f"the admin name {username!r} is not allowed: 1 to 64 letters, digits, spaces and "
                      "punctuation are", "username")
    if len(password) < SHORTEST_PASSWORD:
        raise Refused(f"the password has {len(password)} characters; at least {SHORTEST_PASSWORD} are needed",
                      "password")
    hashed = hash_password(password)
    with file.edit() as config:
        if find(config, username):
            raise Refused(f"there is an admin {username!r} already; reset-password gives a new password",
                          "username")
        config.admins.append(Admin(username=username, password_hash=hashed, sudo=sudo))


def reset_password(file: ConfigFile, username: str) -> str:
    """Give an admin a new random password, and return it. Ends that admin's sessions."""
    password = new_password()
    hashed = hash_password(password)
    with file.edit() as config:
        if not find(config, username):
            names = ", ".join([config.admin_username, *(a.username for a in config.admins)])
            raise Refused(f"there is no admin {username!r}; there are: {names}", "username")
        _set_hash(config, username, hashed)
        if username == config.admin_username:
            config.initial_password = None
    return password


def _set_hash(config: Config, username: str, hashed: str) -> None:
    if username == config.admin_username:
        config.admin_password_hash = hashed
    else:
        next(a for a in config.admins if a.username == username).password_hash = hashed
