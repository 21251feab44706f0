"""Banned addresses: who, why, until when, and the end of a ban."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import StringField

from app.actions import bans as actions
from app.bans.offences import FLOOD, NOISE, REPLAY, TOO_OFTEN, WRONG_KEY
from app.control import bans
from app.control.errors import Refused
from app.web.context import actor, the_system
from app.web.forms import RefusableForm
from app.web.language import in_words

blueprint = Blueprint("bans", __name__, url_prefix="/bans")


class BanForm(RefusableForm):
    """A ban by hand."""

    address = StringField(lazy_gettext("Address"))
    reason = StringField(lazy_gettext("Reason"))


@blueprint.get("")
def index() -> str:
    """Who is banned now."""
    return _page(BanForm(formdata=None))


def _page(form: BanForm) -> str:
    reasons = {WRONG_KEY: _("wrong key"), REPLAY: _("copied handshake"), NOISE: _("no MTProto"),
               FLOOD: _("too many connections"), TOO_OFTEN: _("too many new connections"), "": _("banned by hand")}
    return render_template("bans/index.html", form=form, now=bans.view(the_system()), reasons=reasons,
                           minutes=the_system().declaration.last_good().ban_length)


@blueprint.post("/add")
def add() -> ResponseReturnValue:
    """Ask for a ban."""
    form = BanForm()
    try:
        address = actions.add(the_system(), actor(), form.address.data or "", form.reason.data or "")
    except Refused as refusal:
        form.show(refusal)
        return _page(form), 422
    flash(_("fail2ban is asked to ban %(address)s. That takes a few seconds.", address=address))
    return redirect(url_for(".index"))


@blueprint.post("/remove")
def remove() -> ResponseReturnValue:
    """Ask for the end of a ban."""
    try:
        address = actions.end(the_system(), actor(), request.form.get("address", ""))
        flash(_("fail2ban is asked to let %(address)s in again. That takes a few seconds.", address=address))
    except Refused as refusal:
        flash(in_words(refusal), "error")
    return redirect(url_for(".index"))
