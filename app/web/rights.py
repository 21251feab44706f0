"""Which right opens which page. What somebody may do is checked in the action again, whoever calls it; this is so that
nobody is shown, or offered, what they may not."""

from __future__ import annotations

from flask import render_template
from flask.typing import ResponseReturnValue

from app.accounts.actor import Right
from app.web.language import gettext

#: What a viewer may open and send. A page that is added later is not among them.
VIEWED = frozenset({
    "auth.login", "auth.code", "auth.logout", "language.choose", "installed.manifest", "installed.icon",
    "dashboard.index", "dashboard.status", "dashboard.lists", "traffic.everybody", "traffic.user",
    "users.index", "users.rows", "users.show", "users.state", "user.head", "user.more", "events.index",
    "tokens.index", "tokens.add", "tokens.remove", "api_page.index", "api.openapi",
    "account.index", "account.password", "account.end", "factors.index", "factors.remove",
    "factors.codes", "factors.question", "factors.passkey", "factors.keep_passkey", "factors.remove_passkey"})
#: Pages and buttons for owners, beside the blueprints that let nobody else in (settings.only_sudo).
OF_OWNERS = frozenset({"dashboard.start", "dashboard.stop", "dashboard.restart", "dashboard.renew",
                       "logs.debug", "logs.end_debug", "bans.add"})


def needed(endpoint: str | None) -> Right:
    """The right that this page, or button, wants."""
    if endpoint is None or endpoint in VIEWED:
        return Right.VIEW
    return Right.SUDO if endpoint in OF_OWNERS else Right.USERS


def refusal(right: Right) -> ResponseReturnValue:
    """The page for whoever lacks this right."""
    sentence = gettext("Only an owner may do this.") if right is Right.SUDO else gettext(
        "You may look at users and their traffic here. Links, and changes of any kind, are for operators and owners.")
    return render_template("error.html", code=403, title=gettext("Not allowed"), sentence=sentence), 403
