"""Logging in and out, and the gate: without a login nothing answers except what is named here."""

from __future__ import annotations

import logging
import time

from flask import Blueprint, Flask, flash, g, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from app.accounts import admins as accounts
from app.accounts.logins import Place
from app.actions import admins
from app.config.model import Admin
from app.control.errors import LoginBusy, LoginThrottled, Refused
from app.ledger.sessions import HOURS as SESSION_HOURS
from app.web import device
from app.web.context import client_address, current_admin, door, the_config, the_system
from app.web.formats import duration
from app.web.forms import LoginForm
from app.web.hosts import OPEN_ENDPOINTS

log = logging.getLogger(__name__)
blueprint = Blueprint("auth", __name__)


def init_app(app: Flask) -> None:
    """Looks who asks, before anything is refused: a page of an error says more to whoever is logged in."""
    app.before_request(recognize)


def recognize() -> None:
    """Finds the admin of this request's session."""
    g.admin = None if request.endpoint in OPEN_ENDPOINTS else _admin_of_session()


@blueprint.before_app_request
def gate() -> ResponseReturnValue | None:
    """Sends a stranger to the login page. A route added later is behind it without being listed."""
    # No endpoint means 404 or 405: those pages say nothing that a stranger may not know.
    if g.admin or request.endpoint in (None, "auth.login", *OPEN_ENDPOINTS):
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
    name, password = form.username.data or "", form.password.data or ""
    try:
        place = Place(client_address(), door(), device.known(name))
        admin = admins.check_login(the_system(), name, password, place)
    except LoginThrottled as throttled:
        return _not_now(form, f"Too many failed attempts. Try again in {duration(throttled.seconds)}.", throttled)
    except LoginBusy as busy:
        return _not_now(form, "Too many people are logging in at this moment. Try again in a few seconds.", busy)
    except Refused as refused:
        log.warning("logging in does not work: %s", refused)
        message = "Logging in does not work at the moment. The log on the server says why."
        return render_template("auth/login.html", form=form, message=message), 503
    if admin is None:
        message = "This name and password do not match."
        return render_template("auth/login.html", form=form, message=message), 401
    session.clear()  # a session planted before the login is worth nothing after it
    session.permanent = True
    session["token"] = the_system().logins.begin_session(admin, client_address())
    session["since"] = int(time.time())
    answer = make_response(redirect(_safe_next()))
    device.remember(answer, admin.username)
    return answer


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Ends this session: a copy of its cookie is worth nothing, either."""
    the_system().logins.end_session(_token())
    session.clear()
    flash("You are logged out.")
    return redirect(url_for("auth.login"))


@blueprint.app_context_processor
def first_password() -> dict[str, bool]:
    """Whether to ask for another password than the first one, on every page."""
    admin = current_admin()
    return {"has_first_password": admin is not None and accounts.has_first_password(the_config(), admin.username)}


def _not_now(form: LoginForm, message: str, refused: LoginThrottled | LoginBusy) -> ResponseReturnValue:
    page = render_template("auth/login.html", form=form, message=message)
    return page, 429, {"Retry-After": str(max(1, round(refused.seconds)))}


def _admin_of_session() -> Admin | None:
    """The admin of this session; None once it has ended, is too old, the password changed or the admin is gone.

    The cookie alone tells its age, too, whatever the server's memory of it says.
    """
    token, since = _token(), session.get("since", 0)
    if not token or not 0 <= time.time() - since < SESSION_HOURS * 3600:
        return None
    return the_system().logins.admin_of(token, client_address())


def _token() -> str:
    token = session.get("token")
    return token if isinstance(token, str) else ""


def _safe_next() -> str:
    """Where to go after the login: a path of this panel, whatever the address bar was made to say."""
    target = request.args.get("next", "")
    # Browsers read "\" as "/", and drop tabs and line ends: "/\evil" and "/\t/evil" would lead out.
    plain = target.isprintable() and "\\" not in target
    inside = plain and target.startswith(f"{request.script_root}/") and not target.startswith("//")
    return target if inside else url_for("dashboard.index")
