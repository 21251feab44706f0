"""The settings: one page of them, its questions, the certificates; for admins who may change them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.actions import certificates, settings, updates
from app.checks.tls import TlsCheck
from app.config.model import Config
from app.control import backups, views
from app.control.errors import Refused
from app.control.views import changed_links
from app.engines.base import NOBODY, Engine
from app.engines.figures import MEASURED
from app.lib.version import version
from app.messages import sentence
from app.messages.english.fields import FIELDS
from app.mtproto.secret import FAKETLS, PADDED, PLAIN
from app.web.context import actor, current_admin, the_config, the_system
from app.web.forms import PLACED, SETTING_FIELDS, SettingsForm
from app.web.outcomes import failures

blueprint = Blueprint("settings", __name__, url_prefix="/settings")

#: How the secret in a link begins, by its kind.
_BEGINS = {FAKETLS: "ee", PADDED: "dd", PLAIN: "plain"}

#: Seconds that a person waits for certificates; they are asked for in any case.
PATIENCE = 40.0

#: What the page offers; the other settings are on the command line.
NAMES = tuple(spec.key for spec in SETTING_FIELDS)
SWITCHES = frozenset(spec.key for spec in SETTING_FIELDS if spec.kind == "switch")
#: Of the engine, and the other ones without a place of their own in the templates.
OF_ENGINE = tuple(spec for spec in SETTING_FIELDS if spec.key in ("engine", "move_changes_links", "shared_port"))
FURTHER = tuple(spec for spec in SETTING_FIELDS if spec.key not in PLACED and spec not in OF_ENGINE)


@blueprint.before_request
def only_sudo() -> ResponseReturnValue | None:
    """The first admin, and whoever was created with sudo; nobody else."""
    admin = current_admin()
    if admin and admin.sudo:
        return None
    sentence = (f"Settings apply to everybody's proxy, so only some admins may change them: "
                f"{the_config().admin_username}, and whoever was created with sudo.")
    return render_template("error.html", code=403, title="Not allowed", sentence=sentence), 403


@blueprint.get("")
def index() -> ResponseReturnValue:
    """All sections, with what is declared."""
    now = written(views.settings(the_system()))
    on = {name: now[name] == "true" for name in SWITCHES}
    return _page(SettingsForm(data=now | on | {"shown": json.dumps(now)}))


@blueprint.post("")
def save() -> ResponseReturnValue:
    """Changes what differs from what the page showed, all or nothing; asks before port 443 is switched."""
    form = SettingsForm()
    changes = _changes(form)
    if request.form.get("sure") == "no":
        return _page(form)
    if not changes:
        flash("Nothing was changed.")
        return redirect(url_for(".index"))
    switched = changes.get("port_443_mode")
    if switched and request.form.get("sure") != "yes":
        return render_template("settings/confirm.html", on=switched == "true", typed=_typed(form),
                               shown=form.shown.data, changes=changes)
    before = views.users(the_system())

    def check(config: Config) -> None:
        form.refuse_stale(changes, written({name: getattr(config, name) for name in NAMES}))

    try:
        settings.set_settings(the_system(), actor(), changes, check)
    except Refused as refusal:
        form.show(refusal)
        return _page(form), 422
    new_links = sentence(changed_links(before, views.users(the_system())))
    flash({"true": "Everybody is on port 443 now. The links have changed: send them again.",
           "false": "Everybody has a port of their own again. The links have changed: send them again.",
           None: f"The settings are saved. {new_links}".strip()}[switched])
    return redirect(url_for(".index"))


@blueprint.post("/domains")
def check_domains() -> ResponseReturnValue:
    """Asks each domain of the pool, as typed, whether it could be a user's; saves nothing."""
    form = SettingsForm()
    _changes(form)
    reached: list[TlsCheck] = []
    try:
        asked = words(form["domain_pool"].data)
        if not asked:
            raise Refused("form.empty_pool", "domain_pool")
        reached = settings.check_domains(the_system(), actor(), asked)
    except Refused as refusal:
        form.show(refusal)
    return _page(form, reached=reached), 422 if form.errors else 200


