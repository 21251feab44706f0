"""Users: the list, one user's page with the link to send, and everything that can be done to a user."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from app.accounts.actor import Actor
from app.actions import proxies, traffic
from app.actions import users as actions
from app.config.model import Config, User
from app.config.names import fold
from app.control import views
from app.control.errors import Refused
from app.control.records import OldLinkView, UserView
from app.control.system import System
from app.engines.base import default_engine
from app.messages import Problem, sentence
from app.messages.english.fields import words
from app.mtproto.qr import qr_png, qr_svg
from app.rules import brought
from app.web.context import actor, the_config, the_system
from app.web.formats import count, date_field, gigabytes, server_zone, speed
from app.web.forms import USER_FIELDS, NewUserForm, UserForm
from app.web.outcomes import failures

#: Fields that say one thing, when access ends: of them one counts.
CLOCKS = ("expires", "expires_after_days")

blueprint = Blueprint("users", __name__, url_prefix="/users")


@blueprint.get("")
def index() -> str:
    """All users, or those whose name, note, domain or port contains ?q=."""
    return render_template("users/index.html", **_found())


@blueprint.get("/list")
def rows() -> str:
    """The part of the list that changes by itself."""
    return render_template("users/_list.html", **_found())


@blueprint.route("/new", methods=["GET", "POST"])
def new() -> ResponseReturnValue:
    """Adds a user and shows the link to send."""
    form = NewUserForm()
    form.offer(the_config())
    if form.validate_on_submit():
        link, typed = form.link.data or "", form.typed()
        try:
            changes: dict[str, Any] = {key: text for key, text in typed.items() if text and key != "name"}
            user = actions.add_user(the_system(), actor(), typed["name"], link=link or None, **changes)
        except Refused as refusal:
            form.show(refusal)
        else:
            if user.state == "failed":
                flash(f"{user.name} is added, but their proxy does not run yet: {sentence(user.reason)}", "error")
            elif user.state == "unknown":
                flash(f"{user.name} is added, and their link works as soon as the proxies can be reached. "
                      f"Now they can't: {sentence(user.reason)}", "error")
            else:
                flash(f"{user.name} is added. {_to_send(link, user)}")
            return redirect(url_for("users.show", user_id=user.id))
    config = the_config()
    page = render_template("users/new.html", form=form, common=config, fields=USER_FIELDS, hints=_hints(config),
                           silence=runtime_unavailable_reason(views.users(the_system())))
    return page, 422 if form.is_submitted() else 200


@blueprint.get("/<user_id>")
def show(user_id: str) -> str:
    """One user: the link, the QR code, and how it goes."""
    status, user = views.status(the_system()), _user(user_id)
    trouble = status.edge.trouble if status.edge and status.edge.port_443 else None
    return render_template("users/show.html", user=user, latest=_latest(user), server_note=status.server_note,
                           all_stopped=status.stopped, trouble=trouble)


@blueprint.get("/<user_id>/state")
def state(user_id: str) -> str:
    """The part of a user's page that changes by itself."""
    return render_template("users/_state.html", user=_user(user_id))


@blueprint.route("/<user_id>/edit", methods=["GET", "POST"])
def edit(user_id: str) -> ResponseReturnValue:
    """Changes what differs from what the page showed, and nothing else: an untouched field can't be lost or rounded."""
    user = _user(user_id)
    before = _written(next(u for u in the_config().users if u.id == user.id))
    form = UserForm(data=before | {"shown": json.dumps(before)})
    form.offer(the_config())
    if form.validate_on_submit():
        link = user.tg_link
        shown = form.were_shown(before)
        typed = form.typed()
        changes = {key: value for key, value in typed.items() if value != shown[key]}
        clocks = {key: typed[key] for key in CLOCKS}
        if clocks.keys() & changes.keys() and all(clocks.values()):
            # One that was left as it is says something too: which of the two counts is not ours to guess.
            changes |= clocks

        def check(now: User) -> None:
            form.refuse_stale(changes, _written(now), CLOCKS if clocks.keys() & changes.keys() else ())

        try:
            user = actions.update_user(the_system(), actor(), user.id, changes, check) if changes else user
        except Refused as refusal:
            form.show(refusal)
        else:
            changed = " The link has changed: send them the new one." if user.tg_link != link else ""
            flash(f"{user.name} is saved.{changed}" if changes else
                  "Nothing was changed.")
            return redirect(url_for("users.show", user_id=user.id))
    config = the_config()
    page = render_template("users/edit.html", form=form, user=user, common=config,
                           fields=USER_FIELDS, hints=_hints(config, user),
                           silence=runtime_unavailable_reason([user]))
    return page, 422 if form.is_submitted() else 200


