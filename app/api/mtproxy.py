"""Telegram's MTProxy: its containers, Telegram's files, and secrets of another installation."""

from __future__ import annotations

import base64
import binascii

from app.accounts.actor import Right
from app.actions import mtproxy as actions
from app.api import server_answers as answers
from app.api.fields import Field
from app.api.operations import Answer, Asked, operation
from app.api.problems import Bad
from app.control import mtproxy_views
from app.control.errors import Refused


@operation("GET", "/mtproxy", answers=answers.MtproxyStatus)
def mtproxy(asked: Asked) -> Answer:
    """Read which containers of MTProxy there are, what they count, and how old Telegram's files are."""
    return Answer(_status(asked))


@operation("POST", "/mtproxy/import", Right.USERS, answers.MtproxyImport, once=True, body=(
    Field("secrets", "objects", "What a mtproxy_secrets.json has under this name: each with `value`, and `name`, "
                                "`padding_enabled` and `active`.", required=True),
    Field("metadata", "object", "What the file has beside them; not looked at.")))
def take_over(asked: Asked) -> Answer:
    """Take over the secrets of a mtproxy_secrets.json, which is sent as it is: a user for each that nobody has yet, by
    one save; all of them or none."""
    try:
        found = actions.read_export(asked.body)
    except Refused as refused:
        raise Refused(refused.problem.about("secrets")) from None
    ids = asked.made_once(lambda: " ".join(["added", *(
        user.id for user in actions.bring(asked.system, asked.actor, found))])).split()[1:]
    names = {user.id: user.name for user in asked.system.declaration.last_good().users}
    return Answer(answers.MtproxyImport([answers.Named(each, names[each]) for each in ids if each in names],
                                        len(found) - len(ids), actions.unserved(asked.system, ids)))


@operation("POST", "/mtproxy/files", Right.SUDO, answers.MtproxyStatus, again=mtproxy, body=(
    Field("proxy_secret", "text", "proxy-secret, in base64.", required=True),
    Field("proxy_multi_conf", "text", "proxy-multi.conf, as it is.", required=True)))
def give_files(asked: Asked) -> Answer:
    """Give Telegram's two files by hand, where they can't be downloaded from here."""
    try:
        secret = base64.b64decode(asked.body["proxy_secret"], validate=True)
    except (binascii.Error, ValueError):
        raise Bad("api.no_base64", 422, "proxy_secret") from None
    actions.give_files(asked.system, asked.actor, secret, asked.body["proxy_multi_conf"].encode())
    return Answer(_status(asked))


@operation("POST", "/mtproxy/files/fetch", Right.SUDO, answers.MtproxyStatus, again=mtproxy)
def fetch_files(asked: Asked) -> Answer:
    """Download Telegram's two files now."""
    actions.fetch_files(asked.system, asked.actor)
    return Answer(_status(asked))


def _status(asked: Asked) -> answers.MtproxyStatus:
    return answers.MtproxyStatus(
        [answers.MtproxyContainer(each.number, each.name, each.port, each.users, each.tls, each.state,
                                  each.connections, each.created, each.uptime)
         for each in mtproxy_views.every_container(asked.system)], mtproxy_views.files_age(asked.system))
