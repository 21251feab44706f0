"""Logging in and out, and the gate: without a login nothing answers except what is named here."""

from __future__ import annotations

import hashlib
import hmac
import time

from flask import Blueprint, Flask, current_app, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from app.config.model import Admin
from app.fleet import LoginThrottled
from app.web.context import client_address, current_admin, the_fleet
from app.web.formats import duration
from app.web.forms import LoginForm
from app.web.hosts import OPEN_ENDPOINTS
from app.web.security import SESSION_HOURS

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
    """The login form. At most a few failures per address; then it says how long to wait."""
    if current_admin():
        return redirect(_safe_next())
    form = LoginForm()
    if not form.validate_on_submit():
        return render_template("auth/login.html", form=form), 422 if form.is_submitted() else 200
    try:
        admin = the_fleet().check_login(form.username.data, form.password.data, client_address())
    except LoginThrottled as throttled:
        message = f"Too many failed attempts from your address. Try again in {duration(throttled.seconds)}."
        page = render_template("auth/login.html", form=form, message=message)
        return page, 429, {"Retry-After": str(max(1, round(throttled.seconds)))}
    if admin is None:
        message = "This name and password do not match."
        return render_template("auth/login.html", form=form, message=message), 401
    session.clear()  # a session planted before the login is worth nothing after it
    session.permanent = True
    session["admin"] = admin.username
    session["stamp"] = _stamp(admin)
    session["since"] = int(time.time())
    return redirect(_safe_next())


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Ends this browser's session."""
    session.clear()
    flash("You are logged out.")
    return redirect(url_for("auth.login"))


def _admin_of_session() -> Admin | None:
    """The admin of this session; None once it is too old, the password changed or the admin is gone."""
    username, since = session.get("admin"), session.get("since", 0)
    if not username or not 0 <= time.time() - since < SESSION_HOURS * 3600:
        return None
    admin = the_fleet().admin(username)
    if admin is None or not hmac.compare_digest(session.get("stamp", ""), _stamp(admin)):
        return None
    return admin


def _stamp(admin: Admin) -> str:
    """Ties a session to one password: another hash, another stamp. Tells a reader of the cookie nothing."""
    key = str(current_app.secret_key).encode()
    return hmac.new(key, admin.password_hash.encode(), hashlib.sha256).hexdigest()[:32]


def _safe_next() -> str:
    """Where to go after the login: a path of this panel, whatever the address bar was made to say."""
    target = request.args.get("next", "")
    # Browsers read "\" as "/", and drop tabs and line ends: "/\evil" and "/\t/evil" would lead out.
    plain = target.isprintable() and "\\" not in target
    inside = plain and target.startswith(f"{request.script_root}/") and not target.startswith("//")
    return target if inside else url_for("dashboard.index")
