"""One user: the page with the link to send, and everything that can be done to a user."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any

from flask import abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from app.accounts.actor import Actor
from app.actions import proxies, traffic
from app.actions import users as actions
from app.config.model import Config, User
from app.control import preview, views
from app.control.errors import Refused
from app.control.records import UserView
from app.control.system import System
from app.engines.base import default_engine
from app.messages import Problem
from app.mtproto.qr import qr_png, qr_svg
from app.rules import brought
from app.web.context import actor, sees_secrets, the_config, the_system
from app.web.field_check import CLOCKS, checked, checked_at
from app.web.formats import count, date_field, field_hint, server_zone, state_name
from app.web.language import fill, gettext, in_words
from app.web.limit_forms import USER_FIELDS, NewUserForm, UserForm
from app.web.outcomes import failures
from app.web.pages import user_help
from app.web.pages.users_list import blueprint, came_from


@blueprint.route("/new", methods=["GET", "POST"])
def new() -> ResponseReturnValue:
    """Adds a user and shows the link to send."""
    form = NewUserForm()
    form.offer(the_config())
    typed = form.typed()
    if form.validate_on_submit() and form.is_clear(lambda: preview.try_user(the_system(), typed)):
        link = typed.pop("link")
        changes: dict[str, Any] = {key: text for key, text in typed.items() if text and key != "name"}
        if announced := _announced(preview.of_new_user(the_system(), changes), url_for("users.index")):
            return announced
        try:
            user = actions.add_user(the_system(), actor(), typed["name"], link=link or None, **changes)
        except Refused as refusal:
            form.show(refusal)
        else:
            if user.state == "failed":
                flash(gettext("%(name)s is added, but the proxy does not run yet: %(reason)s",
                              name=user.name, reason=in_words(user.reason)), "error")
            elif user.state == "unknown":
                flash(gettext("%(name)s is added. The link works as soon as the proxies can be reached, which is not "
                              "possible now: %(reason)s", name=user.name, reason=in_words(user.reason)), "error")
            else:
                flash(gettext("%(name)s is added. %(what_to_do)s", name=user.name, what_to_do=_to_send(link, user)))
            return redirect(url_for("users.show", user_id=user.id))
    page = render_template("users/new.html", form=form, **_fields_of_new(), silence=views.unavailable(the_system()))
    return page, 422 if form.is_submitted() else 200


@blueprint.post("/new/check/<key>")
def check_new(key: str) -> str:
    """A field of somebody new, as it is left. Saves nothing."""
    return checked(NewUserForm(), key, lambda tried: preview.try_user(the_system(), tried), _fields_of_new())


@blueprint.get("/<user_id>")
def show(user_id: str) -> str:
    """One user: the link, the QR code, and how it goes."""
    views.refresh(the_system())
    return render_template("users/show.html", **user_help.shown(_user(user_id)))


@blueprint.get("/<user_id>/state")
def state(user_id: str) -> str:
    """The part of a user's page that changes by itself."""
    return render_template("users/_state.html", user=_user(user_id))


@blueprint.route("/<user_id>/edit", methods=["GET", "POST"])
def edit(user_id: str) -> ResponseReturnValue:
    """Changes what differs from what the page showed, and nothing else: an untouched field can't be lost or rounded."""
    user = _user(user_id)
    before = _declared(user)
    form = UserForm(data=before | {"shown": json.dumps(before)})
    form.offer(the_config())
    shown, typed = form.were_shown(before), form.typed()
    changes = {key: value for key, value in typed.items() if value != shown[key]}
    if form.validate_on_submit() and form.is_clear(lambda: preview.try_user(the_system(), changes, user.id)):
        link = user.tg_link
        clocks = {key: typed[key] for key in CLOCKS}
        if clocks.keys() & changes.keys() and all(clocks.values()):
            # One that was left as it is says something too: which of the two counts is not ours to guess.
            changes |= clocks
        if changes.keys() & {"secret", "domain", "engine"} and (announced := _announced(
                preview.of_user(the_system(), user.id), url_for("users.show", user_id=user.id))):
            return announced

        def check(now: User) -> None:
            form.refuse_stale(changes, _written(now), CLOCKS if clocks.keys() & changes.keys() else ())

        try:
            user = actions.update_user(the_system(), actor(), user.id, changes, check) if changes else user
        except Refused as refusal:
            form.show(refusal)
        else:
            flash(gettext("Nothing was changed.") if not changes else
                  gettext("%(name)s is saved.", name=user.name) if user.tg_link == link else
                  gettext("%(name)s is saved. The link has changed: send the new one.", name=user.name))
            return redirect(url_for("users.show", user_id=user.id))
    page = render_template("users/edit.html", form=form, user=user, **_fields_of(user),
                           silence=runtime_unavailable_reason([user]))
    return page, 422 if form.is_submitted() else 200


