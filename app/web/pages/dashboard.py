"""The first page: what is running, what it moved, what is wrong; and what is done to all of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.actions import traffic
from app.actions.all_proxies import AllProxies, Work
from app.actions.renewal import Renewal
from app.control import attention, views
from app.control.errors import Refused
from app.control.records import Row, Status
from app.messages import Problem
from app.web.chart import PERIODS
from app.web.context import actor, sees_secrets, the_config, the_system
from app.web.history import entries
from app.web.language import gettext, in_words
from app.web.outcomes import failures
from app.web.pages.traffic import shown as traffic_chart
from app.web.pages.users_list import REASONS

#: Users in the list of the most traffic, and entries of the audit log.
TOP, EVENTS = 10, 8

#: How people are, in the order of the bar.
CONDITIONS = ("online", "idle", "never", "slowed", "stopped", "blocked", "failing", "unknown", "expired", "disabled")

#: Problems of one user: they stand in the list of who needs attention.
_OF_ONE = frozenset(("of_user", "cover.closed"))
#: How problems begin that stand there, too.
_CERTIFICATE = "certificate."


@dataclass(frozen=True)
class Used:
    """Somebody who moved something today. share: of what the first of the list moved, in percent."""

    row: Row
    share: int


blueprint = Blueprint("dashboard", __name__)


@blueprint.get("/")
def index() -> str:
    """The dashboard."""
    return render_template("dashboard/index.html", chart=traffic_chart(), periods=PERIODS, **_shown())


@blueprint.get("/status")
def status() -> str:
    """The part of the dashboard above the chart, which changes by itself; the page fetches it every few seconds."""
    return render_template("dashboard/_status.html", **_shown())


@blueprint.get("/status/lists")
def lists() -> str:
    """The part below the chart, in the same way."""
    return render_template("dashboard/_lists.html", **_shown())


@blueprint.get("/status/work")
def work() -> str:
    """How far a start, stop or restart of all is."""
    return render_template("dashboard/_work.html", **_work_shown())


@blueprint.post("/start")
def start() -> ResponseReturnValue:
    """Ends the declared stop, and starts whatever should run and does not."""
    return _all("start")


@blueprint.route("/stop", methods=["GET", "POST"])
def stop() -> ResponseReturnValue:
    """Stops every proxy until they are started again, after a question."""
    if request.method != "POST":
        return _ask("stop-all", ".stop")
    return _all("stop")


@blueprint.route("/restart", methods=["GET", "POST"])
def restart() -> ResponseReturnValue:
    """Stops every proxy that runs and starts it again, after a question."""
    if request.method != "POST":
        return _ask("restart-all", ".restart")
    if the_config().proxies_stopped:
        flash(gettext("All proxies are stopped, so nothing was restarted. Start them instead."), "error")
        return redirect(url_for(".index"))
    return _all("restart")


@blueprint.post("/renew")
def renew() -> ResponseReturnValue:
    """Begins to replace the proxies that run an old image, one after the other."""
    begins = _renewal().begin(actor())
    flash(gettext("The proxies are being replaced one by one. This page shows how many are left.") if begins else
          gettext("The proxies are being replaced already."))
    return redirect(url_for(".index"))


@blueprint.route("/reset", methods=["GET", "POST"])
def reset() -> ResponseReturnValue:
    """Begins a new period of everybody's traffic, after a question."""
    if request.method != "POST":
        return _ask("reset-all", ".reset")
    try:
        traffic.reset_traffic(the_system(), actor())
        flash(gettext("The traffic of all users is reset and counts from zero again."))
    except Refused as refusal:
        flash(in_words(refusal), "error")
    return redirect(url_for(".index"))


def _shown() -> dict[str, object]:
    """What the page tells: how all of it is, and its problems with that of the way to this panel, if there is one."""
    system = the_system()
    status = views.status(system, whole=False, secrets=sees_secrets())
    way = current_app.extensions["forwarded"].problem()
    used = sorted((row for row in status.rows if row.today), key=lambda row: -row.today)
    groups = attention.groups(status.rows)
    return {"status": status, "renewing": _renewal().running, "problems": _problems(status), "way": way,
            "unseen": any(row.state == "unknown" for row in status.rows),
            "online": sum(row.connections > 0 for row in status.rows),
            "certificates": [problem for problem in status.problems if problem.code.startswith(_CERTIFICATE)],
            "used": used, "top": _top(used), "groups": groups, "reasons": REASONS,
            "needy": sum(group.count for group in groups),
            "closed": system.ledger.strangers.closed_covers(), "conditions": _conditions(status.rows),
            "events": entries(system, limit=EVENTS), **_work_shown()}


def _problems(status: Status) -> list[Problem]:
    return [problem for problem in status.problems if not problem.code.startswith(_CERTIFICATE)
            and (problem.code not in _OF_ONE or _is_estimate(problem))]


def _is_estimate(problem: Problem) -> bool:
    reason = problem.params.get("reason")
    return isinstance(reason, Problem) and reason.code == "user.estimated"


def _top(used: list[Row]) -> list[Used]:
    return [Used(row, max(1, 100 * row.today // used[0].today)) for row in used[:TOP]]


def _conditions(rows: list[Row]) -> list[tuple[str, int]]:
    counted = Counter[str](row.condition for row in rows)
    return [(condition, counted[condition]) for condition in CONDITIONS if counted[condition]]


def _renewal() -> Renewal:
    renewal: Renewal = current_app.extensions["renewal"]
    return renewal


def _ask(what: str, action: str) -> str:
    return render_template("confirm.html", what=what, action=url_for(action), back=url_for(".index"))


def _all_proxies() -> AllProxies:
    found: AllProxies = current_app.extensions["all_proxies"]
    return found


def _all(what: str) -> ResponseReturnValue:
    """Begins it, and goes to the dashboard, which tells how far it is; what was quick is told at once."""
    try:
        work = _all_proxies().begin(actor(), what)
        if work.over.is_set():
            work.told = True
            flash(*_ended(work))
    except Refused as refusal:
        flash(in_words(refusal), "error")
    return redirect(url_for(".index"))


def _ended(work: Work) -> tuple[str, str]:
    """How it ended, and whether that is an error."""
    if trouble := in_words(work.trouble) or failures(work.outcomes):
        return trouble, "error"
    return {"start": gettext("All proxies are started."),
            "stop": gettext("All proxies are stopped. All connections are closed."),
            "restart": gettext("All proxies are restarted. Telegram connects again by itself.")}[work.what], "message"


def _work_shown() -> dict[str, object]:
    work = _all_proxies().last
    done, of = _all_proxies().progress
    elsewhere = the_system().reconciler.at_work.elsewhere()
    return {"work": work, "done": done, "of": of, "elsewhere": elsewhere,
            "ended": _ended(work) if work and work.over.is_set() else None}
