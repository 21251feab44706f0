"""Everything looked at, as `doctor` does; for admins who may change settings."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, current_app, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.accounts.actor import Right
from app.control.checkup import Checkup, of_the_host
from app.web.context import actor, the_system
from app.web.pages.settings import only_sudo

blueprint = Blueprint("checkup", __name__, url_prefix="/check")
blueprint.before_request(only_sudo)

#: Seconds that a person waits for the answer; most often it is there by then. Later the page looks by itself.
PATIENCE = 3.0


@blueprint.get("")
def index() -> str:
    """The last look, and what the server has told of itself."""
    return render_template("checkup/index.html", **_told())


@blueprint.get("/result")
def result() -> str:
    """The part of the page that changes while a look is under way."""
    return render_template("checkup/_result.html", **_told())


@blueprint.post("")
def start() -> ResponseReturnValue:
    """Look now. Nobody's worker is held for long: it takes as long as the slowest link."""
    actor().require(Right.SUDO)
    checkup = _checkup()
    checkup.start()
    checkup.wait(PATIENCE)
    return redirect(url_for(".index"))


def _checkup() -> Checkup:
    return cast(Checkup, current_app.extensions["checkup"])


def _told() -> dict[str, object]:
    checkup = _checkup()
    return {"running": checkup.running, "look": checkup.last, "failed": checkup.failed,
            "host": of_the_host(the_system().data_dir)}
