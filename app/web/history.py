"""The audit log in the language of the request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask_babel import lazy_gettext

from app.control import views
from app.control.errors import Refused
from app.control.system import System
from app.ledger.events import Event
from app.lib.zone import server_zone
from app.messages import ENGLISH, Problem
from app.web.context import current_admin
from app.web.formats import field_label, who
from app.web.language import gettext, in_words


@dataclass(frozen=True)
class Entry:
    """at: ISO 8601, in the server's time zone. done: what was done. subject: to whom or what, "" for the whole.
    detail: "" for none. by: who did it. user: the id of the user whom alone it is about, "" for none."""

    at: str
    done: str
    subject: str
    detail: str
    by: str
    user: str = ""


#: What events can be about, and how their actions begin.
KINDS = {
    "users": (lazy_gettext("Users and plans"), ("user.", "users.", "plan.")),
    "limits": (lazy_gettext("Traffic and limits"), ("traffic.", "throttle.", "addresses.")),
    "proxies": (lazy_gettext("Proxies"), ("proxy.", "proxies.", "container.")),
    "server": (lazy_gettext("Settings and server"), (
        "settings.", "certificate.", "backup.", "update.", "nginx.", "traefik.", "strangers.", "debug_log.", "ban.",
        "mtproxy.")),
    "admins": (lazy_gettext("Admins, logins and notifications"), ("admin.", "login.", "token.", "channel.")),
}
#: Where others log in from is no business of who may not change admins.
PRIVATE = "admins"


def sees_all() -> bool:
    """Whether whoever asks may know of every event."""
    admin = current_admin()
    return bool(admin and admin.sudo)


def visible_kinds() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Those of KINDS that whoever asks may know of."""
    return {key: kind for key, kind in KINDS.items() if key != PRIVATE or sees_all()}


def visible() -> tuple[str, ...]:
    """How the actions begin that whoever asks may know of; none where all may be."""
    return () if sees_all() else tuple(start for _, starts in visible_kinds().values() for start in starts)


def entries(system: System, user_id: str = "", limit: int = 8) -> list[Entry]:
    """The latest, newest first: all, or the history of one user; none while they can't be read."""
    try:
        return [entry(event) for event in views.events(system, "", limit, kinds=visible(), user_id=user_id)]
    except Refused:
        return []


def entry(event: Event) -> Entry:
    """One event, for people."""
    done = in_words(Problem(event.action)) if event.action in ENGLISH.templates else event.action
    return Entry(datetime.fromtimestamp(event.at, server_zone()).isoformat(timespec="seconds"), done, event.subject,
                 in_words(_labelled(event)), who(event.actor), event.users[0] if len(event.users) == 1 else "")


def _labelled(event: Event) -> Problem:
    """The detail of an event, with fields called as the forms call them."""
    if event.problem.code != "event.fields":
        return event.problem
    whose = "setting" if event.action.startswith("settings.") else "user"
    return Problem("event.fields", {"names": [_label(whose, name) for name in event.problem.params["names"]]})


def _label(whose: str, name: str) -> str:
    try:
        return gettext('"%(title)s"', title=field_label(whose, name))
    except KeyError:  # one that an older version had
        return name
