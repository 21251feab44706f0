"""Deleted users: kept for a while, and restored with the link that people have. No I/O but what `Checks` looks at."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from app.config.model import Config, DeletedUser, User
from app.messages import Problem
from app.messages.refused import Refused
from app.mtproto.secret import FAKETLS, Secret
from app.rules import brought, domains
from app.rules.users import Checks, free_port

KEPT = timedelta(days=30)

#: So many are kept, the newest: the file is read every few seconds.
MOST = 5000


def discard(config: Config, user: User, now: datetime) -> list[DeletedUser]:
    """Move a user to those who were deleted; who had to make room."""
    return discard_all(config, [user], now)


def discard_all(config: Config, users: Collection[User], now: datetime) -> list[DeletedUser]:
    """The same with many."""
    ids = {user.id for user in users}
    config.users = [user for user in config.users if user.id not in ids]
    config.deleted_users += [DeletedUser.model_validate(
        {**user.model_dump(by_alias=True), "deleted_at": now.replace(microsecond=0)}) for user in users]
    gone, config.deleted_users = config.deleted_users[:-MOST], config.deleted_users[-MOST:]
    return gone


def find(config: Config, ref: str) -> DeletedUser:
    """The deleted user with this id, or else the one with this name who was deleted last. Raises Refused."""
    for user in reversed(config.deleted_users):
        if user.id == ref:
            return user
    for user in reversed(config.deleted_users):
        if user.name.casefold() == ref.strip().casefold():
            return user
    raise Refused("user.not_deleted", "name", ref=ref)


def restore(config: Config, deleted: DeletedUser, world: Checks, now: datetime) -> tuple[User, list[Problem]]:
    """The user again, and what is not as it was because somebody else has it now. Raises Refused for a secret that
    somebody else has: there are not two users behind one link."""
    secret = Secret.parse(deleted.secret)
    brought.refuse_ours(config, secret)
    user = User.model_validate(deleted.model_dump(by_alias=True, exclude={"deleted_at"}))
    config.deleted_users.remove(deleted)
    changed: list[Problem] = []
    names = {other.name.casefold() for other in config.users}
    if user.name.casefold() in names:
        user.name = next(name for number in range(2, len(names) + 3)
                         if (name := f"{deleted.name[:58]} ({number})").casefold() not in names)
        changed.append(Problem("restored.name", {"before": deleted.name, "name": user.name}))
    if any(user.port == other.port for other in config.users) or world.port_taken(user.port):
        user.port = free_port(config, world)
        if not config.port_443_mode:
            changed.append(Problem("restored.port", {"before": deleted.port, "port": user.port}))
    if secret.kind == FAKETLS and domains.conflict(config, secret.domain, None, now):
        domain = domains.pick(config, now)
        user.secret, user.fake_tls_domain, user.old_links = secret.with_domain(domain).hex, domain, []
        changed.append(Problem("restored.domain", {"before": secret.domain, "domain": domain}))
    config.users.append(user)
    return user, changed


def due(config: Config, now: datetime) -> list[DeletedUser]:
    """Those whose time is over."""
    return [user for user in config.deleted_users if user.deleted_at + KEPT <= now]


def forget(config: Config, gone: list[DeletedUser]) -> None:
    """They can't be restored any more."""
    ids = {user.id for user in gone}
    config.deleted_users = [user for user in config.deleted_users if user.id not in ids]
