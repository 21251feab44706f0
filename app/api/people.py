"""Admins, tokens, and backups: what owners do."""

from __future__ import annotations

import tempfile
from pathlib import Path

from flask import g, send_file

from app.accounts import factors
from app.accounts.actor import Right
from app.accounts.admins import everybody
from app.actions import admins as actions
from app.actions import backups as backup_actions
from app.actions import factors as factor_actions
from app.actions import tokens as token_actions
from app.api import answers
from app.api.fields import Field
from app.api.operations import Answer, Asked, nothing, operation
from app.config.model import ROLES, Admin, Role
from app.control import backups as schedule
from app.control.records import TokenView

_ROLE = Field("role", "text", "What the admin may do.", choices=ROLES, required=True)
_USERNAME = Field("username", "text", "The name of the admin.", required=True)
_ARCHIVE = ("application/octet-stream",)


@operation("GET", "/self", answers=answers.Self)
def self(asked: Asked) -> Answer:
    """Read whose token this is, and what it may do now."""
    token = g.bearer.token
    return Answer(answers.Self(token.admin, token.name, token.scope, asked.actor.right.name.lower(),
                               token.expires_at.isoformat() if token.expires_at else None))


@operation("GET", "/admins", Right.SUDO, list[answers.Admin])
def admins(asked: Asked) -> Answer:
    """List who may log in."""
    return Answer([_record(asked, each) for each in everybody(asked.config)])


@operation("POST", "/admins", Right.SUDO, answers.Admin, 201, once=True, body=(
    _USERNAME, Field("password", "text", "At least 12 characters.", required=True),
    Field("role", "text", "What the admin may do.", choices=ROLES, default="operator")))
def add_admin(asked: Asked) -> Answer:
    """Add an admin."""
    role = _role(asked.body.get("role", "operator"))
    username = asked.made_once(lambda: actions.create_admin(
        asked.system, asked.actor, asked.body["username"], asked.body["password"], role))
    return _admin(asked, username, 201)


@operation("PATCH", "/admins/<path:username>", Right.SUDO, answers.Admin, body=(_ROLE,))
def set_role(asked: Asked, username: str) -> Answer:
    """Give an admin another role; an owner there always is."""
    _known(asked, username)
    actions.set_role(asked.system, asked.actor, username, _role(asked.body["role"]))
    return _admin(asked, username)


@operation("DELETE", "/admins/<path:username>", Right.SUDO, status=204)
def remove_admin(asked: Asked, username: str) -> Answer:
    """Remove an admin, their sessions and their tokens."""
    _known(asked, username)
    actions.remove_admin(asked.system, asked.actor, username)
    return Answer(status=204)


@operation("POST", "/admin-passwords", Right.SUDO, answers.NewPassword, body=(_USERNAME,))
def new_password(asked: Asked) -> Answer:
    """Give an admin a new random password, which is told this once."""
    username = asked.body["username"]
    _known(asked, username)
    return Answer(answers.NewPassword(username, actions.set_password(asked.system, asked.actor, username)))


@operation("DELETE", "/admin-factors/<path:username>", Right.SUDO, status=204)
def take_factor(asked: Asked, username: str) -> Answer:
    """Let an admin who has lost their second factor log in by password alone; not the token's own."""
    _known(asked, username)
    factor_actions.take_away(asked.system, asked.actor, username)
    return Answer(status=204)


@operation("GET", "/tokens", answers=list[answers.Token])
def tokens(asked: Asked) -> Answer:
    """List one's own tokens; to owners, everybody's. A token is made in the panel, or by a command."""
    return Answer([_token(each) for each in token_actions.every_token(asked.system, asked.actor)])


@operation("DELETE", "/tokens/<token_id>", status=204)
def remove_token(asked: Asked, token_id: str) -> Answer:
    """Remove a token; it is worth nothing from now on."""
    if all(each.id != token_id for each in token_actions.every_token(asked.system, asked.actor)):
        raise nothing("api.no_token", token_id)
    token_actions.remove_token(asked.system, asked.actor, token_id)
    return Answer(status=204)


@operation("GET", "/backups", Right.SUDO, list[answers.Backup])
def backups(asked: Asked) -> Answer:
    """List the backups on the server, newest first."""
    return Answer([answers.Backup(each.name, each.made_at.isoformat(), each.bytes, each.encrypted, each.scheduled)
                   for each in schedule.listed(asked.system.data_dir)])


@operation("POST", "/backups", Right.SUDO, body=(
    Field("passphrase", "text", "Encrypts it; whoever has one without can read everything in it."),), media=_ARCHIVE)
def back_up(asked: Asked) -> Answer:
    """Make a backup of everything, and send it; nothing of it stays on the server."""
    passphrase = asked.body.get("passphrase", "")
    ending = "tar.gz.age" if passphrase else "tar.gz"
    with tempfile.TemporaryDirectory(dir=asked.system.data_dir, prefix=".backup-") as folder:
        path = backup_actions.back_up(asked.system, asked.actor, Path(folder) / f"mtproto.{ending}", passphrase)
        file = path.open("rb")
    # It is read from the open file: its name is gone already.
    return Answer(raw=send_file(file, mimetype=_ARCHIVE[0], as_attachment=True, download_name=f"mtproto.{ending}"))


@operation("GET", "/backups/<name>", Right.SUDO, media=_ARCHIVE)
def fetch(asked: Asked, name: str) -> Answer:
    """Take a backup away; who did stands in the audit log."""
    if all(each.name != name for each in schedule.listed(asked.system.data_dir)):
        raise nothing("api.no_backup", name)
    try:
        file = backup_actions.fetch(asked.system, asked.actor, name).open("rb")
    except FileNotFoundError:
        raise nothing("api.no_backup", name) from None
    return Answer(raw=send_file(file, mimetype=_ARCHIVE[0], as_attachment=True, download_name=name))


def _role(text: str) -> Role:
    return next(role for role in ROLES if role == text)


def _known(asked: Asked, username: str) -> None:
    if all(each.username != username for each in everybody(asked.config)):
        raise nothing("api.no_admin", username)


def _admin(asked: Asked, username: str, status: int = 200) -> Answer:
    _known(asked, username)
    return Answer(next(_record(asked, each) for each in everybody(asked.config) if each.username == username), status)


def _record(asked: Asked, admin: Admin) -> answers.Admin:
    return answers.Admin(admin.username, admin.role, factors.of(asked.config, admin.username) is not None)


def _token(view: TokenView) -> answers.Token:
    return answers.Token(view.id, view.name, view.admin, view.scope, view.created_at, view.expires_at, view.expired,
                         view.last_used_at, view.last_address)
