"""Users: the list, one user, and what is done to one."""

from __future__ import annotations

import io
from typing import Any

from flask import send_file

from app.accounts.actor import Right
from app.actions import many, proxies, traffic
from app.actions import share as pages
from app.actions import users as actions
from app.api import answers
from app.api.fields import Field, of_spec, required
from app.api.operations import Answer, Asked, empty, nothing, operation
from app.config.model import User
from app.control import link_test, listing, roster, series, share_views, snapshot, views
from app.control.errors import Refused, Unfinished
from app.control.listing import SIZES, SORTS, STATES, Query
from app.control.records import Row, UserView, moment
from app.control.snapshot import Snapshot
from app.control.system import System
from app.messages import Problem
from app.mtproto.links import parse_link
from app.mtproto.qr import qr_png, qr_svg
from app.rules import limits, seen
from app.rules.users import CHANGEABLE

#: What PATCH changes. A secret is never told among them: /link has it.
FIELDS = tuple(of_spec(spec) for spec in CHANGEABLE.values())
TOLD = tuple(field for field in FIELDS if field.name != "secret")
NEW = (*required(FIELDS, "name"), Field("enabled", "switch", "Whether the user may connect.", default=True),
       Field("link", "text", "The link or secret of another proxy, to take over."))
BY_ID = "id"
LIST = (
    Field("q", "text", "Words that each must be found in the name, note, domain, port, id or tags."),
    Field("state", "text", "Only users in this state.", choices=tuple(STATES)),
    Field("engine", "text", "Only users of this engine."), Field("tag", "text", "Only users with this tag."),
    Field("sort", "text", "The order; a minus turns it round. `id` is the order of `after`.",
          choices=(*SORTS, *(f"-{sort}" for sort in SORTS), BY_ID)),
    Field("after", "text", "Only users whose id comes after this one, in the order of ids: nobody is missed who is "
                           "there all the time, whoever is deleted meanwhile. Empty for the first page; then `next`."),
    Field("size", "whole", f"Users on a page: {', '.join(map(str, SIZES))}.", least=min(SIZES), most=max(SIZES),
          default=listing.USUAL_SIZE),
    Field("page", "whole", "From 1 on; one after the last is the last.", least=1, most=999_999, default=1))
PERIOD = (Field("period", "text", "60 minutes, 24 hours, 30 days or 12 months.", choices=series.PERIODS,
                default="day"),)


@operation("GET", "/users", answers=answers.UserList, query=LIST)
def index(asked: Asked) -> Answer:
    """List users, a page at a time, with the filters of the panel."""
    sight = snapshot.take(asked.system)
    rows = roster.rows(sight)
    page = _page_of_list(asked, rows)
    return Answer(answers.UserList([user_of(row, sight) for row in page.rows], page.query.page, page.last,
                                   page.query.size, len(page.found), len(rows), listing.counts(rows),
                                   page.rows[-1].id if _is_by_id(asked) and page.query.page < page.last else None))


@operation("POST", "/users", Right.USERS, answers.User, 201, NEW, versioned=True, once=True)
def create(asked: Asked) -> Answer:
    """Add a user, whose proxy is started."""
    body = dict(asked.body)
    name, enabled, link = body.pop("name"), body.pop("enabled", True), body.pop("link", None)

    def make() -> str:
        try:
            return actions.add_user(asked.system, asked.actor, name, enabled=enabled, link=link, **typed(body)).id
        except Unfinished:
            # They are there: what could not be applied yet stands in their state.
            return views.user(asked.system, name).id

    user_id = asked.made_once(make)
    return told(asked.system, user_id, 201, f"/users/{user_id}")


@operation("GET", "/users/<user_id>", answers=answers.User, versioned=True)
def show(asked: Asked, user_id: str) -> Answer:
    """Read a user."""
    return told(asked.system, user_id)


