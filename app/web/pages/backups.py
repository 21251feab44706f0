"""A backup of everything, to be kept somewhere else; for admins who may change settings."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

from flask import Blueprint, flash, redirect, request, send_file, url_for
from flask.typing import ResponseReturnValue

from app.actions.backups import back_up, fetch
from app.control.errors import Refused
from app.lib.zone import server_zone
from app.web.context import actor, the_system
from app.web.language import gettext, in_words
from app.web.pages.settings import only_sudo

blueprint = Blueprint("backups", __name__, url_prefix="/backup")
blueprint.before_request(only_sudo)


@blueprint.post("/<name>")
def download(name: str) -> ResponseReturnValue:
    """One of those that are on the server. A POST, as whoever takes it away stands in the audit log."""
    try:
        file = open(fetch(the_system(), actor(), name), "rb")
    except (Refused, FileNotFoundError) as refusal:
        flash(in_words(refusal) if isinstance(refusal, Refused) else
              gettext("%(name)s has been removed meanwhile.", name=name), "error")
        return redirect(url_for("settings.show", page="backups") + "#backup")
    return send_file(file, mimetype="application/octet-stream", as_attachment=True, download_name=name)


@blueprint.post("")
def make() -> ResponseReturnValue:
    """The file, made now; encrypted if a passphrase was typed. Nothing of it stays on the server."""
    system, passphrase = the_system(), request.form.get("passphrase", "")
    ending = "tar.gz.age" if passphrase else "tar.gz"
    try:
        with tempfile.TemporaryDirectory(dir=system.data_dir, prefix=".backup-") as folder:
            file = open(back_up(system, actor(), Path(folder) / f"mtproto.{ending}", passphrase), "rb")
    except Refused as refusal:
        flash(in_words(refusal), "error")
        return redirect(url_for("settings.show", page="backups"))
    today = datetime.now(server_zone())
    # It is read from the open file: its name is gone already.
    return send_file(file, mimetype="application/octet-stream", as_attachment=True,
                     download_name=f"mtproto-{today:%Y-%m-%d-%H%M}.{ending}")
