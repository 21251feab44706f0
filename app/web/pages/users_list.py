"""The list of users: filter, search, sort and pages, all of it in the address."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, Response, abort, current_app, render_template, request, url_for
from flask_babel import lazy_gettext

from app.control import listing, roster, series, snapshot, views
from app.control.listing import Query
from app.control.records import Row
from app.control.snapshot import Snapshot
from app.web.chart import spark
from app.web.context import sees_secrets, the_system
from app.web.formats import ago, day
from app.web.sent import Sent

#: For all pages of users: those of one user are in users.py, what is done to many in users_many.py.
blueprint = Blueprint("users", __name__, url_prefix="/users")

#: What a list calls a condition, and in which colour; "" for none.
CONDITIONS = {
    "online": (lazy_gettext("Online"), "good"), "idle": (lazy_gettext("Idle"), ""),
    "never": (lazy_gettext("Never used"), ""), "slowed": (lazy_gettext("Slowed"), "warn"),
    "blocked": (lazy_gettext("Blocked"), "bad"), "disabled": (lazy_gettext("Disabled"), "disabled"),
    "expired": (lazy_gettext("Expired"), "warn"), "failing": (lazy_gettext("Failing"), "bad"),
    "stopped": (lazy_gettext("Stopped"), "warn"), "unknown": (lazy_gettext("Unknown"), "unknown")}
#: What a list can be filtered by.
FILTERS = {
    "online": lazy_gettext("Online"), "idle": lazy_gettext("Idle"), "never": lazy_gettext("Never used"),
    "slowed": lazy_gettext("Slowed"), "blocked": lazy_gettext("Blocked"), "disabled": lazy_gettext("Disabled"),
    "expired": lazy_gettext("Expired"), "failing": lazy_gettext("Failing"),
    "over": lazy_gettext("Over the limit"), "expiring": lazy_gettext("Expires within 3 days"),
    "today": lazy_gettext("Used today"), "attention": lazy_gettext("Need attention")}
#: The same, by the reason of the attention: what the dashboard leads to, and calls it.
REASONS = {
    "attention-failing": lazy_gettext("Not working"), "attention-blocked": lazy_gettext("Blocked at the limit"),
    "attention-domain": lazy_gettext("Domain no longer fits"),
    "attention-slowed": lazy_gettext("Slowed after the limit"), "attention-over": lazy_gettext("Over the limit"),
    "attention-expiring": lazy_gettext("Access ends soon"), "attention-never": lazy_gettext("Link never used")}
#: What a list can be sorted by, and whether its first click is from the highest on.
SORTS = {
    "name": (lazy_gettext("Name"), False), "state": (lazy_gettext("State"), False),
    "used": (lazy_gettext("Traffic used"), True), "share": (lazy_gettext("Share of the limit"), True),
    "today": (lazy_gettext("Traffic today"), True),
    "speed": (lazy_gettext("Speed now"), True), "seen": (lazy_gettext("Last seen"), True),
    "expires": (lazy_gettext("Expires"), False)}

#: What can be done with those chosen, in the order of the menu.
ACTIONS = {
    "enable": lazy_gettext("Enable"), "disable": lazy_gettext("Disable"),
    "add_traffic": lazy_gettext("Add traffic…"), "limit": lazy_gettext("Set the traffic limit…"),
    "reset": lazy_gettext("Reset traffic"), "extend": lazy_gettext("Extend access…"),
    "engine": lazy_gettext("Move to another engine…"), "tag": lazy_gettext("Add a tag…"),
    "untag": lazy_gettext("Remove a tag…"), "export": lazy_gettext("Export as CSV"),
    "delete": lazy_gettext("Delete…")}

#: The heading of a job, under way and done.
TITLES = {
    "enable": lazy_gettext("Enable users"), "disable": lazy_gettext("Disable users"),
    "add_traffic": lazy_gettext("Add traffic"), "limit": lazy_gettext("Set the traffic limit"),
    "reset": lazy_gettext("Reset traffic"), "extend": lazy_gettext("Extend access"),
    "engine": lazy_gettext("Move to another engine"), "tag": lazy_gettext("Add a tag"),
    "untag": lazy_gettext("Remove a tag"), "delete": lazy_gettext("Delete users"),
    "undo": lazy_gettext("Undo"), "add": lazy_gettext("Add users")}


@blueprint.get("")
def index() -> str:
    """One page of the users that match."""
    shown = _shown()
    listed = _sent().whole(render_template("users/_list.html", **shown))
    return render_template("users/index.html", list=listed, **shown)


@blueprint.get("/list")
def rows() -> Response:
    """The part of it that changes by itself; of what the browser has, what is another by now."""
    tags = request.if_none_match.as_set(include_weak=True)
    return _sent().refreshed(render_template("users/_list.html", **_shown()), next(iter(tags), None))


@blueprint.get("/<user_id>/link")
def link(user_id: str) -> Response:
    """The link to send, alone, for whoever copies it from the list: the list itself holds no secret."""
    user = views.user_of_id(the_system(), user_id, sees_secrets()) or abort(404)
    return Response(user.tme_link, mimetype="text/plain")


def came_from(text: str, anchor: str | None = None) -> str:
    """The page of the list that a form was on. text: what that page's `back` is; anchor: of the row to show."""
    asked: dict[str, Any] = Query.of(dict(parse_qsl(text))).asked()
    return url_for("users.index", **asked, _anchor=anchor)


def back(query: Query) -> str:
    """What a form of the list carries, so that its answer leads back to the same page."""
    return urlencode(query.asked())


def seen(row: Row, sight: Snapshot) -> str:
    """When somebody was last seen, in words."""
    return ago(datetime.fromtimestamp(row.last_seen, sight.zone).isoformat()) if row.last_seen else ""


def until(row: Row) -> str:
    """The last day of somebody's access; the user's page tells the hour."""
    end = row.user.expires_at
    return day((end - timedelta(seconds=1)).isoformat()) if end else ""


def _sent() -> Sent:
    sent: Sent = current_app.extensions["sent"]
    return sent


def _shown() -> dict[str, object]:
    sight = snapshot.take(the_system())
    everybody = roster.rows(sight, sees_secrets())
    page = listing.page(everybody, Query.of(request.args))
    weeks = series.week(the_system(), [row.id for row in page.rows])
    return {"page": page, "query": page.query, "weeks": weeks, "spark": spark, "reasons": REASONS,
            "total": page.total, "silence": sight.unavailable, "counts": listing.counts(everybody),
            "deleted": len(sight.config.deleted_users), "seen": partial(seen, sight=sight), "until": until,
            "back": back, "jobs": current_app.extensions["many"].running, "titles": TITLES,
            "conditions": CONDITIONS, "filters": FILTERS, "sorts": SORTS, "sizes": listing.SIZES, "many": ACTIONS,
            "engines": sorted({row.engine for row in everybody}),
            "tags": sorted({tag for user in sight.config.users for tag in user.tags}, key=str.casefold)}
