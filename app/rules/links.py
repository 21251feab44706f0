"""The links of a user: today's, and on port 443 those from before a change of domain, for a while. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from app.config.model import Config, OldLink, User
from app.mtproto.secret import FAKETLS, Secret
from app.runtimes.base import NAME_PREFIX


@dataclass(frozen=True)
class UserLink:
    """One link. id: see link_id(). name: that of the workload which serves it, if that serves no other one. until:
    None for today's link. bits_per_second: the speed limit in force, each direction; None for none. max_unique_ips:
    addresses from which it may be used at a time; 0 for any number."""

    id: str
    name: str
    user: User
    secret: Secret
    until: datetime | None = None
    bits_per_second: int | None = None
    max_unique_ips: int = 0

    @property
    def domain(self) -> str:
        """The SNI that clients send; "" for a secret without one."""
        return self.secret.domain


def link_id(user: User, secret: Secret) -> str:
    """By which a link is known wherever it is counted (12 hex digits), and which tells nothing of the secret.

    It follows the secret, which is what people have in their apps: another port, and a change of the user's domain,
    leave it as it is, and a link that has become an old one keeps it. It is worked out rather than stored, so that a
    secret changed by hand in config.json is another link at once, and a file of any version has the same ids.
    """
    return _id(user.id, secret)


def _id(user_id: str, secret: Secret) -> str:
    return hashlib.sha256(f"{user_id} {secret.hex}".encode()).hexdigest()[:12]


@lru_cache(maxsize=16384)
def _read(user_id: str, secret: str) -> tuple[str, Secret]:
    """The link's id, and its secret. Of a thousand users it is asked for again with each that is added."""
    parsed = Secret.parse(secret)
    return _id(user_id, parsed), parsed


def workload_name(user: User) -> str:
    return f"{NAME_PREFIX}{user.port}"


@dataclass(frozen=True)
class Together:
    """The workload that serves a user and others: its name and port. direct: whether it is reached past nginx, on that
    port, even where the others are on port 443."""

    name: str
    port: int
    direct: bool = False


def listened_port(user: User, config: Config, edge_port: int, together: Together | None = None) -> int:
    """Where this server takes the connections of this user. edge_port: where nginx is published. together: what serves
    them and others; None if that is one of their own."""
    if config.port_443_mode and not (together and together.direct):
        return edge_port
    return together.port if together else user.port


def link_port(user: User, config: Config, edge_port: int, together: Together | None = None) -> int:
    """The port that the user's links carry: what stands before this server may listen on another than it does. The one
    of the settings is that of nginx, or of all users: what is reached past it, on several ports, is not meant."""
    of_all = 0 if together and together.direct else config.public_port
    return user.public_port or of_all or listened_port(user, config, edge_port, together)


def links(user: User, config: Config, now: datetime) -> list[UserLink]:
    """Today's link first, then the old ones that still work.

    An engine serves one secret, so each link has a workload of its own. Two of them can share a port
    only where nginx tells them apart by their domain: without it an old link ends with the change.
    """
    found = [_link(workload_name(user), user, user.secret)]
    if config.port_443_mode:
        found += [_link(old_name(user, old), user, old.secret, old.until) for old in living(user, now)]
    return found


def all_links(config: Config) -> list[UserLink]:
    """Every link that stands in the declaration, whether it works now or not."""
    return [link for user in config.users for link in (
        _link(workload_name(user), user, user.secret),
        *(_link(old_name(user, old), user, old.secret, old.until) for old in user.old_links))]


def living(user: User, now: datetime) -> list[OldLink]:
    """The old links whose time is not over, and that are not today's again."""
    return [old for old in user.old_links if old.until > now and old.secret != user.secret]


def replace_domain(user: User, config: Config, secret: Secret, now: datetime) -> None:
    """Give the user this secret, whose domain is another; the one before stays good for the grace period."""
    kept = [old for old in living(user, now) if old.secret != secret.hex]
    before = Secret.parse(user.secret)
    if config.port_443_mode and config.domain_grace_days and before.kind == FAKETLS and before != secret:
        kept.append(OldLink(secret=before.hex, replaced_at=now,
                            until=now + timedelta(days=config.domain_grace_days)))
    user.secret, user.fake_tls_domain, user.old_links = secret.hex, secret.domain, kept


def old_name(user: User, old: OldLink) -> str:
    """The workload of an old link, whose name tells nothing of the secret."""
    return f"{workload_name(user)}-{hashlib.sha256(old.secret.encode()).hexdigest()[:6]}"


def _link(name: str, user: User, secret: str, until: datetime | None = None) -> UserLink:
    known, parsed = _read(user.id, secret)
    return UserLink(known, name, user, parsed, until)
