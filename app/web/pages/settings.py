"""The settings: a page for each group of them, the questions before they are saved, the certificates; for admins who
may change them."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.actions import certificates, settings, updates
from app.checks.tls import TlsCheck
from app.config.model import Config
from app.config.names import fold
from app.control import backups, preview, views
from app.control.errors import Refused
from app.control.outcome import Outcome
from app.control.views import changed_links
from app.lib.version import version
from app.rules import door
from app.rules.seen import words
from app.web.context import actor, current_admin, the_config, the_system
from app.web.engine_table import compared
from app.web.formats import field_hint, field_label
from app.web.language import gettext, in_words
from app.web.outcomes import failures
from app.web.setting_groups import BY_NAME, GROUPS, MOVED, NEEDS_EDGE, OPTIONS, Group, nested
from app.web.settings_form import SettingsForm, written
from app.web.settings_questions import asked

blueprint = Blueprint("settings", __name__, url_prefix="/settings")

#: Seconds that a person waits for certificates; they are asked for in any case.
PATIENCE = 40.0


@blueprint.before_request
def only_sudo() -> ResponseReturnValue | None:
    """Owners, and nobody else."""
    admin = current_admin()
    if admin and admin.sudo:
        return None
    sentence = gettext("Settings apply to all users, so only owners may see and change them, such as %(name)s.",
                       name=the_config().admin_username)
    return render_template("error.html", code=403, title=gettext("Not allowed"), sentence=sentence), 403


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Leads to the first group. A browser keeps what follows "#", and that page knows where it has gone."""
    return redirect(url_for(".show", page=GROUPS[0].name))


@blueprint.post("")
def save_of_before() -> ResponseReturnValue:
    """What a tab sends that shows the one form which all settings had before they were pages of groups: saves nothing,
    and leads to the pages of today with what was typed there."""
    typed = []
    for group in GROUPS:
        form = _form(group)
        try:
            changes = form.read()
        except Refused:
            changes = {}
        if changes:
            typed.append((group, form.sent(changes), form.shown.data, [form[key].label.text for key in changes]))
    return render_template("settings/moved.html", typed=typed), 409


@blueprint.get("/search")
def search() -> str:
    """The settings whose words have all of those that are looked for."""
    wanted = request.args.get("q", "")[:200]
    return render_template("settings/search.html", q=wanted, groups=GROUPS, group=None, anchors={},
                           found=_found(fold(wanted).split()))


@blueprint.get("/<page>")
def show(page: str) -> ResponseReturnValue:
    """One group, with what is declared."""
    if page in MOVED and page not in BY_NAME:
        return redirect(url_for(".show", page=MOVED[page]))
    group = _group(page)
    return _page(group, _form(group))


@blueprint.post("/<page>")
def save(page: str) -> ResponseReturnValue:
    """Changes what differs from what the page showed, all or nothing; asks before anybody would notice."""
    group = _group(page)
    form = _form(group)
    if (key := request.form.get("default", "")) in form.keys:
        _read(form)
        form.restore(key)
        return _page(group, form, restored=key)
    try:
        changes = form.read()
        if request.form.get("sure") == "no":
            return _page(group, form)
        if not changes:
            flash(gettext("Nothing was changed."))
            return redirect(url_for(".show", page=page))
        if "panel_path" in changes:
            changes["panel_path"] = changes["panel_path"].strip().strip("/") or door.new_path()
        if request.form.get("sure") != "yes" and (question := asked(the_system(), changes)):
            return render_template("settings/ask.html", question=question, typed=form.sent(changes),
                                   shown=form.shown.data, more=len(changes) > 1, action=url_for(".save", page=page))
        return _saved(page, form, changes)
    except Refused as refusal:
        form.show(refusal)
        return _page(group, form), 422


def _saved(page: str, form: SettingsForm, changes: Mapping[str, str]) -> ResponseReturnValue:
    system = the_system()
    before, path = views.users(system), the_config().panel_path

    def check(config: Config) -> None:
        form.refuse_stale(changes, {key: text for key, text in written(config).items() if key in form.keys})

    settings.set_settings(system, actor(), changes, check)
    new_links = " ".join(map(in_words, changed_links(before, views.users(system))))
    flash({"true": gettext("All users are on port 443 now. The links have changed: send them again."),
           "false": gettext("Every user has their own port again. The links have changed: send them again.")}.get(
        changes.get("port_443_mode", ""), " ".join((gettext("The settings are saved."), new_links)).strip()))
    here, new = url_for(".show", page=page), the_config().panel_path
    if path and new != path and request.script_root == f"/{path}":
        # Whoever came by the path goes on by the new one, and stays logged in.
        g.moved_to = f"/{new}"
        here = g.moved_to + here.removeprefix(request.script_root)
    return redirect(here)