@blueprint.post("/<user_id>/edit/check/<key>")
def check(user_id: str, key: str) -> str:
    """A field of this user, as it is left. Saves nothing."""
    user = _user(user_id)
    before = _declared(user)
    return checked(UserForm(data=before), key, lambda tried: preview.try_user(the_system(), tried, user.id),
                   _fields_of(user), before)


@blueprint.post("/<user_id>/enable")
def enable(user_id: str) -> ResponseReturnValue:
    """Lets the user connect again."""
    if announced := _announced(preview.of_user(the_system(), user_id, enabled=True), url_for("users.index")):
        return announced
    return _act(user_id, actions.enable, gettext("%(name)s is enabled. %(link)s"))


@blueprint.post("/<user_id>/disable")
def disable(user_id: str) -> ResponseReturnValue:
    """Ends the user's connections and refuses new ones; the link is kept."""
    if announced := _announced(preview.of_user(the_system(), user_id), url_for("users.index")):
        return announced
    return _act(user_id, actions.disable, gettext("%(name)s is disabled. All connections of this user are closed."))


@blueprint.route("/<user_id>/rotate", methods=["GET", "POST"])
def rotate(user_id: str) -> ResponseReturnValue:
    """Gives the user a new secret, after a question; the old link stops working at once."""
    if request.method != "POST":
        return _ask(user_id, "rotate")
    return _act(user_id, actions.rotate, gettext("%(name)s has a new link. The old one no longer works."), "show")


@blueprint.route("/<user_id>/remove", methods=["GET", "POST"])
def remove(user_id: str) -> ResponseReturnValue:
    """Deletes the user, after a question that names them."""
    if request.method != "POST":
        return _ask(user_id, "remove")
    return _act(user_id, actions.remove, gettext("%(name)s is deleted."), "index")


@blueprint.route("/<user_id>/reset", methods=["GET", "POST"])
def reset(user_id: str) -> ResponseReturnValue:
    """Begins a new period of the user's traffic, after a question; it lifts what the limit has brought."""
    if request.method != "POST":
        return _ask(user_id, "reset")

    def begin(system: System, actor: Actor, ref: str) -> UserView:
        traffic.reset_traffic(system, actor, ref)
        return views.user(system, ref)

    return _act(user_id, begin, gettext("%(name)s's traffic is reset and counts from zero again."), "show")


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
        flash(in_words(refusal), "error")
    else:
        if failed:
            flash(failed, "error")
        elif user.state == "running":
            flash(gettext("%(name)s's proxy is restarted. Telegram connects again by itself.", name=user.name))
        else:
            flash(gettext("Nothing was restarted. State of %(name)s: %(state)s.", name=user.name,
                          state=state_name(user.state).lower()), "error")
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
        return gettext("Send the link below.")
    lost = brought.not_kept(link, user.tg_link)
    if not lost:
        return gettext("The existing link works here without a change.")
    return gettext("Send the link below, as not everything of the existing link could be kept: %(lost)s.",
                   lost="; ".join(map(in_words, lost)))


def _user(user_id: str) -> UserView:
    """The user with this id. A name is no address here: names change, and need not be unique."""
    return views.user_of_id(the_system(), user_id, sees_secrets()) or abort(404)


def _declared(user: UserView) -> dict[str, str]:
    return _written(next(each for each in the_config().users if each.id == user.id))


def _written(user: User) -> dict[str, str]:
    """What is declared of a user, as it is typed into the form."""
    found = {spec.key: spec.write(getattr(user, spec.attribute)) for spec in USER_FIELDS}
    # An input for dates holds a day of the server's clock.
    found["expires"] = date_field(user.expires_at.isoformat() if user.expires_at else None)
    if user.expires_at:
        found["expires_after_days"] = ""
    return found