@blueprint.post("/<user_id>/enable")
def enable(user_id: str) -> ResponseReturnValue:
    """Lets the user connect again."""
    return _act(user_id, actions.enable, "{name} is enabled. {link}")


@blueprint.post("/<user_id>/disable")
def disable(user_id: str) -> ResponseReturnValue:
    """Ends the user's connections and refuses new ones; the link is kept."""
    return _act(user_id, actions.disable, "{name} is disabled. Their connections have ended.")


@blueprint.route("/<user_id>/rotate", methods=["GET", "POST"])
def rotate(user_id: str) -> ResponseReturnValue:
    """Gives the user a new secret, after a question; the old link stops working at once."""
    if request.method != "POST":
        return _ask(user_id, "rotate")
    return _act(user_id, actions.rotate, "{name} has a new link. The old one no longer works.", "show")


@blueprint.route("/<user_id>/remove", methods=["GET", "POST"])
def remove(user_id: str) -> ResponseReturnValue:
    """Deletes the user, after a question that names them."""
    if request.method != "POST":
        return _ask(user_id, "remove")
    return _act(user_id, actions.remove, "{name} is deleted.", "index")


@blueprint.route("/<user_id>/reset", methods=["GET", "POST"])
def reset(user_id: str) -> ResponseReturnValue:
    """Begins a new period of the user's traffic, after a question; it lifts what the limit has brought."""
    if request.method != "POST":
        return _ask(user_id, "reset")

    def begin(system: System, actor: Actor, ref: str) -> UserView:
        traffic.reset_traffic(system, actor, ref)
        return views.user(system, ref)

    return _act(user_id, begin, "{name}'s traffic is reset: it counts from zero again.", "show")


@blueprint.route("/<user_id>/restart", methods=["GET", "POST"])
def restart(user_id: str) -> ResponseReturnValue:
    """Restarts the user's proxy, after a question; nobody else's."""
    if request.method != "POST":
        return _ask(user_id, "restart")
    user = _user(user_id)
    try:
        outcomes = proxies.restart(the_system(), actor(), user.id)
        # The same pass repairs what is wrong elsewhere: the dashboard tells of that.
        failed = failures(o for o in outcomes if o.user_id == user.id)
        user = _user(user_id)
    except Refused as refusal:
        flash(str(refusal), "error")
    else:
        if failed:
            flash(failed, "error")
        elif user.state == "running":
            flash(f"{user.name}'s proxy is restarted. Telegram connects again by itself.")
        else:
            flash(f"{user.name} is {user.state}, so nothing was restarted.", "error")
    return redirect(url_for("users.show", user_id=user.id))


@blueprint.get("/<user_id>/qr.svg")
def qr_image(user_id: str) -> ResponseReturnValue:
    """The link as a QR code, for the page."""
    return send_file(io.BytesIO(qr_svg(_user(user_id).tg_link)), mimetype="image/svg+xml")


@blueprint.get("/<user_id>/qr.png")
def qr_download(user_id: str) -> ResponseReturnValue:
    """The link as a QR code, for sending on."""
    user = _user(user_id)
    return send_file(io.BytesIO(qr_png(user.tg_link)), mimetype="image/png", as_attachment=True,
                     download_name=f"telegram-proxy-{user.id}.png")


def _to_send(link: str, user: UserView) -> str:
    """What to do with the link of a new user who brought this one along ("" for none)."""
    if not link:
        return "Send them the link below."
    lost = brought.not_kept(link, user.tg_link)
    if not lost:
        return "Their existing link works here without a change."
    return f"Send them the link below, as not all of theirs could be kept: {'; '.join(map(sentence, lost))}."


def _user(user_id: str) -> UserView:
    """The user with this id. A name is no address here: names change, and need not be unique."""
    found = next((user for user in views.users(the_system()) if user.id == user_id), None)
    return found or abort(404)


