"""Tokens: keys of programs that use the API for an admin. They are declared beside the admins, and end with theirs.

A token is 256 random bits, so its SHA-256 tells nothing about it and is compared in no time; a password would need a
slow hash. What it may do is decided at each use: the least of its scope and of its admin's role of that moment.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.accounts import admins
from app.accounts.actor import RIGHTS, Actor, Right
from app.accounts.logins import Place
from app.config.file import ConfigFile
from app.config.invalid import InvalidValue
from app.config.model import SCOPES, ApiToken, Config, Scope, new_id
from app.config.values import clean_name
from app.ledger.fallback import PATIENCE
from app.ledger.ledger import Ledger
from app.messages import Problem
from app.messages.refused import LoginThrottled, Refused

#: How a token begins, so that whoever finds one knows what it is, and programs that look for lost keys do.
PREFIX = "mtpm_"
#: Tokens of all admins, and days until the latest end that may be chosen.
MOST, MOST_DAYS = 100, 3660
#: Wrong tokens in five minutes from one place; who has a right one is let in whatever others there have tried.
WRONG = 60
#: The most that each scope may do.
ALLOWS: Mapping[Scope, Right] = {"read": Right.VIEW, "users": Right.USERS, "admin": Right.SUDO}


class NoToken(Refused):
    """Whoever asks has no token that is worth something."""


class WrongToken(NoToken):
    """It is none of ours, and may be a guess."""


@dataclass(frozen=True)
class Bearer:
    """Who asks by a token: the actor that it makes, and the token as it is declared."""

    actor: Actor
    token: ApiToken


def create(file: ConfigFile, username: str, name: str, scope: str, days: int, now: datetime) -> tuple[ApiToken, str]:
    """A new token of this admin, and the text of it, which is kept nowhere. Raises Refused."""
    name, chosen = checked(name, scope, days)
    text = PREFIX + secrets.token_urlsafe(32)
    with file.edit() as config:
        admin = admins.known(config, username)
        if ALLOWS[chosen] > RIGHTS[admin.role]:
            raise Refused("token.more_than_admin", "scope", scope=scope, name=username)
        if len(config.api_tokens) >= MOST:
            raise Refused("token.many", most=MOST)
        if any(each.admin == username and each.name.casefold() == name.casefold() for each in config.api_tokens):
            raise Refused("token.exists", "name", name=name)
        token = ApiToken(id=new_id({each.id for each in config.api_tokens}), name=name, token_hash=_hash(text),
                         admin=username, scope=chosen,
                         expires_at=now.replace(microsecond=0) + timedelta(days=days) if days else None)
        config.api_tokens.append(token)
    return token, text


def checked(name: str, scope: str, days: int) -> tuple[str, Scope]:
    """The name as it is kept, and the scope. days: until it ends, 0 for never. Raises Refused for every field that is
    not possible, at once."""
    refused: list[Refused] = []
    try:
        name = clean_name(name)
    except InvalidValue as error:
        refused.append(Refused(error.problem.about("name")))
    if scope not in SCOPES:
        refused.append(Refused("token.no_scope", "scope", scope=scope, scopes=list(SCOPES)))
    if not 0 <= days <= MOST_DAYS:
        refused.append(Refused("token.days", "days", days=days, most=MOST_DAYS))
    Refused.raise_all(refused)
    return name, next(each for each in SCOPES if each == scope)


def remove(file: ConfigFile, token_id: str, of: str | None = None) -> ApiToken:
    """It is worth nothing from now on. of: whose it has to be, None for anybody's. Raises Refused for none such."""
    with file.edit() as config:
        token = next((each for each in config.api_tokens if each.id == token_id and of in (None, each.admin)), None)
        if token is None:
            raise Refused("token.unknown", id=token_id)
        config.api_tokens.remove(token)
    return token


def bearer(config: Config, text: str, now: datetime) -> Bearer:
    """Who has this token. Raises NoToken."""
    hashed = _hash(text)
    # Which hash it is may be told by the time that this takes, as the token can't be found from it.
    token = next((each for each in config.api_tokens if each.token_hash == hashed), None)
    if token is None:
        raise WrongToken("token.wrong")
    admin = admins.find(config, token.admin)
    if admin is None:
        raise NoToken("token.no_admin", name=token.admin)
    if token.expires_at is not None and token.expires_at <= now:
        raise NoToken("token.expired", name=token.name, at=token.expires_at.isoformat())
    return Bearer(Actor("api", min(ALLOWS[token.scope], RIGHTS[admin.role]), admin.username, token.name), token)


class Tokens:
    """Tokens as they are used: wrong ones are counted as failed logins are, and when a right one was used is noted."""

    def __init__(self, config: Callable[[], Config], ledger: Ledger):
        """config: the declaration, or the last good one while the file is broken."""
        self._config = config
        self._ledger = ledger

    def bearer(self, text: str, place: Place, now: datetime) -> Bearer:
        """Who has this token. Raises NoToken, and LoginThrottled where too many wrong ones came from."""
        config = self._config()
        try:
            found = bearer(config, text, now)
        except WrongToken:
            self._count(place)
            raise
        self._ledger.token_uses.note(found.token.id, place.address, now.timestamp(),
                                     [each.id for each in config.api_tokens])
        return found

    def _count(self, place: Place) -> None:
        counted = self._ledger.buckets.take({f"token/{place.door} {place.network}": WRONG})
        if counted.wait:
            raise LoginThrottled(counted.wait)
        self._ledger.events.record_failed_login("", Problem("place.token", {"place": place.told}), PATIENCE)


def came_back(here: Config, there: Config) -> Problem | None:
    """What to know of a backup: tokens that are worth something again after it is brought back. None for none."""
    ids = {token.id for token in here.api_tokens}
    names = [token.name for token in there.api_tokens if token.id not in ids]
    return Problem("restore.tokens", {"names": names}) if names else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