@operation("PATCH", "/users/<user_id>", Right.USERS, answers.User, body=FIELDS, versioned=True)
def change(asked: Asked, user_id: str) -> Answer:
    """Change the fields that are sent, all or none of them; the others stay as they are."""
    user_of_id(asked.system, user_id)
    if asked.body:
        actions.update_user(asked.system, asked.actor, user_id, typed(asked.body), asked.check)
    else:
        asked.check(user_of_id(asked.system, user_id))
    return told(asked.system, user_id)


@operation("DELETE", "/users/<user_id>", Right.USERS, status=204, versioned=True, query=(
    Field("for_good", "switch", "Whether nobody can restore the user.", default=False),))
def remove(asked: Asked, user_id: str) -> Answer:
    """Delete a user, who can be restored for 30 days."""
    user_of_id(asked.system, user_id)
    actions.remove(asked.system, asked.actor, user_id, asked.query["for_good"], asked.check)
    return Answer(status=204)


@operation("POST", "/users/<user_id>/enable", Right.USERS, answers.User, versioned=True, again=show)
def enable(asked: Asked, user_id: str) -> Answer:
    """Let a user connect again."""
    user_of_id(asked.system, user_id)
    actions.enable(asked.system, asked.actor, user_id, asked.check)
    return told(asked.system, user_id)


@operation("POST", "/users/<user_id>/disable", Right.USERS, answers.User, versioned=True, again=show)
def disable(asked: Asked, user_id: str) -> Answer:
    """End a user's connections and refuse new ones."""
    user_of_id(asked.system, user_id)
    actions.disable(asked.system, asked.actor, user_id, asked.check)
    return told(asked.system, user_id)


@operation("GET", "/users/<user_id>/link", Right.USERS, answers.Link)
def link(asked: Asked, user_id: str) -> Answer:
    """Read what lets a user in: the links, the secret, and the links from before that still work."""
    view = view_of(asked.system, user_id)
    parts = parse_link(view.tg_link)
    old = [answers.OldLink(each.tg_link, each.tme_link, each.domain, each.until, each.last_used)
           for each in view.old_links]
    return Answer(answers.Link(view.tg_link, view.tme_link, parts.server, parts.port, view.secret, old))


@operation("POST", "/users/<user_id>/new-link", Right.USERS, answers.Link, versioned=True, again=link)
def new_link(asked: Asked, user_id: str) -> Answer:
    """Give a user a new secret: the link until now stops working at once."""
    user_of_id(asked.system, user_id)
    actions.rotate(asked.system, asked.actor, user_id, asked.check)
    return link(asked, user_id)


@operation("POST", "/users/<user_id>/reset-traffic", Right.USERS, answers.User, again=show)
def reset_traffic(asked: Asked, user_id: str) -> Answer:
    """Let what counts towards the limit begin at zero."""
    user_of_id(asked.system, user_id)
    traffic.reset_traffic(asked.system, asked.actor, user_id)
    return told(asked.system, user_id)


@operation("POST", "/users/<user_id>/restart", Right.USERS, answers.User, again=show)
def restart(asked: Asked, user_id: str) -> Answer:
    """Restart a user's proxy; not for an engine whose users share one."""
    user_of_id(asked.system, user_id)
    proxies.restart(asked.system, asked.actor, user_id)
    return told(asked.system, user_id)


@operation("POST", "/users/<user_id>/add-traffic", Right.USERS, answers.User, once=True, body=(
    Field("gb", "number", "GB of 1024^3 bytes, more than 0.", required=True),))
def add_traffic(asked: Asked, user_id: str) -> Answer:
    """Raise a user's limit by so much, whoever else raises it at the same time."""
    return _one_of_many(asked, user_id, "add_traffic", f"{asked.body['gb']:.9g}")


@operation("POST", "/users/<user_id>/extend", Right.USERS, answers.User, once=True, body=(
    Field("days", "whole", "Days.", required=True, least=1, most=3660),))
def extend(asked: Asked, user_id: str) -> Answer:
    """Let a user's access end so many days later; from today for one whose access is over."""
    return _one_of_many(asked, user_id, "extend", str(int(asked.body["days"])))