def _fields_of_new() -> dict[str, object]:
    return checked_at("users.check_new", USER_FIELDS, hints_of(the_config()))


def _fields_of(user: UserView) -> dict[str, object]:
    return checked_at("users.check", USER_FIELDS, hints_of(the_config(), user), user_id=user.id)


def hints_of(config: Config, user: UserView | None = None) -> dict[str, str]:
    """What stands below each field of the form; user: None for a new one."""
    given = {"domain_hint": _domain_hint(config, user), "zone": server_zone(),
             "engine_of_all": default_engine(config, the_system().engines)}
    missing = [name for name, engine in the_system().engines.items() if engine.missing()]
    found = {key: field_hint("user", key, **given) for key in (*(s.key for s in USER_FIELDS), "link")}
    if missing:
        found["engine"] += " " + gettext("Not installed here: %(names)s.", names=", ".join(missing))
    return found


def _domain_hint(config: Config, user: UserView | None = None) -> str:
    """What to type as the domain of this user (None: of a new one), and what follows from another one."""
    own = config.sni_base_domain if config.sni_mode == "own" else ""
    if user is None:
        return gettext("The site that the connection looks like. Empty: the panel makes up a name under %(own)s.",
                       own=own) if own else gettext(
            "The site that the connection looks like, such as www.example.com. Empty: the panel picks one.")
    days = config.domain_grace_days if config.port_443_mode else 0
    hints = [gettext("The site that the connection looks like."),
             gettext("Another domain means another link: the old one stops working at once.") if not days else
             gettext("Another domain means another link: the old one keeps working for %(days)s, after one reconnect "
                     "now.", days=count(days, "day")) if user.restarts else
             gettext("Another domain means another link: the old one keeps working for %(days)s.",
                     days=count(days, "day"))]
    if own and user.domain.endswith(f".{own}"):
        hints.append(gettext("The panel made up the current one and manages its certificate: you can keep it."))
    elif own:
        hints.append(gettext("Any name under %(own)s is possible: the panel manages its certificate.", own=own))
    return " ".join(hints)


def _announced(others: preview.Interruption, back: str) -> str | None:
    """The question before a change that disconnects others for a moment; None if it does not, or was answered."""
    if not others.users or request.form.get("sure") == "yes":
        return None
    typed = [(name, text) for name, text in request.form.items(multi=True) if name not in ("csrf_token", "sure")]
    return render_template("users/interrupts.html", others=others, typed=typed, back=back)


def _ask(user_id: str, what: str) -> str:
    user = _user(user_id)
    return render_template("confirm.html", what=what, name=user.name, silence=runtime_unavailable_reason([user]),
                           others=preview.of_user(the_system(), user.id),
                           action=url_for(f"users.{what}", user_id=user.id),
                           back=url_for("users.show", user_id=user.id))


def runtime_unavailable_reason(users: Iterable[UserView]) -> Problem | None:
    """Why it can't be seen what runs; None if it can."""
    return next((user.reason for user in users if user.state == "unknown"), None)


def _act(user_id: str, action: Callable[[System, Actor, str], UserView], done: str,
         then: str = "") -> ResponseReturnValue:
    """Does this to a user and goes back to the page it was asked on."""
    user = _user(user_id)
    try:
        after = action(the_system(), actor(), user.id)
        silence = runtime_unavailable_reason((user, after))
        if silence:
            # What `done` promises has not happened yet.
            flash(gettext("The change to %(name)s is saved and takes effect as soon as the proxies can be reached, "
                          "which is not possible now: %(reason)s", name=after.name, reason=in_words(silence)), "error")
        else:
            link = {"blocked": gettext("The link does not work while the user is blocked."),
                    "expired": gettext("The link does not work, as the access has expired.")
                    }.get(after.state, gettext("The same link is valid again."))
            flash(fill(done, name=after.name, link=link))
    except Refused as refusal:
        flash(in_words(refusal), "error")
        then = "show"
    if not then and "back" in request.form:
        return redirect(came_from(request.form["back"], f"user-{user.id}"))
    return redirect(url_for("users.index") if then == "index" else url_for("users.show", user_id=user.id))
