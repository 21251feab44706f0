"""Admins: who may log in, and in which role; for owners."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import PasswordField, RadioField, StringField

from app.accounts.admins import everybody
from app.accounts.factors import of as factor_of
from app.actions import admins, factors
from app.config.model import ROLES
from app.control.errors import Refused
from app.web.context import actor, the_config, the_system
from app.web.formats import role_name
from app.web.forms import RefusableForm, options
from app.web.language import in_words
from app.web.pages.settings import only_sudo

blueprint = Blueprint("admins", __name__, url_prefix="/admins")
blueprint.before_request(only_sudo)


class AdminForm(RefusableForm):
    """A further admin."""

    username = StringField(lazy_gettext("Name"))
    password = PasswordField(lazy_gettext("Password"))
    role = RadioField(lazy_gettext("Role"), default="operator", validate_choice=False)


@blueprint.get("")
def index() -> str:
    """Everybody who may log in, and the form for one more."""
    return _page(AdminForm(formdata=None))


@blueprint.post("")
def add() -> ResponseReturnValue:
    """Adds an admin."""
    form = AdminForm()
    form.validate_on_submit()
    try:
        name = admins.create_admin(the_system(), actor(), form.username.data or "", form.password.data or "",
                                   form.role.data or "")
    except Refused as refusal:
        form.show(refusal)
        return _page(form), 422
    flash(_("%(name)s may log in now. Tell them the password by a safe way.", name=name))
    return redirect(url_for(".index"))


@blueprint.post("/set")
def change() -> ResponseReturnValue:
    """Gives the admin of this name another role."""
    role = request.form.get("role", "")
    said = _("%(name)s has this role now: %(role)s.", name=_typed(), role=role_name(role)) if role in ROLES else ""
    return _done(lambda name: admins.set_role(the_system(), actor(), name, role), said)


@blueprint.route("/remove", methods=["GET", "POST"])
def remove() -> ResponseReturnValue:
    """Removes the admin of this name, after a question."""
    if request.method != "POST":
        name = request.args.get("username", "")
        if name not in [admin.username for admin in everybody(the_config())]:
            return redirect(url_for(".index"))
        return render_template("admins/remove.html", name=name)

    return _done(lambda name: admins.remove_admin(the_system(), actor(), name),
                 _("%(name)s is no admin any more, and is logged out.", name=_typed()))


@blueprint.post("/password")
def password() -> ResponseReturnValue:
    """Gives the admin of this name a new random password, and shows it once."""
    name = _typed()
    try:
        return render_template("admins/password.html", name=name,
                               password=admins.set_password(the_system(), actor(), name))
    except Refused as refusal:
        flash(in_words(refusal), "error")
        return redirect(url_for(".index"))


@blueprint.post("/factor")
def factor() -> ResponseReturnValue:
    """Takes the second factor of the admin of this name away: they have lost it."""
    return _done(lambda name: factors.take_away(the_system(), actor(), name),
                 _("%(name)s logs in by password alone now.", name=_typed()))


def _typed() -> str:
    """The name in the form."""
    return request.form.get("username", "")


def _done(act: Callable[[str], object], said: str) -> ResponseReturnValue:
    try:
        act(_typed())
        flash(said)
    except Refused as refusal:
        flash(in_words(refusal), "error")
    return redirect(url_for(".index"))


def _page(form: AdminForm) -> str:
    form.role.choices = options({role: role_name(role) for role in ROLES})
    return render_template("admins/index.html", form=form, people=everybody(the_config()), roles=ROLES,
                           with_factor={each.username for each in everybody(the_config())
                                        if factor_of(the_config(), each.username)})