def _written(user: User) -> dict[str, str]:
    """What is declared of a user, as it is typed into the form."""
    found = {spec.key: spec.write(getattr(user, spec.attribute)) for spec in USER_FIELDS}
    # An input for dates holds a day of the server's clock.
    found["expires"] = date_field(user.expires_at.isoformat() if user.expires_at else None)
    if user.expires_at:
        found["expires_after_days"] = ""
    return found


def _hints(config: Config, user: UserView | None = None) -> dict[str, str]:
    """What stands below each field of the form; user: None for a new one."""
    given = {"domain_hint": _domain_hint(config, user), "zone": server_zone(),
             "limit_of_all": gigabytes(config.traffic_limit_gb) if config.traffic_limit_gb else "none",
             "speed_of_all": speed(config.throttle_speed_mbps),
             "ips_of_all": config.max_unique_ips or "any number",
             "engine_of_all": default_engine(config, the_system().engines)}
    return {key: words(f"user.{key}").hint.format_map(given) for key in (*(s.key for s in USER_FIELDS), "link")}


def _latest(user: UserView) -> OldLinkView | None:
    """The old link that was used after every other link of this user; None if today's was, or none at all."""
    used = [(old, datetime.fromisoformat(old.last_used)) for old in user.old_links if old.last_used]
    old, at = max(used, key=lambda pair: pair[1], default=(None, None))
    today = user.link_last_used
    return None if at is None or (today and datetime.fromisoformat(today) >= at) else old


def _domain_hint(config: Config, user: UserView | None = None) -> str:
    """What to type as the domain of this user (None: of a new one), and what follows from another one."""
    own = config.sni_base_domain if config.sni_mode == "own" else ""
    hint = "The site that the connection looks like"
    if user is None:
        return hint + (f". Empty: the panel makes up a name under {own}." if own else
                       ", such as www.example.com. Empty: the panel picks one.")
    days = config.domain_grace_days if config.port_443_mode else 0
    hint += ". Another domain means another link: the old one " + (
        f"keeps working for {count(days, 'day')}{', after one reconnect now' if user.restarts else ''}." if days else
        "stops working at once.")
    if own and user.domain.endswith(f".{own}"):
        hint += " You may leave it as it is: the panel made it up, and manages its certificate."
    elif own:
        hint += f" Any name under {own} will do: the panel manages its certificate."
    return hint


def _ask(user_id: str, what: str) -> str:
    user = _user(user_id)
    return render_template("confirm.html", what=what, name=user.name, silence=runtime_unavailable_reason([user]),
                           action=url_for(f"users.{what}", user_id=user.id),
                           back=url_for("users.show", user_id=user.id))


def _found() -> dict[str, object]:
    """The users that match the search, how many there are in all, and what was searched for."""
    users = views.users(the_system())
    query = request.args.get("q", "").strip()
    matches = [user for user in users if fold(query) in haystack(user)]
    return {"users": matches, "total": len(users), "query": query, "haystack": haystack,
            "silence": runtime_unavailable_reason(users)}


def runtime_unavailable_reason(users: Iterable[UserView]) -> Problem | None:
    """Why it can't be seen what runs; None if it can."""
    return next((user.reason for user in users if user.state == "unknown"), None)


def haystack(user: UserView) -> str:
    """What the search looks through, here and in the browser."""
    return fold(" ".join((user.name, user.note, user.domain, str(user.link_port), user.state)))


def _act(user_id: str, action: Callable[[System, Actor, str], UserView], done: str,
         then: str = "") -> ResponseReturnValue:
    """Does this to a user and goes back to the page it was asked on."""
    user = _user(user_id)
    try:
        after = action(the_system(), actor(), user.id)
        silence = runtime_unavailable_reason((user, after))
        if silence:
            # What `done` promises has not happened yet.
            flash(f"The change to {after.name} is saved, and takes effect as soon as the proxies can be "
                  f"reached. Now they can't: {silence}", "error")
        else:
            link = (f"Their link does not work while they are {after.state}." if after.state in ("blocked", "expired")
                    else "The same link is valid again.")
            flash(done.format(name=after.name, link=link))
    except Refused as refusal:
        flash(str(refusal), "error")
        then = "show"
    target = then or ("index" if request.form.get("from") == "list" else "show")
    return redirect(url_for("users.index") if target == "index" else url_for("users.show", user_id=user.id))
