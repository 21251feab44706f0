"""The questions before what can't be taken back: a dialog, and a page of its own without script."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask

from app.control.preview import Interruption
from app.web.language import gettext, ngettext


@dataclass(frozen=True)
class Question:
    """title: the question. text: what happens then. yes: the button that does it; style: its class."""

    title: str
    text: str
    yes: str
    style: str = "btn-primary"


def init_app(app: Flask) -> None:
    """Makes `asked` and `reconnects` functions of templates."""
    app.add_template_global(asked)
    app.add_template_global(reconnects)


def reconnects(others: Interruption) -> str:
    """Whom else a change of one user disconnects for a moment."""
    return ngettext("MTProxy restarts: %(num)s other user reconnects. Telegram does that by itself.",
                    "MTProxy restarts: %(num)s other users reconnect. Telegram does that by itself.", others.users)


def asked(what: str, name: str = "") -> Question:
    """what: the key of a question. name: whom it is about, "" for everybody. Raises KeyError for an unknown one."""
    return {
        "rotate": Question(
            gettext("Give %(name)s a new link?", name=name),
            gettext("The current link stops working at once and open connections are closed. You have to send the new "
                    "link yourself."),
            gettext("Make a new link")),
        "restart": Question(
            gettext("Restart %(name)s's proxy?", name=name),
            gettext("This user's connections are closed, and Telegram connects again by itself. The link stays the "
                    "same. Other users are not affected."),
            gettext("Restart")),
        "reset": Question(
            gettext("Reset %(name)s's traffic?", name=name),
            gettext("The traffic that counts towards the limit starts from zero again, which also ends a slowdown or a "
                    "block at the limit. The totals of downloads and uploads stay."),
            gettext("Reset traffic")),
        "remove": Question(
            gettext("Delete %(name)s?", name=name),
            gettext("The link stops working at once. For 30 days you can restore the user, with the same link, under "
                    "Deleted users."),
            gettext("Delete %(name)s", name=name), "btn-danger"),
        "restart-all": Question(
            gettext("Restart all proxies?"),
            gettext("All connections are closed. Telegram connects again by itself, usually within seconds. Links "
                    "stay the same."),
            gettext("Restart all")),
        "reset-all": Question(
            gettext("Reset the traffic of all users?"),
            gettext("The traffic that counts towards each limit starts from zero again, which also ends every slowdown "
                    "and block at a limit. The totals of downloads and uploads stay."),
            gettext("Reset all traffic")),
        "stop-all": Question(
            gettext("Stop all proxies?"),
            gettext("All connections are closed, and nobody can connect until you start the proxies again. They stay "
                    "stopped even if the server restarts. Links stay the same."),
            gettext("Stop all"), "btn-danger"),
    }[what]
