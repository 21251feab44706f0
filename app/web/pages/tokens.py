"""Tokens of the API: one's own; for owners, everybody's."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, lazy_gettext
from flask_babel import gettext as _
from wtforms import PasswordField, SelectField, StringField

from app.accounts import factors as accounts
from app.accounts.actor import RIGHTS, Actor, Right
from app.accounts.logins import Place
from app.accounts.tokens import ALLOWS, checked
from app.actions import factors, tokens
from app.config.model import Scope
from app.control.errors import LoginBusy, LoginThrottled, Refused
from app.web import device, passkey
from app.web.context import actor, client_address, current_admin, door, the_config, the_system
from app.web.formats import duration
from app.web.forms import RefusableForm, options
from app.web.language import in_words

blueprint = Blueprint("tokens", __name__, url_prefix="/account/tokens")

SCOPES: dict[Scope, LazyString] = {
    "read": lazy_gettext("Look: states and traffic, no links"), "users": lazy_gettext("Change users"),
    "admin": lazy_gettext("Everything that you may do")}
#: Until the end, in days; 0 for never.
DAYS = {"30": lazy_gettext("30 days"), "90": lazy_gettext("90 days"), "365": lazy_gettext("A year"),
        "0": lazy_gettext("No end")}


class TokenForm(RefusableForm):
    """A further token, by somebody who knows their password: it is worth something when they are logged out."""

    name = StringField(lazy_gettext("Name"))
    scope = SelectField(lazy_gettext("What it may be used for"), validate_choice=False)
    days = SelectField(lazy_gettext("Ends after"), default="90", validate_choice=False)
    current = PasswordField(lazy_gettext("Your password"))
    code = StringField(lazy_gettext("Code"))


@blueprint.get("")
def index() -> str:
    """The tokens, and the form for one more."""
    return _page(TokenForm(formdata=None))


@blueprint.post("")
def add() -> ResponseReturnValue:
    """Makes a token and shows it, this once."""
    form, who = TokenForm(), actor()
    form.validate_on_submit()
    system = the_system()
    try:
        place = Place(client_address(), door(), device.known(who.name))
        days = int(form.days.data) if form.days.data in DAYS else 0
        # First, as a code counts once.
        name, scope = checked(form["name"].data or "", form.scope.data or "", days)
        factors.prove(system, who, form.current.data or "", passkey.proof(form.code.data or ""), place)
        view, text = tokens.create_token(system, who, name, scope, days)
    except LoginThrottled as throttled:
        form.form_errors.append(_("Too many failed attempts. Try again in %(time)s.", time=duration(throttled.seconds)))
    except LoginBusy:
        form.form_errors.append(_("Too many people are logging in at this moment. Try again in a few seconds."))
    except Refused as refusal:
        form.show(refusal)
    else:
        return render_template("tokens/created.html", made=view, text=text)
    return _page(form), 422


@blueprint.post("/remove")
def remove() -> ResponseReturnValue:
    """Lets the token with this id be worth nothing. No question before: a new one is made in a minute."""
    try:
        gone = tokens.remove_token(the_system(), actor(), request.form.get("id", ""))
        flash(_("The token %(name)s is removed. Whoever has it is refused from now on.", name=gone.name))
    except Refused as refusal:
        flash(in_words(refusal), "error")
    return redirect(url_for(".index"))


def _page(form: TokenForm) -> str:
    admin = current_admin()
    assert admin is not None  # the gate lets nobody else in
    right = RIGHTS[admin.role]
    form.scope.choices = options({scope: words for scope, words in SCOPES.items() if ALLOWS[scope] <= right})
    form.days.choices = options(DAYS)
    everybody = tokens.every_token(the_system(), Actor.of_admin("web", admin))
    own = accounts.of(the_config(), admin.username)
    return render_template("tokens/index.html", form=form, tokens=everybody, scopes=SCOPES, with_code=own,
                           with_passkey=own and passkey.may_prove(own.passkeys),
                           others=right >= Right.SUDO and any(each.admin != admin.username for each in everybody))
