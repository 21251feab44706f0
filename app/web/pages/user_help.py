"""What helps one user on: a higher limit, a later end of access, a try of the link; and live parts of their page."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.actions import users as actions
from app.control import link_test, preview, views
from app.control.errors import Refused
from app.control.records import OldLinkView, UserView
from app.lib.zone import server_zone
from app.mtproto.links import parse_link
from app.rules import offers
from app.web.chart import PERIODS
from app.web.context import actor, sees_secrets, the_config, the_system
from app.web.formats import gigabytes, last_day
from app.web.history import entries
from app.web.language import in_words
from app.web.pages.traffic import shown as traffic_chart

blueprint = Blueprint("user", __name__, url_prefix="/users/<user_id>")


@blueprint.route("/limit", methods=["GET", "POST"])
def raise_limit(user_id: str) -> ResponseReturnValue:
    """Offers higher limits, and sets the one that is chosen: what is sent is the limit, so twice is as once."""
    user = _user(user_id)
    if request.method == "POST":
        return _change(user, "limit_gb", request.form.get("limit_gb", ""))
    used = user.period_down + user.period_up
    choices = [(f"{limit:g}", gigabytes(limit)) for limit in offers.higher_limits(user.limit_gb, used)]
    return render_template("users/limit.html", user=user, used=used, choices=choices if user.limit_gb else [])


@blueprint.route("/access", methods=["GET", "POST"])
def extend(user_id: str) -> ResponseReturnValue:
    """Offers later ends of access, and sets the one that is chosen: what is sent is the day."""
    user = _user(user_id)
    if request.method == "POST":
        return _change(user, "expires", request.form.get("expires", ""))
    declared = next(each for each in the_config().users if each.id == user.id)
    now, zone = the_system().reconciler.now(), server_zone()
    choices = [(f"{day:%Y-%m-%d}", days, day) for days, day in offers.later_days(declared.expires_at, now, zone)]
    return render_template("users/access.html", user=user, choices=choices)


@blueprint.post("/test")
def test(user_id: str) -> str:
    """Tries the link from here: the result alone for the page that is open, a page of its own without script."""
    user = _user(user_id)
    page = "users/_test.html" if "HX-Request" in request.headers else "users/test.html"
    return render_template(page, user=user, test=link_test.run(the_system(), user))


@blueprint.get("/head")
def head(user_id: str) -> str:
    """The top of a user's page, which changes by itself."""
    return render_template("users/_head.html", **_of_head(_user(user_id)))


@blueprint.get("/more")
def more(user_id: str) -> str:
    """The previous links and what happened, in the same way."""
    return render_template("users/_more.html", **_of_more(_user(user_id)))


def shown(user: UserView) -> dict[str, object]:
    """What the whole page tells."""
    return {"chart": traffic_chart(user.id), "periods": PERIODS, **(_of_link(user) if user.tg_link else {}),
            "others": preview.of_user(the_system(), user.id), **_of_head(user), **_of_more(user)}


def _of_link(user: UserView) -> dict[str, object]:
    """What is there to send, for whoever may see it."""
    link = parse_link(user.tg_link)
    message = gettext("Here is your Telegram proxy. Tap the link, then \"Connect Proxy\":\n\n%(link)s\n\n"
                      "If nothing opens, copy this into Telegram and tap it there:\n%(app_link)s",
                      link=user.tme_link, app_link=user.tg_link)
    return {"message": message,
            "by_hand": {"server": link.server, "port": link.port, "secret": link.secret.hex}}


def _of_head(user: UserView) -> dict[str, object]:
    system = the_system()
    config = the_config()
    return {"user": user, "server_note": system.server.note(config), "all_stopped": config.proxies_stopped,
            "trouble": views.port_443_trouble(system)}


def _of_more(user: UserView) -> dict[str, object]:
    return {"user": user, "latest": _latest(user), "changes": entries(the_system(), user.id)}


def _change(user: UserView, key: str, typed: str) -> ResponseReturnValue:
    try:
        after = actions.update_user(the_system(), actor(), user.id, {key: typed})
    except Refused as refusal:
        flash(in_words(refusal), "error")
        return redirect(url_for(request.endpoint or "users.show", user_id=user.id))
    if key == "limit_gb":
        told = gettext("%(name)s may use %(limit)s.", name=after.name, limit=gigabytes(after.limit_gb)) \
            if after.limit_gb else gettext("%(name)s now has no limit.", name=after.name)
    else:
        told = gettext("%(name)s has access until %(day)s.", name=after.name, day=last_day(after.expires_at)) \
            if after.expires_at else gettext("%(name)s now has access without an end date.", name=after.name)
    flash(told)
    return redirect(url_for("users.show", user_id=user.id))


def _user(user_id: str) -> UserView:
    return views.user_of_id(the_system(), user_id, sees_secrets()) or abort(404)


def _latest(user: UserView) -> OldLinkView | None:
    """The old link that was used after every other link of this user; None if today's was, or none at all."""
    used = [(old, datetime.fromisoformat(old.last_used)) for old in user.old_links if old.last_used]
    old, at = max(used, key=lambda pair: pair[1], default=(None, None))
    today = user.link_last_used
    return None if at is None or (today and datetime.fromisoformat(today) >= at) else old
