"""What protects every page: the session cookie's flags, CSRF tokens, and the response headers."""

from __future__ import annotations

import os
from datetime import timedelta

from flask import Flask, Response, request
from flask.sessions import SecureCookieSessionInterface
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from app.fleet import Refused
from app.web import origin

SESSION_HOURS = 12

#: Pages may load only what this server sends. The forms of this panel lead nowhere else.
CONTENT_SECURITY_POLICY = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
))


class SessionInterface(SecureCookieSessionInterface):
    """Marks the cookie Secure when, and only when, the request came by HTTPS.

    The panel starts on plain http://127.0.0.1, where a Secure cookie would never come back.
    """

    def get_cookie_secure(self, app: Flask) -> bool:
        """True for a request that came by HTTPS, here or at a reverse proxy on this machine."""
        return request.is_secure


def init_app(app: Flask) -> None:
    """Configures sessions and CSRF, and adds the headers to every answer."""
    app.config.update(
        SECRET_KEY=app.extensions["fleet"].config().secret_key,
        SESSION_COOKIE_NAME="mtproto_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=SESSION_HOURS),
        # A token lives as long as its session: a form left open over lunch still works.
        WTF_CSRF_TIME_LIMIT=None,
        # Who sent a form is looked at by origin.py, by HTTP too.
        WTF_CSRF_SSL_STRICT=False,
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    app.session_interface = SessionInterface()
    origin.init_app(app)
    CSRFProtect(app)
    app.after_request(add_headers)
    trust_proxy(app)


def trust_proxy(app: Flask) -> None:
    """Takes the client's address and scheme from the reverse proxy, where MTPROTO_TRUSTED_PROXIES=1 says
    that nobody reaches the panel but through one. Raises Refused for any other number.

    Believed is the last entry of X-Forwarded-For and X-Forwarded-Proto, which that proxy wrote itself.
    """
    proxies = os.environ.get("MTPROTO_TRUSTED_PROXIES", "").strip()
    if proxies in ("", "0"):
        return
    if proxies != "1":
        raise Refused(f"MTPROTO_TRUSTED_PROXIES is {proxies!r}; allowed are 0 (the panel is reached "
                      "directly) and 1 (only through one reverse proxy, which sets X-Forwarded-For)")
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)  # type: ignore[method-assign]


def add_headers(response: Response) -> Response:
    """The headers of every answer; pages hold links with secrets, so nothing but static files is kept."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    # Not "no-referrer": browsers would then send the panel's own forms with "Origin: null".
    response.headers["Referrer-Policy"] = "same-origin"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
