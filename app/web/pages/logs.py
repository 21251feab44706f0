"""The logs of all proxies as one: the page, and the part of it that is fetched while it follows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, make_response, render_template, request
from flask.typing import ResponseReturnValue

from app.control import views
from app.control.errors import Refused
from app.control.records import UserView
from app.runtimes.base import NAME_PREFIX
from app.web.context import the_system

blueprint = Blueprint("logs", __name__, url_prefix="/logs")

#: How many lines are shown if the address does not say, at least, at most; and what the page offers.
USUAL, FEWEST, MOST = 200, 50, 2000
OFFERED = (50, 200, 500, 1000, 2000)


@dataclass(frozen=True)
class LogLine:
    """proxy: the workload's name, as in "mtg-proxy-2443". user: whose it is, "" if it is nobody's now."""

    proxy: str
    user: str
    text: str


@blueprint.get("")
def index() -> str:
    """The last ?tail= lines, newest at the bottom, of all proxies or of that of one user (?user=, an id)."""
    return render_template("logs/index.html", **_asked())


@blueprint.get("/lines")
def lines() -> ResponseReturnValue:
    """The part of the page that changes; 304 to a browser that has it already, for most logs are quiet."""
    answer = make_response(render_template("logs/_lines.html", **_asked()))
    answer.add_etag()
    return answer.make_conditional(request)


def _asked() -> dict[str, object]:
    """What the address asks for, with a remark for each thing in it that can't be had."""
    users = views.users(the_system())
    tail, remarks = _tail(request.args.get("tail", ""))
    wanted = request.args.get("user", "").strip()
    user = next((user for user in users if user.id == wanted), None)
    if wanted and not user:
        remarks.append("There is no such user (any more): these are the lines of all proxies.")
    found, problem = [], ""
    try:
        found = split(views.logs(the_system(), user.id if user else "", tail), users)
    except Refused as refusal:
        problem = str(refusal)
    return {"lines": found, "problem": problem, "remarks": remarks, "users": users, "user": user,
            "tail": tail, "tails": sorted({*OFFERED, tail}),
            # As it was asked for: the remarks stay as long as their cause is in the address.
            "query": {key: request.args[key] for key in ("user", "tail") if request.args.get(key)}}


def _tail(text: str) -> tuple[int, list[str]]:
    """(how many lines, why it is not what was asked for)."""
    text = text.strip()
    if not text:
        return USUAL, []
    if re.fullmatch(r"[0-9]{1,6}", text) and FEWEST <= int(text) <= MOST:
        return int(text), []
    return USUAL, [(f"The number of lines {text[:20]!r} is not allowed; allowed: a whole number from {FEWEST} "
                    f"to {MOST}. These are the last {USUAL}.")]


def split(written: Sequence[str], users: Sequence[UserView]) -> list[LogLine]:
    """Lines like "[mtg-proxy-2443] listening", taken apart."""
    names: Mapping[str, str] = {f"{NAME_PREFIX}{user.port}": user.name for user in users}
    found = []
    for line in written:
        proxy, _, text = line.removeprefix("[").partition("] ")
        # What serves a link from before a change of domain is called like "mtg-proxy-2443-1a2b3c".
        port = proxy.removeprefix(NAME_PREFIX).partition("-")[0]
        found.append(LogLine(proxy, names.get(f"{NAME_PREFIX}{port}", ""), text))
    return found
