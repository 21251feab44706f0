"""The first run: a page for each step, until a link has been proven. Each does what its own page does elsewhere, by the
same action; which are done is read off the declaration (control/first_run), so two admins may be at it at once."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from wtforms import StringField

from app.accounts.actor import Right
from app.actions import admins, settings, users
from app.actions import first_run as actions
from app.config.model import Config
from app.config.values import is_ip
from app.control import doctor, first_run, link_test, views
from app.control.errors import Refused
from app.control.first_run import ADDRESS, LINK, MODE, PASSWORD, USER
from app.control.records import UserView
from app.control.views import changed_links
from app.web.context import actor, current_admin, the_config, the_system
from app.web.formats import field_hint, field_label
from app.web.forms import RefusableForm, ShownForm
from app.web.hosts import name_of
from app.web.language import gettext
from app.web.pages.account import PasswordForm, change_password
from app.web.pages.settings import only_sudo
from app.web.settings_questions import switched

blueprint = Blueprint("setup", __name__, url_prefix="/setup")
blueprint.before_request(only_sudo)


def _stripped(text: str | None) -> str:
    return (text or "").strip()


class SomeSettings(ShownForm):
    """Some of the settings, by their own names."""

    def now(self, config: Config) -> dict[str, str]:
        """What is declared of them."""
        values = {name: getattr(config, name) for name in self.names()}
        return {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}

    def names(self) -> list[str]:
        """Their names."""
        return [name for name in self._fields if name in Config.model_fields]

    def called(self, name: str) -> str:
        """By its label."""
        return gettext('"%(title)s"', title=self._fields[name].label.text) if name in self._fields else name

    def changes(self) -> dict[str, str]:
        """What was typed and differs from what the page showed."""
        shown = self.were_shown(self.now(the_config()))
        return {name: self[name].data for name in self.names()
                if name in request.form and self[name].data != shown[name]}

    def save(self) -> None:
        """Saves what was changed. Raises Refused."""
        changes = self.changes()

        def check(config: Config) -> None:
            self.refuse_stale(changes, self.now(config))

        if changes:
            settings.set_settings(the_system(), actor(), changes, check)
        self.shown.data = json.dumps(self.now(the_config()))


def _setting(key: str) -> StringField:
    return StringField(LazyString(field_label, "setting", key), filters=[_stripped])


class AddressForm(SomeSettings):
    """Where people find this server, and who can look at it from outside."""

    server_domain = _setting("server_domain")
    server_ip = _setting("server_ip")
    helper_url = _setting("helper_url")


class ModeForm(SomeSettings):
    """One port for everybody, or one for each."""

    port_443_mode = _setting("port_443_mode")


class FirstUserForm(RefusableForm):
    """The name of the first user; all else can be set later."""

    name = StringField(LazyString(field_label, "user", "name"), filters=[_stripped])


@blueprint.app_context_processor
def first_run_offered() -> dict[str, bool]:
    """Whether pages lead this admin to the first run."""
    admin = current_admin()
    return {"first_run_offered": admin is not None and admin.sudo and the_config().first_run}


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Goes on where there is something to do."""
    return redirect(url_for(f".{first_run.upcoming(_done())}"))


@blueprint.route("/password", methods=["GET", "POST"])
def password() -> ResponseReturnValue:
    """A password of one's own in place of the first one."""
    form = PasswordForm()
    if request.method != "POST":
        return _page(PASSWORD, form=form)
    if not change_password(form):
        return _page(PASSWORD, form=form), 422
    return _on(PASSWORD)


@blueprint.post("/password/keep")
def keep_password() -> ResponseReturnValue:
    """Keeps the first password, knowing that a terminal has shown it."""
    admins.keep_first_password(the_system(), actor())
    return _on(PASSWORD)


