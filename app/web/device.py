"""A browser that has logged in before is known again ("device cookie"): others' failures don't keep it out.

The cookie is worth nothing but a count of its own of failed logins, for one admin. It outlives the session.
"""

from __future__ import annotations

import hashlib
import secrets

from flask import Response, current_app, request
from itsdangerous import BadData, URLSafeTimedSerializer

DAYS = 365


def known(username: str) -> str:
    """The id of this browser, if somebody has logged in with it under this name; else ""."""
    try:
        device = _serializer(username).loads(request.cookies.get(_cookie(username), ""), max_age=DAYS * 86400)
    except BadData:
        return ""
    return device if isinstance(device, str) else ""


def remember(response: Response, username: str) -> None:
    """Makes this browser known: to be called once the password was right."""
    value = _serializer(username).dumps(known(username) or secrets.token_hex(8))
    response.set_cookie(_cookie(username), str(value), max_age=DAYS * 86400, path=request.script_root or "/",
                        secure=request.is_secure, httponly=True, samesite="Lax")


def _serializer(username: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(_key(), salt=f"device:{username}")


def _key() -> str:
    return str(current_app.secret_key)


def _cookie(username: str) -> str:
    """One for each admin; it names neither them nor this program."""
    mark = f"{_key()}:{username}".encode(errors="replace")
    return f"d{hashlib.sha256(mark).hexdigest()[:8]}"
