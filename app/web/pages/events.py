"""The audit log: what was done, by whom, and what happened by itself."""

from __future__ import annotations

import math
import re

from flask import Blueprint, render_template, request

from app.control import views
from app.web.context import sees_secrets, the_system
from app.web.history import Entry, entry, sees_all, visible, visible_kinds

blueprint = Blueprint("events", __name__, url_prefix="/events")

#: Events on a page.
SHOWN = 100


@blueprint.get("")
def index() -> str:
    """The newest first: all, or of a ?kind=, by ?actor=, about ?subject= (a name) or one ?user= (an id), from ?before=
    a moment (Unix seconds)."""
    kinds = visible_kinds()
    kind, actor, subject, user = (request.args.get(key, "").strip() for key in ("kind", "actor", "subject", "user"))
    kind = kind if kind in kinds else ""
    beginnings = kinds[kind][1] if kind else visible()
    user = "" if subject else user
    found = views.events(the_system(), subject, SHOWN + 1, actor, beginnings, _moment(request.args.get("before", "")),
                         user)
    asked = {key: value for key, value in (("kind", kind), ("actor", actor), ("subject", subject), ("user", user))
             if value}
    return render_template(
        "events/index.html", days=_by_day([entry(event) for event in found[:SHOWN]]),
        older=found[SHOWN - 1].at if len(found) > SHOWN else None,
        kinds={key: words[0] for key, words in kinds.items()}, actors=views.actors(the_system()) if sees_all() else [],
        asked=asked, kind=kind, actor=actor, subject=subject, user=user,
        person=views.user_of_id(the_system(), user, sees_secrets()) if user else None)


def _moment(text: str) -> float | None:
    """Unix seconds; None for what is none."""
    return float(text) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text) and math.isfinite(float(text)) else None


def _by_day(events: list[Entry]) -> list[tuple[str, list[Entry]]]:
    """(the ISO time of the first, the events) for each day of the server's clock, in their order."""
    days: list[tuple[str, list[Entry]]] = []
    for event in events:
        if not days or days[-1][0][:10] != event.at[:10]:
            days.append((event.at, []))
        days[-1][1].append(event)
    return days