@blueprint.post("/<page>/check/<key>")
def check(page: str, key: str) -> str:
    """A field as it was typed, with what is wrong with it: the rule is the one that saving goes by. Saves nothing."""
    group = _group(page)
    form = _form(group)
    if key not in form.keys:
        abort(404)
    try:
        preview.changed(the_system(), form.read())
    except Refused as refusal:
        form.show(refusal)
    return render_template("settings/_field.html", one=form.row(key), group=group, row=form.row, form=form, typing=True,
                           reached=None, restored="").strip()


@blueprint.post("/domains")
def check_domains() -> ResponseReturnValue:
    """Asks each domain of the pool, as typed, whether it could be a user's; saves nothing."""
    group = BY_NAME["links"]
    form = _form(group)
    reached: list[TlsCheck] = []
    try:
        form.read()
        asked_for = words(form.typed("domain_pool"))
        if not asked_for:
            raise Refused("form.empty_pool", "domain_pool")
        reached = settings.check_domains(the_system(), actor(), asked_for)
    except Refused as refusal:
        form.show(refusal)
    return _page(group, form, reached=reached), 422 if form.errors else 200


@blueprint.post("/certificates")
def renew() -> ResponseReturnValue:
    """Asks the authority now for every certificate that is missing or due; what is typed stays typed."""
    group = BY_NAME["port-443"]
    form = _form(group)
    _read(form)
    system, who = the_system(), actor()
    came: list[list[Outcome] | Refused] = []

    def ask() -> None:
        try:
            came.append(certificates.renew_certificates(system, who))
        except Refused as refusal:
            came.append(refusal)

    # An authority may take minutes for a hundred names; no browser, and no proxy before us, waits that long.
    asking = threading.Thread(target=ask, name="renew now", daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return _page(group, form, renewed=_renewed(came[0]) if came else (
        gettext("The authority has been asked and needs some time. Open this page again later to see the result."),
        "message"))


def _renewed(came: list[Outcome] | Refused) -> tuple[str, str]:
    """What a renewal came to, and whether that is an error."""
    if isinstance(came, Refused):
        return in_words(came), "error"
    failed = failures(came)
    if failed:
        return failed, "error"
    if came:
        return gettext("Renewed: %(names)s.", names=", ".join(outcome.name for outcome in came)), "message"
    if views.certificates(the_system()):
        return gettext("Nothing to renew: no certificate expires soon."), "message"
    return gettext("Nothing to ask for: no name needs a certificate."), "message"


@blueprint.post("/update")
def update() -> ResponseReturnValue:
    """Asks the host for the newest release."""
    try:
        wanted = updates.ask(the_system(), actor())
        flash(gettext("The update to %(version)s begins within seconds. The panel is unavailable for a moment while it "
                      "switches; proxies keep running. The result is shown here.", version=wanted.newest))
    except Refused as refusal:
        flash(in_words(refusal), "error")
    return redirect(url_for(".show", page="general") + "#version")


def _group(name: str) -> Group:
    return BY_NAME.get(name) or abort(404)


def _form(group: Group) -> SettingsForm:
    """The form of what this group has here, and of what is asked for all the same."""
    absent = NEEDS_EDGE if the_system().port443.edge is None else frozenset()
    if absent and the_config().sni_mode == "pool":
        absent |= {"sni_mode", "sni_base_domain"}
    return SettingsForm([key for key in group.keys if key not in absent or key in request.form])


def _read(form: SettingsForm) -> None:
    """Takes over what was typed; what is wrong with it is told when it is saved."""
    try:
        form.read()
    except Refused as refusal:
        form.show(refusal)


def _found(wanted: list[str]) -> list[tuple[Group, str]]:
    """The settings that these words tell, each with its page."""
    def said(key: str, group: Group) -> str:
        choices = (f"{option.title} {option.text}" for option in OPTIONS.get(key, ()))
        return fold(" ".join((key, field_label("setting", key), field_hint("setting", key), str(group.title),
                              *choices)))

    return [(group, key) for group in GROUPS for key in group.keys
            if wanted and all(word in said(key, group) for word in wanted)]


def _page(group: Group, form: SettingsForm, reached: list[TlsCheck] | None = None,
          renewed: tuple[str, str] | None = None, restored: str = "") -> str:
    system = the_system()
    status = views.status(system, whole=False)
    return render_template(
        "settings/page.html", group=group, groups=GROUPS, form=form, row=form.row, nested=nested, edge=status.edge,
        status=status,
        anchors=MOVED if group is GROUPS[0] else {}, version=version(), updates=updates.told(system.data_dir),
        certificates=views.certificates(system) if group.name == "port-443" else [], reached=reached, renewed=renewed,
        restored=restored, backups=backups.listed(system.data_dir) if group.name == "backups" else [],
        compared=compared(system.engines) if group.name == "engines" else [],
        not_here=[why for each in system.engines.values() if (why := each.missing())])