@operation("GET", "/users/<user_id>/qr.png", Right.USERS, media=("image/png",))
def png(asked: Asked, user_id: str) -> Answer:
    """Read a user's link as a QR code."""
    return Answer(raw=send_file(io.BytesIO(qr_png(view_of(asked.system, user_id).tg_link)), mimetype="image/png"))


@operation("GET", "/users/<user_id>/qr.svg", Right.USERS, media=("image/svg+xml",))
def svg(asked: Asked, user_id: str) -> Answer:
    """Read a user's link as a QR code of any size."""
    image = io.BytesIO(qr_svg(view_of(asked.system, user_id).tg_link))
    return Answer(raw=send_file(image, mimetype="image/svg+xml"))


@operation("POST", "/users/<user_id>/test", Right.USERS, answers.LinkTest)
def test(asked: Asked, user_id: str) -> Answer:
    """Try a user's link from the server; takes up to ten seconds."""
    tried = link_test.run(asked.system, view_of(asked.system, user_id))
    steps = [answers.Step(*step) for step in tried.steps]
    return Answer(answers.LinkTest(not tried.failed, tried.server, tried.port, steps, tried.reason, tried.milliseconds))


@operation("GET", "/users/<user_id>/page", Right.USERS, answers.Page)
def page(asked: Asked, user_id: str) -> Answer:
    """Read the address of the page that this user has for themselves."""
    user_of_id(asked.system, user_id)
    return _page(share_views.address(asked.system, user_id))


@operation("POST", "/users/<user_id>/page", Right.USERS, answers.Page, again=page, body=(
    Field("renew", "switch", "Whether a page that is there gets another address.", default=False),))
def make_page(asked: Asked, user_id: str) -> Answer:
    """Make this user's own page, if there is none."""
    user_of_id(asked.system, user_id)
    make = pages.renew_page if asked.body.get("renew") else pages.make_page
    return _page(make(asked.system, asked.actor, user_id))


@operation("DELETE", "/users/<user_id>/page", Right.USERS, status=204)
def remove_page(asked: Asked, user_id: str) -> Answer:
    """Switch this user's own page off."""
    user_of_id(asked.system, user_id)
    pages.remove_page(asked.system, asked.actor, user_id)
    return Answer(status=204)


@operation("GET", "/users/<user_id>/devices", Right.USERS, answers.Devices)
def devices(asked: Asked, user_id: str) -> Answer:
    """Read from which addresses a user's link is used."""
    view = view_of(asked.system, user_id)
    return Answer(answers.Devices(view.addresses, view.most_addresses,
                                  [answers.Address(each.address, each.since) for each in view.connected],
                                  view.refused_addresses_day, view.refused_addresses_month))


@operation("GET", "/users/<user_id>/traffic", answers=answers.Series, query=PERIOD)
def of_user(asked: Asked, user_id: str) -> Answer:
    """Read a user's traffic as a chart shows it."""
    user_of_id(asked.system, user_id)
    return _series(asked, user_id)


@operation("POST", "/traffic/reset", Right.USERS, status=204, again=empty(204))
def reset_all(asked: Asked) -> Answer:
    """Let what counts towards the limit begin at zero for all users."""
    traffic.reset_traffic(asked.system, asked.actor)
    return Answer(status=204)


@operation("GET", "/links", Right.USERS, list[answers.UserLink], query=LIST)
def links(asked: Asked) -> Answer:
    """List what lets users in: the links of a page of users, with the same filters and order as /users."""
    chosen = [row.id for row in _page_of_list(asked, roster.rows(snapshot.take(asked.system))).rows]
    by_id = {view.id: view for view in views.users(asked.system)}
    return Answer([answers.UserLink(each, by_id[each].name, by_id[each].tg_link, by_id[each].tme_link)
                   for each in chosen if each in by_id])


@operation("GET", "/traffic", answers=answers.Series, query=PERIOD)
def of_all(asked: Asked) -> Answer:
    """Read everybody's traffic as a chart shows it."""
    return _series(asked, "")


def user_of_id(system: System, user_id: str) -> User:
    """The user with this id, as declared; a name is none. Raises NothingThere."""
    for user in system.declaration.last_good().users:
        if user.id == user_id:
            return user
    raise nothing("user.unknown", user_id)


