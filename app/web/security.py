"""What protects every page: the session cookie's flags, CSRF tokens, and the response headers."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from flask import Flask, Response, g, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_wtf import CSRFProtect

from app.ledger.sessions import HOURS as SESSION_HOURS
from app.web import hosts, origin
from app.web.forwarded import Forwarded, trusted_proxies
from app.web.share import page as share

#: Bytes of a form at most: a person's fields, and the settings, which hold lists (and what the page had shown of
#: them): 900 names of any length. nginx/panel.conf allows the same.
USUAL_FORM, LARGEST_FORM = 64 * 1024, 512 * 1024

#: Pages may load only what this server sends. The forms of this panel lead nowhere else.
CONTENT_SECURITY_POLICY = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "manifest-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
))


#: What pages of this panel may ask a browser for: nothing but to put a link into the clipboard, to share it (it needs
#: no line here: browsers allow it to the page itself, and those that lack it complain of the word),
#: and passkeys. nginx adds fewer of the same.
PERMISSIONS_POLICY = ", ".join((
    *(f"{feature}=()" for feature in (
        "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen",
        "geolocation", "gyroscope", "hid", "idle-detection", "magnetometer", "microphone", "midi", "payment",
        "picture-in-picture", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking")),
    *(f"{feature}=(self)" for feature in (
        "clipboard-write", "publickey-credentials-create", "publickey-credentials-get"))))


class SessionInterface(SecureCookieSessionInterface):
    """Marks the cookie Secure when, and only when, the request came by HTTPS: the panel starts on plain
    http://127.0.0.1, where a Secure cookie would never come back. Under a sub-path it stays there."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """True for a request that came by HTTPS, here or at a reverse proxy on this machine."""
        return request.is_secure

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        """As Flask does, but never on a page that is for everybody who has its address."""
        return request.blueprint != "share" and super().should_set_cookie(app, session)

    def get_cookie_path(self, app: Flask) -> str:
        """The sub-path that a reverse proxy serves the panel under, or "/"; after a move to another path, that one."""
        return g.get("moved_to") or request.script_root or "/"


def init_app(app: Flask) -> None:
    """Configures sessions and CSRF, and adds the headers to every answer."""
    secret_key = app.extensions["system"].declaration.last_good().secret_key
    app.config.update(
        SECRET_KEY=secret_key,
        # Tells strangers nothing. Its own for each installation: browsers don't tell two tunnels on 127.0.0.1 apart.
        SESSION_COOKIE_NAME=f"s{hashlib.sha256(secret_key.encode()).hexdigest()[:8]}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=SESSION_HOURS),
        # A token lives as long as its session: a form left open over lunch still works.
        WTF_CSRF_TIME_LIMIT=None,
        # Who sent a form is looked at by origin.py, by HTTP too.
        WTF_CSRF_SSL_STRICT=False,
        MAX_CONTENT_LENGTH=USUAL_FORM,
        MAX_FORM_MEMORY_SIZE=LARGEST_FORM,
    )
    app.session_interface = SessionInterface()
    app.before_request(allow_lists)
    hosts.init_app(app)
    origin.init_app(app)
    # The address of a user's own page is a secret of 128 bits, and its form needs no other; there is no session.
    CSRFProtect(app).exempt(share.blueprint)
    app.after_request(add_headers)
    app.extensions["forwarded"] = forwarded = Forwarded(app.wsgi_app, trusted_proxies())
    app.wsgi_app = forwarded  # type: ignore[method-assign]  # Flask's own way to put a middleware before itself


def allow_lists() -> None:
    """The settings may be larger than other forms."""
    if request.blueprint == "settings":
        request.max_content_length = LARGEST_FORM


def add_headers(response: Response) -> Response:
    """The headers of every answer; pages hold links with secrets, so nothing but static files is kept."""
    # A user's own page (web/share) says more for itself.
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Permissions-Policy"] = PERMISSIONS_POLICY
    # Not "no-referrer": browsers would then send the panel's own forms with "Origin: null".
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
