"""Whoever is logged in: their own password, and where they are logged in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import PasswordField

from app.accounts import factors
from app.accounts.logins import Place
from app.actions import admins
from app.config.model import Admin
from app.control.errors import LoginBusy, LoginThrottled, Refused
from app.ledger.sessions import HOURS, session_id
from app.lib.zone import server_zone
from app.web import device
from app.web.auth import begin_session, token_of_session
from app.web.context import actor, client_address, current_admin, door, the_config, the_system
from app.web.formats import duration
from app.web.forms import RefusableForm

blueprint = Blueprint("account", __name__, url_prefix="/account")


class PasswordForm(RefusableForm):
    """A new password, twice, by somebody who knows the one until now."""

    current = PasswordField(lazy_gettext("Your password until now"))
    password = PasswordField(lazy_gettext("New password"))
    again = PasswordField(lazy_gettext("New password again"))


@dataclass(frozen=True)
class Shown:
    """One session as the page shows it. Times are ISO 8601."""

    id: str
    address: str
    since: str
    seen: str
    here: bool


@blueprint.get("")
def index() -> str:
    """The forms, and the sessions."""
    return _page(PasswordForm())


@blueprint.post("/password")
def password() -> ResponseReturnValue:
    """Changes one's own password. Every other session ends; this browser stays logged in, by a new one."""
    form = PasswordForm()
    return redirect(url_for(".index")) if change_password(form) else (_page(form), 422)


def change_password(form: PasswordForm) -> bool:
    """Changes one's own password to what was typed; if that is refused, the form says why."""
    me = _me()
    form.validate_on_submit()
    try:
        if form.password.data != form.again.data:
            raise Refused("password.differ", "again")
        place = Place(client_address(), door(), device.known(me.username))
        changed = admins.set_own_password(the_system(), actor(), form.current.data or "", form.password.data or "",
                                          place)
    except LoginThrottled as throttled:
        form.form_errors.append(_("Too many failed attempts. Try again in %(time)s.", time=duration(throttled.seconds)))
    except LoginBusy:
        form.form_errors.append(_("Too many people are logging in at this moment. Try again in a few seconds."))
    except Refused as refusal:
        form.show(refusal)
    else:
        begin_session(changed)
        flash(_("Your password is changed. You are logged out everywhere else."))
        return True
    return False


@blueprint.post("/sessions/end")
def end() -> ResponseReturnValue:
    """Ends one of one's own sessions (?id), or all but this one."""
    me, wanted, here = _me(), request.form.get("id", ""), session_id(token_of_session())
    actor()
    ids = [wanted] if wanted else [key for key, _session in the_system().logins.sessions(me.username) if key != here]
    ended = sum(the_system().logins.end_one_session(me.username, key) for key in ids)
    if here in ids:
        session.clear()
        return redirect(url_for("auth.login"))
    flash(_("Logged out there.") if ended else _("This session had ended already."))
    return redirect(url_for(".index"))


def _me() -> Admin:
    me = current_admin()
    assert me is not None  # the gate lets nobody else in
    return me


def _page(form: PasswordForm) -> str:
    zone, here = server_zone(), session_id(token_of_session())
    places = [Shown(key, one.address, datetime.fromtimestamp(one.since, zone).isoformat(),
                     datetime.fromtimestamp(one.seen, zone).isoformat(), key == here)
              for key, one in the_system().logins.sessions(_me().username)]
    return render_template("account/index.html", form=form, places=places, hours=HOURS,
                           factor=factors.of(the_config(), _me().username))