@blueprint.post("/certificates")
def renew() -> ResponseReturnValue:
    """Asks the authority now for every certificate that is missing or due; what is typed stays typed."""
    form = SettingsForm()
    _changes(form)
    system, who = the_system(), actor()
    told: list[tuple[str, str]] = []

    def ask() -> None:
        try:
            outcomes = certificates.renew_certificates(system, who)
        except Refused as refusal:
            told.append((str(refusal), "error"))
            return
        failed = failures(outcomes)
        done = (f"Renewed: {', '.join(outcome.name for outcome in outcomes)}." if outcomes else
                "Nothing is due: no certificate expires soon." if views.certificates(system) else
                "There is nothing to ask for: no name needs a certificate.")
        told.append((failed or done, "error" if failed else "message"))

    # An authority may take minutes for a hundred names; no browser, and no proxy before us, waits that long.
    asking = threading.Thread(target=ask, name="renew now", daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return _page(form, renewed=told[0] if told else (
        "The authority has been asked, and needs some time. Open this page again to see the result.",
        "message"))


@blueprint.post("/update")
def update() -> ResponseReturnValue:
    """Asks the host for the newest release."""
    try:
        wanted = updates.ask(the_system(), actor())
        flash(f"The update to {wanted.newest} begins within seconds. The panel is away for a moment when it switches; "
              "proxies run on. How it went is shown here.")
    except Refused as refusal:
        flash(str(refusal), "error")
    return redirect(url_for(".index") + "#version")


def written(values: Mapping[str, object]) -> dict[str, str]:
    """The settings of the form as they are typed into it: a list is one word a line."""
    return {name: _text(values[name]) for name in NAMES}


def words(text: str | None) -> list[str]:
    """A list as it is typed."""
    return (text or "").replace(",", " ").replace(";", " ").split()


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _typed(form: SettingsForm) -> dict[str, str]:
    """What the browser sent. A field that the page does not have is not sent, and so not emptied."""
    return {name: _text(form[name].data if form[name].data is not None else "")
            for name in NAMES if name in request.form}


def _changes(form: SettingsForm) -> dict[str, str]:
    """What a person changed on the page: typed, and different from what the page showed."""
    now = written(views.settings(the_system()))
    shown = form.were_shown(now)
    form.shown.data = json.dumps(shown)
    for name in NAMES:
        if name not in request.form:
            form[name].data = shown[name] == "true" if name in SWITCHES else shown[name]
    return {name: text for name, text in _typed(form).items() if words(text) != words(shown[name])}


def _page(form: SettingsForm, reached: list[TlsCheck] | None = None,
          renewed: tuple[str, str] | None = None) -> str:
    system = the_system()
    status = views.status(system)
    return render_template("settings/index.html", form=form, edge=status.edge, engine=status.engine,
                           version=version(), updates=updates.told(system.data_dir),
                           server_note=status.server_note, users=len(status.users),
                           certificates=views.certificates(system), reached=reached, renewed=renewed, further=FURTHER,
                           backups=backups.listed(system.data_dir), of_engine=OF_ENGINE,
                           compared=_compared(system.engines),
                           hints={spec.key: FIELDS[f"setting.{spec.key}"].hint for spec in (*OF_ENGINE, *FURTHER)})


def _compared(engines: Mapping[str, Engine]) -> list[list[str]]:
    """What the engines do and cost: a header, and a row for each fact, one cell an engine."""
    here = [(engine.capabilities, MEASURED[name]) for name, engine in engines.items() if name in MEASURED]
    rows = {
        "Key exchange": [figures.key_share for _, figures in here],
        "One download": [f"{figures.download:,} Mbit/s" for _, figures in here],
        "One upload": [f"{figures.upload:,} Mbit/s" for _, figures in here],
        **{f"Memory, {count} user{'s' if count > 1 else ''}": [f"{figures.memory[count]:,} MB" for _, figures in here]
           for count in (1, 50, 200)},
        "A change of one user": ["restarts their proxy" if can.restarts else "restarts nothing" for can, _ in here],
        "If it fails": ["all of its users" if can.shared else "one user" for can, _ in here],
        "Speed limit": ["yes" if can.speed != NOBODY else "no" for can, _ in here],
        "Address limit": ["yes" if can.devices != NOBODY else "no" for can, _ in here],
        "Secrets": [", ".join(_BEGINS[kind] for kind in sorted(can.secrets)) for can, _ in here],
    }
    return [["", *(name for name in engines if name in MEASURED)], *([title, *cells] for title, cells in rows.items())]
