"""What an admin does with a user's own page: make it, give it another address, switch it off."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.accounts.actor import Actor
from app.actions import share as actions
from app.control import share_views
from app.control.errors import Refused
from app.control.share_views import ShareAddress
from app.control.system import System
from app.web.context import actor, the_system
from app.web.language import in_words

blueprint = Blueprint("own_page", __name__, url_prefix="/users/<user_id>/page")


@blueprint.app_template_global()
def own_page(user_id: str) -> tuple[str, bool]:
    """The address of this user's own page, "" if there is none, and whether it is the one that people find it by; if
    the panel knows of none, it is that by which the panel itself was asked for."""
    told = share_views.address(the_system(), user_id)
    return told.url or (told.path and request.url_root.rstrip("/") + told.path), bool(told.url)


@blueprint.post("")
def make(user_id: str) -> ResponseReturnValue:
    """Makes the page."""
    return _do(user_id, actions.make_page, gettext("The page is there. Send its address below."))


@blueprint.post("/renew")
def renew(user_id: str) -> ResponseReturnValue:
    """Gives the page another address."""
    return _do(user_id, actions.renew_page,
               gettext("The page has a new address. The one before leads nowhere now: send the new one."))


@blueprint.post("/off")
def off(user_id: str) -> ResponseReturnValue:
    """Removes the page."""
    return _do(user_id, actions.remove_page, gettext("The page is switched off. Its address leads nowhere now."))


def _do(user_id: str, action: Callable[[System, Actor, str], ShareAddress], done: str) -> ResponseReturnValue:
    # By the id alone: another user may be called like it.
    if all(user.id != user_id for user in the_system().declaration.last_good().users):
        abort(404)
    try:
        action(the_system(), actor(), user_id)
        flash(done)
    except Refused as refused:
        flash(in_words(refused), "error")
    return redirect(url_for("users.show", user_id=user_id) + "#own-page")
