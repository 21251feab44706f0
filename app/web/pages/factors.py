"""One's own second factor: set up, removed, new recovery codes, passkeys."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import HiddenField, PasswordField, StringField

from app.accounts import factors as accounts
from app.accounts.logins import Place
from app.accounts.passkeys import id_of
from app.actions import factors
from app.config.model import Admin
from app.control.errors import LoginBusy, LoginThrottled, Refused
from app.lib.zone import server_zone
from app.mtproto.qr import qr_svg
from app.web import device
from app.web import passkey as web_passkey
from app.web.auth import begin_session
from app.web.context import actor, client_address, current_admin, door, the_config, the_system
from app.web.formats import duration
from app.web.forms import RefusableForm
from app.web.hosts import name_of
from app.web.language import in_words

blueprint = Blueprint("factors", __name__, url_prefix="/account/factor")

T = TypeVar("T")

#: The endpoints that a passkey may prove something to.
PROVEN = frozenset({"factors.remove", "factors.codes", "factors.passkey", "factors.remove_passkey", "tokens.add"})


class ProofForm(RefusableForm):
    """What one knows, and what one has."""

    current = PasswordField(lazy_gettext("Your password"))
    code = StringField(lazy_gettext("Code"))


class NewForm(ProofForm):
    """The same, with the secret that the page has shown."""

    secret = HiddenField()


@blueprint.route("", methods=["GET", "POST"])
def index() -> ResponseReturnValue:
    """Sets up codes of an app, and shows the recovery codes; or, if they are set up, what can be done with them."""
    me = _me()
    if request.method != "POST" and accounts.of(the_config(), me.username):
        return _page(ProofForm(formdata=None))
    form = NewForm()
    if not accounts.is_secret(form.secret.data or ""):
        form.secret.data = accounts.new_secret()
    if request.method == "POST":
        made = _tried(form, lambda place: factors.set_up(
            the_system(), actor(), form.current.data or "", form.secret.data or "", form.code.data or "", place))
        if made:
            begin_session(me)
            return render_template("account/codes.html", codes=made)
    address = accounts.address(form.secret.data or "", me.username, name_of(request.host))
    image = "data:image/svg+xml;base64," + base64.b64encode(qr_svg(address)).decode()
    page = render_template("account/new_factor.html", form=form, image=image, address=address)
    return page, 422 if request.method == "POST" else 200


@blueprint.post("/remove")
def remove() -> ResponseReturnValue:
    """Asks for the password alone from now on."""
    form, me = ProofForm(), _me()

    def act(place: Place) -> bool:
        factors.remove(the_system(), actor(), form.current.data or "", web_passkey.proof(form.code.data or ""), place)
        return True

    if not _tried(form, act):
        return _page(form), 422
    begin_session(me)
    flash(_("The second factor is removed. You are logged out everywhere else."))
    return redirect(url_for("account.index"))


@blueprint.post("/codes")
def codes() -> ResponseReturnValue:
    """New recovery codes."""
    form = ProofForm()
    made = _tried(form, lambda place: factors.renew_codes(
        the_system(), actor(), form.current.data or "", web_passkey.proof(form.code.data or ""), place))
    return render_template("account/codes.html", codes=made) if made else (_page(form), 422)


@blueprint.post("/passkey")
def passkey() -> ResponseReturnValue:
    """Asks the browser to make a passkey, once password and code are right."""
    form = ProofForm()
    if not web_passkey.possible():
        form.form_errors.append(_("Passkeys work by HTTPS under a name, and not at a bare address."))
        return _page(form), 422
    asked = _tried(form, lambda place: factors.begin_passkey(
        the_system(), actor(), web_passkey.host(), form.current.data or "",
        web_passkey.proof(form.code.data or ""), place))
    if asked is None:
        return _page(form), 422
    return render_template("account/passkey.html", options=web_passkey.keep("factors.keep_passkey", *asked))


@blueprint.post("/question")
def question() -> ResponseReturnValue:
    """What to ask a passkey of one's own, in place of a code, for the endpoint that the form is then sent to: JSON."""
    actor()  # as for every change: a question takes the place of the one before
    own, purpose = accounts.of(the_config(), _me().username), request.form.get("purpose", "")
    asked = web_passkey.ask_to_use(own.passkeys, purpose) if own and purpose in PROVEN else None
    return Response(asked, mimetype="application/json") if asked else (_("There is nothing to ask."), 404)


@blueprint.post("/passkey/keep")
def keep_passkey() -> ResponseReturnValue:
    """Keeps what the browser has made."""
    try:
        factors.add_passkey(the_system(), actor(), web_passkey.answer("passkey"), request.form.get("name", ""))
        flash(_("The passkey is added. At the next login, you can use it in place of a code."))
    except Refused as refusal:
        flash(in_words(refusal), "error")
    return redirect(url_for(".index"))


@blueprint.post("/passkey/remove")
def remove_passkey() -> ResponseReturnValue:
    """Removes one of one's own passkeys."""
    form = ProofForm()

    def act(place: Place) -> bool:
        factors.remove_passkey(the_system(), actor(), request.form.get("passkey", ""), form.current.data or "",
                               web_passkey.proof(form.code.data or ""), place)
        return True

    if not _tried(form, act):
        return _page(form), 422
    flash(_("The passkey is removed."))
    return redirect(url_for(".index"))


def _me() -> Admin:
    me = current_admin()
    assert me is not None  # the gate lets nobody else in
    return me


def _page(form: ProofForm) -> str:
    own = accounts.of(the_config(), _me().username)
    uses, zone = the_system().ledger.passkey_uses.all(), server_zone()
    keys = [(id_of(each), each, datetime.fromtimestamp(uses[id_of(each)], zone).isoformat()
             if id_of(each) in uses else None) for each in (own.passkeys if own else ())]
    return render_template("account/factor.html", form=form, left=len(own.recovery_codes) if own else 0, passkeys=keys,
                           possible=web_passkey.possible(),
                           with_passkey=own and web_passkey.may_prove(own.passkeys))


def _tried(form: ProofForm, act: Callable[[Place], T]) -> T | None:
    """What it returns; None where it was refused, and the form says why."""
    form.validate_on_submit()
    try:
        return act(Place(client_address(), door(), device.known(_me().username)))
    except LoginThrottled as throttled:
        form.form_errors.append(_("Too many failed attempts. Try again in %(time)s.", time=duration(throttled.seconds)))
    except LoginBusy:
        form.form_errors.append(_("Too many people are logging in at this moment. Try again in a few seconds."))
    except Refused as refusal:
        form.show(refusal)
    return None
