"""The page of a user, as the operator sees it (its address), and as that user does."""

from __future__ import annotations

import math
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from app.config.model import User
from app.control import views
from app.control.records import UserView
from app.control.system import System
from app.rules import share
from app.rules.limits import GB
from app.rules.users import find

#: How somebody's proxy is, to themselves: "away" is for what they can't do anything about but wait.
Standing = Literal["ready", "slowed", "blocked", "disabled", "expired", "away"]


@dataclass(frozen=True)
class ShareAddress:
    """The address of a user's own page. url: the whole, "" where the panel does not know under which name people
    reach it; path: from there on. Both are "" for a user without a page."""

    id: str
    name: str
    url: str
    path: str

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "url": self.url, "path": self.path}


@dataclass(frozen=True)
class ShareLink:
    """One way to Telegram. server, port, secret: for typing it in by hand."""

    tg_link: str
    tme_link: str
    server: str
    port: int


@dataclass(frozen=True)
class SharePage:
    """What somebody may know of their own proxy: no name, as that is the operator's note of them, no address that
    they came from, and nothing of anybody else.

    links: none while it can't be used; one today, and room for further servers. used_gb, limit_gb: of the traffic
    since the last reset, GB of 1024^3 bytes; limit_gb 0 for no limit. about: whether used_gb is an estimate. resets_at,
    ends_at: None for never; days_from_first_use: how long it lasts once it was used, 0 where that is not awaited.
    slowed_mbps: 0 if not slowed. most_addresses: 0 for any number. may_renew: whether a new link may be had here;
    wait_s: seconds until then.
    """

    standing: Standing
    links: list[ShareLink]
    used_gb: float
    limit_gb: float
    about: bool
    resets_at: datetime | None
    ends_at: datetime | None
    days_from_first_use: int
    slowed_mbps: float
    most_addresses: int
    may_renew: bool
    wait_s: float

    @property
    def percent_left(self) -> int:
        """Of the limit; 100 without one."""
        return math.ceil(100 * self.left_gb / self.limit_gb) if self.limit_gb else 100

    @property
    def left_gb(self) -> float:
        return max(0.0, self.limit_gb - self.used_gb)


def address(system: System, ref: str) -> ShareAddress:
    """Where this user's own page is. Refused when there is no such user."""
    user = find(system.declaration.last_good(), ref)
    path = share.path(user.share_token) if user.share_token else ""
    site = _site(system) if path else ""
    return ShareAddress(user.id, user.name, site and site + path, path)


def page(system: System, user_id: str) -> SharePage:
    """The page of this user. Refused when there is none any more."""
    user = find(system.declaration.last_good(), user_id)
    view = views.user(system, user_id)
    standing = _standing(view)
    usable = standing in ("ready", "slowed", "away")
    config = system.declaration.last_good()
    return SharePage(
        standing=standing, links=[_link(view)] if usable else [],
        used_gb=(view.period_down + view.period_up) / GB, limit_gb=view.limit_gb, about=view.period_estimated,
        resets_at=_moment(view.next_reset_at), ends_at=_moment(view.expires_at),
        days_from_first_use=view.expires_after_days,
        slowed_mbps=(view.throttled_bps or 0) / 1e6 or view.speed_mbps if standing == "slowed" else 0,
        most_addresses=view.most_addresses,
        may_renew=config.share_renew and usable, wait_s=_wait(system, user) if config.share_renew else 0.0)


def _standing(view: UserView) -> Standing:
    if view.state in ("disabled", "expired", "blocked"):
        return view.state  # type: ignore[return-value]
    if view.state in ("failed", "stopped"):
        return "away"
    # One that starts will be there in a moment, and what can't be seen is most often well.
    return "slowed" if view.over_limit and (view.throttled_bps or view.speed_mbps) else "ready"


def _link(view: UserView) -> ShareLink:
    server = dict(parse_qsl(urlsplit(view.tg_link).query))["server"]
    return ShareLink(view.tg_link, view.tme_link, server, view.link_port)


def _wait(system: System, user: User) -> float:
    with suppress(sqlite3.OperationalError):
        return system.ledger.share_renewals.wait(user.id, system.reconciler.now().timestamp())
    return 0.0


def _moment(iso: str | None) -> datetime | None:
    return datetime.fromisoformat(iso) if iso else None


def _site(system: System) -> str:
    door = system.port443
    return share.site(system.declaration.last_good(), door.edge is not None, door.public_port, door.door_port)
