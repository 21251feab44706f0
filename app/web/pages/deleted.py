"""Deleted users: who they are, restored or forgotten."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.actions import users
from app.control import views
from app.control.errors import Refused
from app.web.context import actor, the_system
from app.web.formats import sentence
from app.web.language import in_words

blueprint = Blueprint("deleted", __name__, url_prefix="/deleted")


@blueprint.get("")
def index() -> str:
    """Who can be restored, and for how long."""
    return render_template("deleted/index.html", users=views.deleted(the_system()))


@blueprint.post("/<deleted_id>/restore")
def restore(deleted_id: str) -> ResponseReturnValue:
    """Brings a user back as they were, and shows them."""
    try:
        user, changed = users.restore(the_system(), actor(), deleted_id)
    except Refused as refusal:
        if there := views.user_of_id(the_system(), deleted_id, secrets=False):
            flash(_("%(name)s is restored already.", name=there.name))
            return redirect(url_for("users.show", user_id=there.id))
        flash(in_words(refusal), "error")
        return redirect(url_for(".index"))
    if changed:
        flash(" ".join(f"{sentence(in_words(each))}." for each in changed), "error")
    else:
        flash(_("%(name)s is restored. The same link works again.", name=user.name))
    return redirect(url_for("users.show", user_id=user.id))


@blueprint.post("/<deleted_id>/forget")
def forget(deleted_id: str) -> ResponseReturnValue:
    """Ends the time in which they could be restored."""
    try:
        gone = users.forget(the_system(), actor(), deleted_id)
        flash(_("%(name)s is deleted for good.", name=gone.name))
    except Refused as refusal:
        flash(in_words(refusal), "error")
    return redirect(url_for(".index"))
