"""Traffic as charts draw it: of everybody, and of one user."""

from __future__ import annotations

from flask import Blueprint, abort, jsonify, request
from flask.typing import ResponseReturnValue

from app.control import series
from app.web.chart import PERIODS, Chart, chart
from app.web.context import the_config, the_system

blueprint = Blueprint("traffic", __name__)

#: What is shown first.
DEFAULT = "day"


@blueprint.get("/traffic/<period>")
def everybody(period: str) -> ResponseReturnValue:
    """Everybody's, as JSON; "not modified" for whoever has it."""
    return _answer(period, "")


@blueprint.get("/users/<user_id>/traffic/<period>")
def user(user_id: str, period: str) -> ResponseReturnValue:
    """One user's, as JSON; "not modified" for whoever has it."""
    # A name is no address here.
    if all(each.id != user_id for each in the_config().users):
        abort(404)
    return _answer(period, user_id)


def shown(ref: str = "") -> Chart:
    """The chart of the page that is asked for: ?period=, of everybody or of one user."""
    period = request.args.get("period", DEFAULT)
    return chart(series.of(the_system(), period if period in PERIODS else DEFAULT, ref))


def _answer(period: str, ref: str) -> ResponseReturnValue:
    if period not in PERIODS:
        abort(404)
    answer = jsonify(chart(series.of(the_system(), period, ref)).to_json())
    answer.add_etag()
    return answer.make_conditional(request)
