"""The logs of all proxies as one: the page, and the part of it that is fetched while it follows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.actions import debug_logs
from app.config.model import User
from app.config.names import NAME_LENGTH, fold
from app.control import log_views, views
from app.control.errors import Refused
from app.control.outcome import Outcome
from app.messages import Problem
from app.runtimes.base import NAME_PREFIX
from app.web.context import actor, the_config, the_system
from app.web.language import gettext, in_words
from app.web.outcomes import failures

blueprint = Blueprint("logs", __name__, url_prefix="/logs")

#: How many lines are shown if the address does not say, at least, at most; and what the page offers.
USUAL, FEWEST, MOST = 200, 50, 2000
OFFERED = (50, 200, 500, 1000, 2000)
#: How many names are offered while one is typed.
SUGGESTED = 20


@dataclass(frozen=True)
class LogLine:
    """proxy: the workload's name, as in "mtg-proxy-2443". user: whose it is, "" if it is nobody's now. what, todo: what
    it tells of, and what to do about it; None for a line that needs no explanation."""

    proxy: str
    user: str
    text: str
    what: Problem | None = None
    todo: Problem | None = None


@blueprint.get("")
def index() -> str:
    """The last ?tail= lines, newest at the bottom, of all proxies or of that of one user (?user=, an id, a name, or a
    part of one)."""
    return render_template("logs/index.html", debug_logs=log_views.debug_logs(the_system()), **_asked())


@blueprint.get("/users")
def users() -> str:
    """The names that a browser offers while one is typed (?user=)."""
    found = _matching(request.args.get("user", ""))
    return render_template("logs/_users.html", matching=found[:SUGGESTED])


@blueprint.get("/lines")
def lines() -> ResponseReturnValue:
    """The part of the page that changes; 304 to a browser that has it already, for most logs are quiet."""
    answer = make_response(render_template("logs/_lines.html", **_asked()))
    answer.add_etag()
    return answer.make_conditional(request)


@blueprint.post("/debug")
def debug() -> ResponseReturnValue:
    """Lets an engine write a more detailed log for so many ?minutes."""
    minutes = request.form.get("minutes", "").strip()
    number = int(minutes) if re.fullmatch(r"[0-9]{1,6}", minutes) else 0
    return _switched(lambda: debug_logs.begin(the_system(), actor(), request.form.get("engine", ""), number),
                     gettext("The log is more detailed now. It goes back to normal by itself."))


@blueprint.post("/debug/end")
def end_debug() -> ResponseReturnValue:
    """Lets it write the usual log again."""
    return _switched(lambda: debug_logs.end(the_system(), actor(), request.form.get("engine", "")),
                     gettext("The log is back to normal."))


def _switched(action: Callable[[], list[Outcome]], done: str) -> ResponseReturnValue:
    try:
        failed = failures(action())
        flash(failed or done, "error" if failed else "message")
    except Refused as refusal:
        flash(in_words(refusal), "error")
    return redirect(url_for(".index"))


def _asked() -> dict[str, object]:
    """What the address asks for, with a remark for each thing in it that can't be had."""
    users = the_config().users
    tail, remarks = _tail(request.args.get("tail", ""))
    wanted = request.args.get("user", "").strip()
    matching = _matching(wanted) if wanted else []
    user = matching[0] if len(matching) == 1 else None
    if wanted and not matching:
        remarks.append(gettext("This user does not exist (any more). These are the lines of all proxies."))
    found, problem = [], ""
    try:
        found = split(views.logs(the_system(), user.id if user else "", tail), users, log_views.explain(the_system()))
    except Refused as refusal:
        problem = in_words(refusal)
    return {"lines": found, "problem": problem, "remarks": remarks, "user": user, "wanted": wanted[:NAME_LENGTH],
            "matching": matching[:SUGGESTED] if len(matching) > 1 else [], "found": len(matching),
            "tail": tail, "tails": sorted({*OFFERED, tail}),
            # As it was asked for: the remarks stay as long as their cause is in the address.
            "query": {key: request.args[key] for key in ("user", "tail") if request.args.get(key)}
            | ({"user": user.id} if user else {})}


def _matching(wanted: str) -> list[User]:
    """The user with this id, or who is called so; else everybody whose name has it as a part."""
    everybody = the_config().users
    if by_id := [user for user in everybody if user.id == wanted]:
        return by_id
    name, names = fold(wanted[:NAME_LENGTH].strip()), [fold(user.name) for user in everybody]
    return ([user for user, called in zip(everybody, names, strict=True) if called == name]
            or [user for user, called in zip(everybody, names, strict=True) if name in called])


def _tail(text: str) -> tuple[int, list[str]]:
    """(how many lines, why it is not what was asked for)."""
    text = text.strip()
    if not text:
        return USUAL, []
    if re.fullmatch(r"[0-9]{1,6}", text) and FEWEST <= int(text) <= MOST:
        return int(text), []
    return USUAL, [gettext("The number of lines %(typed)s is not allowed; allowed: a whole number from %(fewest)s to "
                           "%(most)s. These are the last %(usual)s.",
                           typed=repr(text[:20]), fewest=FEWEST, most=MOST, usual=USUAL)]


def split(written: Sequence[str], users: Sequence[User],
          explain: log_views.Explain = lambda proxy, text: None) -> list[LogLine]:
    """Lines like "[mtg-proxy-2443] listening", taken apart."""
    names: Mapping[str, str] = {f"{NAME_PREFIX}{user.port}": user.name for user in users}
    found = []
    for line in written:
        proxy, _, text = line.removeprefix("[").partition("] ")
        # What serves a link from before a change of domain is called like "mtg-proxy-2443-1a2b3c".
        port = proxy.removeprefix(NAME_PREFIX).partition("-")[0]
        what, todo = explain(proxy, text) or (None, None)
        found.append(LogLine(proxy, names.get(f"{NAME_PREFIX}{port}", ""), text, what, todo))
    return found
