"""/s/TOKEN: the one address of this room. A token that is nobody's is no wrong one: there is no such route then, and
whoever asks is answered like whoever asks for any other path that is not there, by the same code.

The page is whole in itself - its style is in it, its QR code, no script - so that there is no second address that
could tell a stranger what runs here.
"""

from __future__ import annotations

import base64
import hashlib
import math
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

from babel.numbers import format_decimal
from flask import Blueprint, Flask, Response, current_app, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import force_locale, get_locale
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, Map, ValidationError

from app.accounts.logins import Place
from app.actions import share as actions
from app.config.model import Config
from app.control import share_views
from app.control.errors import Refused, Unfinished
from app.control.share_views import SharePage
from app.control.system import System
from app.messages import dates
from app.mtproto.qr import qr_png
from app.rules import share
from app.web.context import client_address, door, the_config, the_system
from app.web.share.limit import Limit

#: The languages of this page, by their codes, each under its own name.
LANGUAGES = {"en": "English", "ru": "Русский", "uk": "Українська", "tr": "Türkçe", "fa": "فارسی", "ar": "العربية"}

STYLE = (Path(__file__).parents[1] / "templates/share/style.css").read_text()
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
                               "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address is the key
    "X-Robots-Tag": "noindex, nofollow, noarchive",
}

blueprint = Blueprint("share", __name__)


class Pages:
    """Which tokens open a page, worked out once for each version of the declaration: a wrong one costs one look-up in a
    table, however many pages there are, so its answer takes no longer than that to any unknown path."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._known: tuple[Config | None, dict[bytes, str]] = (None, {})

    def there(self, token: str) -> bool:
        """Whether it opens somebody's page now."""
        config = self._system.declaration.last_good()
        if self._known[0] is not config:
            self._known = (config, share.index(config))
        return share.key(token) in self._known[1]


def init_app(app: Flask) -> None:
    """Adds the route, which matches the tokens of this installation and no others; before everything else, so that
    nothing but it is looked at where it alone may be asked for."""
    pages = Pages(app.extensions["system"])

    class Token(BaseConverter):
        """A token that somebody's page has now."""

        regex = share.TOKEN

        def __init__(self, url_map: Map) -> None:
            super().__init__(url_map)

        def to_python(self, value: str) -> str:
            """The token. Raises ValidationError for nobody's."""
            if not pages.there(value):
                raise ValidationError
            return value

    app.url_map.converters["share_token"] = Token
    app.extensions["share_limit"] = Limit()
    app.before_request(nothing_else_by_this_door)


def nothing_else_by_this_door() -> ResponseReturnValue | None:
    """nginx sends on to these pages only; whatever it is made to send, nothing else answers there."""
    if door() == "share" and request.endpoint != "share.page":
        return Response("Not Found\n", 404, mimetype="text/plain")
    return None


# Slashes are not merged: a redirect would tell what could be there.
@blueprint.route("/s/<share_token:token>", methods=["GET", "POST"], merge_slashes=False)
def page(token: str) -> ResponseReturnValue:
    """Somebody's own page; by POST, a new link for them."""
    wait = current_app.extensions["share_limit"].wait(token, Place(client_address()).network)
    if wait:
        return _answer(429, {"Retry-After": str(math.ceil(wait))})
    try:
        if request.method == "POST":
            return _renew(token)
        return _answer(200, shown=_shown(token), renewed="renewed" in request.args)
    except (Refused, sqlite3.OperationalError):
        return _answer(503)


@blueprint.errorhandler(HTTPException)
def failed(error: HTTPException) -> ResponseReturnValue:
    """Whatever goes wrong here, nobody is shown the panel's own pages."""
    return _answer(error.code or 500) if (error.code or 500) >= 400 else error


def _renew(token: str) -> ResponseReturnValue:
    try:
        actions.renew_link(the_system(), token)
    except Unfinished:
        pass  # saved; the monitor does the rest
    except Refused:
        return _answer(409, shown=_shown(token), refused=True)
    lang = request.args.get("lang")
    return redirect(url_for("share.page", token=token, renewed=1, lang=lang if lang in LANGUAGES else None), 303)


def _shown(token: str) -> SharePage:
    user = share.find(the_config(), token)
    if user is None:
        raise Refused("user.unknown", "name", ref="")  # since the address was looked at
    return share_views.page(the_system(), user.id)


def _answer(code: int, headers: dict[str, str] | None = None, shown: SharePage | None = None, renewed: bool = False,
            refused: bool = False) -> Response:
    """The page in the visitor's language. shown: None where only what went wrong is told."""
    with force_locale(language()):
        made = make_response(render_template(
            "share/page.html", page=shown, code=code, renewed=renewed, refused=refused, style=Markup(STYLE),
            qr=_image(shown.links[0].tg_link) if shown and shown.links else "", platform=_platform(),
            languages=LANGUAGES, number=_number, day=_day, last_day=_last_day,
            zone_name=dates.zone_name), code)
    made.headers.update({**HEADERS, **(headers or {})})
    made.vary.add("Accept-Language")
    return made


def language() -> str:
    """What was chosen on the page, else the first of the browser's that there is, else English."""
    wanted = request.args.get("lang", "")
    if wanted in LANGUAGES:
        return wanted
    # "tr-TR, en;q=0.5" is Turkish: best_match() would take the English that is there by its whole name.
    asked = (tag.partition("-")[0].lower() for tag, quality in request.accept_languages if quality > 0)
    return next((code for code in asked if code in LANGUAGES), "en")


def _platform() -> str:
    """Whose steps are shown first; the others are a tap away."""
    agent = request.headers.get("User-Agent", "")
    return "android" if "Android" in agent else "ios" if any(w in agent for w in ("iPhone", "iPad")) else "desktop"


def _image(link: str) -> str:
    return f"data:image/png;base64,{base64.b64encode(qr_png(link)).decode()}"


def _number(value: float) -> str:
    """In the visitor's language, with as many digits as tell something: 0.46, 12.3, 120."""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return str(format_decimal(round(value, digits), locale=get_locale()))


def _day(moment: datetime) -> str:
    """The date in the visitor's language, by the server's clock."""
    return dates.day(moment, get_locale(), "long")


def _last_day(moment: datetime) -> str:
    """The day on which access ends: midnight ends the day before it."""
    return _day(moment - timedelta(seconds=1))