def view_of(system: System, user_id: str) -> UserView:
    """The same as it is. Raises NothingThere."""
    found = views.user_of_id(system, user_id, secrets=True)
    if found is None:
        raise nothing("user.unknown", user_id)
    return found


def told(system: System, user_id: str, status: int = 200, location: str = "") -> Answer:
    """A user as the answer. Raises NothingThere."""
    sight = snapshot.take(system)
    user = next((user for user in sight.config.users if user.id == user_id), None)
    if user is None:
        raise nothing("user.unknown", user_id)
    answer = user_of(roster.row(user, sight), sight)
    return Answer(answer, status, answer.version, location)


def user_of(row: Row, sight: Snapshot) -> answers.User:
    """One user without anything that lets somebody in."""
    user, config = row.user, sight.config
    return answers.User(
        id=user.id, name=user.name, enabled=user.enabled, state=row.state, condition=row.condition, reason=row.reason,
        declared={field.name: declared(field, user) for field in TOLD},
        effective=answers.Effective(row.limit_gb, limits.at_limit(user, config), limits.speed_mbps(user, config),
                                    limits.max_unique_ips(user, config), limits.reset_cycle(user, config)),
        traffic=answers.Traffic(row.down, row.up, row.used_down, row.used_up, row.now_down, row.now_up, row.estimated,
                                round(row.share, 2) if row.limit_gb else None),
        connections=row.connections, throttled_bps=row.throttled, last_seen_at=moment(row.last_seen, sight.zone),
        created_at=user.created_at.isoformat(), served_by=row.engine, hints=row.hints,
        has_page=bool(user.share_token), version=seen.version(user))


def declared(field: Field, part: Any) -> Any:
    """The value of a field as JSON has it."""
    assert field.spec is not None
    value = getattr(part, field.spec.attribute)
    return value.isoformat() if hasattr(value, "isoformat") else value


def typed(body: Any) -> dict[str, Any]:
    """What was sent, as people type it; in the order of the form, as one field may decide about another."""
    return {field.name: field.typed(body[field.name]) for field in FIELDS if field.name in body}


def _one_of_many(asked: Asked, user_id: str, what: str, value: str) -> Answer:
    user_of_id(asked.system, user_id)
    sent = next(iter(asked.body))

    def make() -> str:
        try:
            job = many.change_many(asked.system, asked.actor, [user_id], what, value,
                                   many.Job(what, value, str(asked.actor), 1))
        except Refused as refused:
            raise Refused(refused.problem.about(sent)) if refused.field == "value" else refused from None
        if job.failed:
            raise Refused(job.failed[0][1].about(sent))
        return user_id

    # An answer that is lost is asked for again: what was paid once is added once.
    asked.made_once(make)
    return told(asked.system, user_id)


def _is_by_id(asked: Asked) -> bool:
    """Whether the order is that of ids. Raises Refused for another one with `after`."""
    after, sort = asked.query["after"], asked.query["sort"]
    if after is not None and sort not in (None, BY_ID):
        raise Refused("api.type", "sort", value=sort, allowed=Problem("api.one_of", {"choices": [BY_ID]}))
    return after is not None or sort == BY_ID


def _page_of_list(asked: Asked, rows: list[Row]) -> listing.Page:
    if asked.query["size"] not in SIZES:
        raise Refused("api.one_of_sizes", "size", sizes=list(SIZES))
    if _is_by_id(asked):
        rows = sorted((row for row in rows if row.id > (asked.query["after"] or "")), key=lambda row: row.id)
    return listing.page(rows, Query.of({key: str(value) for key, value in asked.query.items() if value is not None}))


def _page(address: share_views.ShareAddress) -> Answer:
    return Answer(answers.Page(address.url, address.path))


def _series(asked: Asked, user_id: str) -> Answer:
    found = series.of(asked.system, asked.query["period"], user_id)
    return Answer(answers.Series(found.period, found.at, found.down, found.up, found.before, found.estimated))
