"""Logging in and out, and the gate: without a login nothing answers except what is named here."""

from __future__ import annotations

import logging

from flask import Blueprint, Flask, flash, g, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from app.accounts import admins as accounts
from app.accounts import factors
from app.accounts.logins import Place, stamp_of
from app.actions import admins
from app.actions import factors as second
from app.config.model import Admin
from app.control.errors import LoginBusy, LoginThrottled, Refused
from app.ledger.sessions import HOURS as SESSION_HOURS
from app.web import device, passkey, rights
from app.web.context import client_address, current_admin, door, may, now, the_config, the_system
from app.web.formats import duration
from app.web.forms import CodeForm, LoginForm, TextForm
from app.web.hosts import BY_BOTH, KEYED_ENDPOINTS, OPEN_ENDPOINTS, is_by_token
from app.web.language import gettext, in_words, is_inside

log = logging.getLogger(__name__)
blueprint = Blueprint("auth", __name__)

#: Seconds between the password and the code.
HALF_SECONDS = 300


def init_app(app: Flask) -> None:
    """Looks who asks, before anything is refused: a page of an error says more to whoever is logged in."""
    app.before_request(recognize)


def recognize() -> None:
    """Finds the admin of this request's session."""
    unasked = request.endpoint in OPEN_ENDPOINTS | KEYED_ENDPOINTS or (is_by_token() and request.endpoint != BY_BOTH)
    g.admin = None if unasked else _admin_of_session()


@blueprint.before_app_request
def gate() -> ResponseReturnValue | None:
    """Sends a stranger to the login page, and keeps everybody to what their role may open. A route added later is
    behind it without being listed."""
    if is_by_token():
        return None  # app/api has a gate of its own
    # No endpoint means 404 or 405: those pages say nothing that a stranger may not know.
    if g.admin:
        right = rights.needed(request.endpoint)
        return None if may(right) else rights.refusal(right)
    if request.endpoint in (None, "auth.login", "auth.code", "language.choose", *OPEN_ENDPOINTS, *KEYED_ENDPOINTS):
        return None
    here = request.script_root + request.full_path.rstrip("?")
    wanted = here if request.method == "GET" and request.path != "/" else None
    return redirect(url_for("auth.login", next=wanted))


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """The login form. So many failures, and it says how long to wait; a stranger is told nothing else."""
    if current_admin():
        return redirect(_safe_next())
    form = LoginForm()
    if not form.validate_on_submit():
        return render_template("auth/login.html", form=form), 422 if form.is_submitted() else 200
    name, password = accounts.spelled(form.username.data or ""), form.password.data or ""
    try:
        place = Place(client_address(), door(), device.known(name))
        admin = admins.check_login(the_system(), name, password, place)
    except LoginThrottled as throttled:
        return _not_now(form, gettext("Too many failed attempts. Try again in %(time)s.",
                                     time=duration(throttled.seconds)), throttled)
    except LoginBusy as busy:
        return _not_now(form, in_words(busy), busy)
    except Refused as refused:
        log.warning("logging in does not work: %s", refused)
        message = gettext("Logging in does not work at the moment. The log on the server says why.")
        return render_template("auth/login.html", form=form, message=message), 503
    if admin is None:
        message = gettext("This name and password do not match.")
        return render_template("auth/login.html", form=form, message=message), 401
    if factors.of(the_config(), admin.username):
        session.clear()
        session["half"] = [admin.username, stamp_of(admin), int(now())]
        return redirect(url_for(".code", next=request.args.get("next")))
    return _let_in(admin)


@blueprint.route("/login/code", methods=["GET", "POST"])
def code() -> ResponseReturnValue:
    """The second step, for whoever has given the password here in the last minutes."""
    admin = _half_in()
    if admin is None or current_admin():
        return redirect(url_for(".login", next=request.args.get("next")))
    form, answer = CodeForm(), request.form.get("passkey", "")
    if not answer and not form.validate_on_submit():
        return _second_step(admin, form), 422 if form.is_submitted() else 200
    try:
        place = Place(client_address(), door(), device.known(admin.username))
        if answer:
            right = second.check_passkey(the_system(), admin.username, passkey.answer("passkey"), place)
        else:
            right = second.check_code(the_system(), admin.username, form.code.data or "", place)
    except LoginThrottled as throttled:
        return _not_now(form, gettext("Too many failed attempts. Try again in %(time)s.",
                                     time=duration(throttled.seconds)), throttled, "auth/code.html")
    except Refused as refused:
        log.warning("logging in by a code does not work: %s", refused)
        message = gettext("Logging in does not work at the moment. The log on the server says why.")
        return render_template("auth/code.html", form=form, message=message), 503
    if not right:
        message = gettext("This passkey was not accepted. Try again, or use a code.") if answer else \
            gettext("This code is wrong, too old, or was used before.")
        return _second_step(admin, form, message), 401
    return _let_in(admin)


def _second_step(admin: Admin, form: CodeForm, message: str = "") -> str:
    own = factors.of(the_config(), admin.username)
    return render_template("auth/code.html", form=form, message=message,
                           options=passkey.ask_to_use(own.passkeys, "auth.code") if own else None)


def _half_in() -> Admin | None:
    """Who has given their password here, and may give the code now; None once that is too long ago, or no longer so."""
    half = session.get("half")
    if not isinstance(half, list) or len(half) != 3 or not 0 <= now() - half[2] < HALF_SECONDS:
        return None
    admin = accounts.find(the_config(), half[0])
    return admin if admin and stamp_of(admin) == half[1] and factors.of(the_config(), admin.username) else None


def _let_in(admin: Admin) -> ResponseReturnValue:
    begin_session(admin)
    first = url_for("setup.index") if admin.sudo and the_config().first_run else ""
    answer = make_response(redirect(_safe_next(first)))
    device.remember(answer, admin.username)
    return answer


def begin_session(admin: Admin) -> None:
    """Logs this browser in."""
    session.clear()  # a session planted before the login is worth nothing after it
    session.permanent = True
    session["token"] = the_system().logins.begin_session(admin, client_address())
    session["since"] = int(now())


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Ends this session: a copy of its cookie is worth nothing, either."""
    the_system().logins.end_session(token_of_session())
    session.clear()
    flash(gettext("You are logged out."))
    return redirect(url_for("auth.login"))


@blueprint.app_context_processor
def first_password() -> dict[str, bool]:
    """Whether to ask for another password than the first one, on every page."""
    admin = current_admin()
    return {"has_first_password": admin is not None and accounts.has_first_password(the_config(), admin.username)}


def _not_now(form: TextForm, message: str, refused: LoginThrottled | LoginBusy,
             template: str = "auth/login.html") -> ResponseReturnValue:
    page = render_template(template, form=form, message=message)
    return page, 429, {"Retry-After": str(max(1, round(refused.seconds)))}


def _admin_of_session() -> Admin | None:
    """The admin of this session; None once it has ended, is too old, the password changed or the admin is gone.

    The cookie alone tells its age, too, whatever the server's memory of it says.
    """
    token, since = token_of_session(), session.get("since", 0)
    if not token or not 0 <= now() - since < SESSION_HOURS * 3600:
        return None
    return the_system().logins.admin_of(token, client_address())


def token_of_session() -> str:
    """The token of this browser's session, "" for none."""
    token = session.get("token")
    return token if isinstance(token, str) else ""


def _safe_next(first: str = "") -> str:
    """Where to go after the login: a path of this panel, whatever the address bar was made to say. first: where to go
    if nobody has asked for anything."""
    target = request.args.get("next", "")
    return target if is_inside(target) else first or url_for("dashboard.index")