@blueprint.route("/address", methods=["GET", "POST"])
def address() -> ResponseReturnValue:
    """Saves the address that is typed, and looks whether it leads here."""
    form = AddressForm()
    if request.method != "POST":
        now = form.now(the_config())
        offered = first_run.likely_address(the_config(), name_of(request.host).strip("[]"))
        offer = {("server_ip" if is_ip(offered) else "server_domain"): offered} if offered else {}
        return _page(ADDRESS, form=AddressForm(data=now | offer | {"shown": json.dumps(now)}), offered=offered)
    form.validate()
    for name in form.names():
        form[name].data = form[name].data if name in request.form else form.now(the_config())[name]
    before = views.users(the_system())
    try:
        form.save()
    except Refused as refusal:
        form.show(refusal)
        return _page(ADDRESS, form=form), 422
    new_links = changed_links(before, views.users(the_system()))
    actor().require(Right.SUDO)
    return _page(ADDRESS, form=form, new_links=new_links, findings=doctor.examine_address(the_system()))


@blueprint.route("/mode", methods=["GET", "POST"])
def mode() -> ResponseReturnValue:
    """A port for each user, or 443 for everybody; asked once more where links change that people may have."""
    form = ModeForm()
    form.validate_on_submit()
    if request.method != "POST" or request.form.get("sure") == "no":
        now = form.now(the_config())
        return _page(MODE, form=ModeForm(formdata=None, data=now | {"shown": json.dumps(now)}))
    changes = form.changes()
    if changes and the_config().users and request.form.get("sure") != "yes":
        return render_template("settings/ask.html", question=switched(changes["port_443_mode"] == "true"),
                               typed=changes, shown=form.shown.data, action=url_for(".mode"))
    try:
        form.save()
    except Refused as refusal:
        form.show(refusal)
        return _page(MODE, form=form), 422
    return _on(MODE)


@blueprint.route("/user", methods=["GET", "POST"])
def user() -> ResponseReturnValue:
    """Adds the first user. Where somebody has added one meanwhile, that one is it."""
    form = FirstUserForm()
    if request.method != "POST":
        return _page(USER, form=form)
    form.validate()
    there = the_config().users
    if there:
        flash(gettext("%(name)s has been added meanwhile, so nobody else was.", name=there[0].name))
        return redirect(url_for(".link", user=there[0].id))
    try:
        added = users.add_user(the_system(), actor(), form.name.data or "")
    except Refused as refusal:
        form.show(refusal)
        return _page(USER, form=form), 422
    return redirect(url_for(".link", user=added.id))


@blueprint.route("/link", methods=["GET", "POST"])
def link() -> ResponseReturnValue:
    """The link of a user, and a try of it: by POST, as it takes seconds and asks the user's proxy."""
    one = _user()
    if one is None:
        return redirect(url_for(".user"))
    if request.method != "POST":
        return _page(LINK, user=one)
    actor().require(Right.SUDO)
    tried = link_test.run(the_system(), one)
    if "HX-Request" in request.headers:
        return render_template("setup/_tried.html", user=one, test=tried)
    return _page(LINK, user=one, test=tried)


@blueprint.post("/end")
def end() -> ResponseReturnValue:
    """Finished, or skipped: nobody is led here any more."""
    actions.end(the_system(), actor())
    ids = {each.id for each in the_config().users}
    wanted = request.form.get("user", "")
    return redirect(url_for("users.show", user_id=wanted) if wanted in ids else url_for("dashboard.index"))


def _done() -> dict[str, bool]:
    me = current_admin()
    return first_run.done(the_system(), me.username if me else "")


def _on(step: str) -> ResponseReturnValue:
    """To what is left after this step."""
    return redirect(url_for(f".{first_run.upcoming(_done(), step)}"))


def _user() -> UserView | None:
    """Whose link is tried: the one that is asked for, else the first that there is."""
    there = the_config().users
    wanted = request.args.get("user", "")
    ids = [each.id for each in there if each.id == wanted] or [each.id for each in there[:1]]
    return views.user_of_id(the_system(), ids[0], secrets=True) if ids else None


def _page(step: str, **shown: Any) -> str:
    config, status = the_config(), views.status(the_system(), whole=False)
    following = first_run.STEPS[first_run.STEPS.index(step) + 1:]
    told = {"findings": [], "new_links": [], "offered": "", "test": None, **shown}
    return render_template(
        f"setup/{step}.html", step=step, done=_done(), following=following[0] if following else "", edge=status.edge,
        helper_hint=field_hint("setting", "helper_url"), first_port=config.proxy_port, count=len(config.users),
        first=config.users[0] if config.users else None, **told)
