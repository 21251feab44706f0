"""The first page: what is running, what it moved, and what is wrong."""

from __future__ import annotations

from flask import Blueprint, render_template

from app.web.context import the_fleet

blueprint = Blueprint("dashboard", __name__)


@blueprint.get("/")
def index() -> str:
    """The dashboard."""
    return render_template("dashboard/index.html", status=the_fleet().status())


@blueprint.get("/status")
def status() -> str:
    """The part of the dashboard that changes by itself; the page fetches it every few seconds."""
    return render_template("dashboard/_status.html", status=the_fleet().status())
