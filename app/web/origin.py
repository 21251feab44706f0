"""Whether a request that would change something was sent by a page of this panel, as the browser tells it.

It stands beside the CSRF token. A page on another port of this machine, or on another name of the panel's domain,
is another origin but the same *site*: the browser sends the session's cookie along.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import MethodNotAllowed

from app.web.hosts import is_by_token
from app.web.language import gettext

#: What the panel answers; the first two change nothing.
METHODS = ("GET", "HEAD", "POST")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def init_app(app: Flask) -> None:
    """Refuses what another origin's page sends, before anything else looks at it."""
    app.before_request(refuse_other_pages)


def refuse_other_pages() -> ResponseReturnValue | None:
    """403 for a POST that comes from another page than the panel's; 405 for what is no GET, HEAD or POST.

    `Sec-Fetch-Site` decides where there is one: no page can forge it, and it holds whatever a reverse proxy does to
    Host. `none` is a person's own doing. Browsers send it by HTTPS and to loopback only; else `Origin` is compared
    with the Host that was asked for. Neither of them: no browser of today, and the CSRF token decides alone.
    """
    if is_by_token():
        return None  # no browser sends a token by itself
    if request.method not in METHODS:
        raise MethodNotAllowed(METHODS)
    # Whoever asks at the address of a user's own page knows its key; it tells browsers to hide where they come from.
    if request.method != "POST" or request.endpoint == "share.page":
        return None
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return None if site in ("same-origin", "none") else _refused(
            gettext("It was sent by a page that is not the panel's. Nothing was changed."))
    if origin is None or _is_own(origin):
        return None
    return _refused(gettext("It was sent by a page of %(origin)s, and this is %(host)s. If both are this server, the "
                            "reverse proxy between you and it must pass on the Host header as the browser sent it. "
                            "Nothing was changed.", origin=origin[:100], host=request.host))


def _is_own(origin: str) -> bool:
    """Does this origin name the host and port that were asked for? Its scheme is a proxy's business."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    default = DEFAULT_PORTS.get(parts.scheme)
    if default is None or not parts.netloc:
        return False
    own, asked = (name.lower().removesuffix(default) for name in (parts.netloc, request.host))
    return own == asked


def _refused(why: str) -> ResponseReturnValue:
    return render_template("error.html", code=403, title=gettext("Not from here"), sentence=why), 403
