"""The first page: what is running, what it moved, what is wrong; and what is done to all of it."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.accounts.actor import Actor
from app.actions import proxies, traffic
from app.actions.renewal import Renewal
from app.control import views
from app.control.errors import Refused
from app.control.outcome import Outcome
from app.control.system import System
from app.web.context import actor, the_config, the_system
from app.web.outcomes import failures

blueprint = Blueprint("dashboard", __name__)


@blueprint.get("/")
def index() -> str:
    """The dashboard."""
    return render_template("dashboard/index.html", **_shown())


@blueprint.get("/status")
def status() -> str:
    """The part of the dashboard that changes by itself; the page fetches it every few seconds."""
    return render_template("dashboard/_status.html", **_shown())


@blueprint.post("/start")
def start() -> ResponseReturnValue:
    """Ends the declared stop, and starts whatever should run and does not."""
    return _all(proxies.start_all, "All proxies are started.")


@blueprint.route("/stop", methods=["GET", "POST"])
def stop() -> ResponseReturnValue:
    """Stops every proxy until they are started again, after a question."""
    if request.method != "POST":
        return _ask("stop-all", ".stop")
    done = "All proxies are stopped. Everybody's connection has ended."
    return _all(proxies.stop_all, done)


@blueprint.route("/restart", methods=["GET", "POST"])
def restart() -> ResponseReturnValue:
    """Stops every proxy that runs and starts it again, after a question."""
    if request.method != "POST":
        return _ask("restart-all", ".restart")
    if the_config().proxies_stopped:
        flash("All proxies are stopped, so nothing was restarted. Start them instead.", "error")
        return redirect(url_for(".index"))
    return _all(proxies.restart, "All proxies are restarted. Telegram connects again by itself.")


@blueprint.post("/renew")
def renew() -> ResponseReturnValue:
    """Begins to replace the proxies that run an old image, one after the other."""
    begins = _renewal().begin(actor())
    flash("Proxies are replaced, one after the other. This page counts those that are left." if begins else
          "Proxies are being replaced already.")
    return redirect(url_for(".index"))


@blueprint.route("/reset", methods=["GET", "POST"])
def reset() -> ResponseReturnValue:
    """Begins a new period of everybody's traffic, after a question."""
    if request.method != "POST":
        return _ask("reset-all", ".reset")
    try:
        traffic.reset_traffic(the_system(), actor())
        flash("Everybody's traffic is reset: it counts from zero again.")
    except Refused as refusal:
        flash(str(refusal), "error")
    return redirect(url_for(".index"))


def _shown() -> dict[str, object]:
    """What the page tells: how all of it is, and its problems with that of the way to this panel, if there is one."""
    status, way = views.status(the_system()), current_app.extensions["forwarded"].problem()
    return {"status": status, "renewing": _renewal().running,
            "problems": [*status.problems, *filter(None, [way])]}


def _renewal() -> Renewal:
    renewal: Renewal = current_app.extensions["renewal"]
    return renewal


def _ask(what: str, action: str) -> str:
    return render_template("confirm.html", what=what, action=url_for(action), back=url_for(".index"))


def _all(action: Callable[[System, Actor], list[Outcome]], done: str) -> ResponseReturnValue:
    """Does this to all proxies and goes back to the dashboard."""
    try:
        failed = failures(action(the_system(), actor()))
        flash(failed or done, "error" if failed else "message")
    except Refused as refusal:
        flash(str(refusal), "error")
    return redirect(url_for(".index"))
