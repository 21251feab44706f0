"""Password hashes: what is made today, and every format that older installations left behind."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from werkzeug.security import check_password_hash, generate_password_hash

_METHOD = "scrypt:32768:8:1"
#: The first panel's own format: `<salt>:<hex>`, PBKDF2-HMAC-SHA256, 100,000 rounds, the salt taken as text.
_OLD_FORMAT = re.compile(r"^([^:$]+):([0-9a-f]{64})$")
_OLD_ROUNDS = 100_000


def hash_password(password: str) -> str:
    """A salted hash (scrypt) of a password, as text."""
    return generate_password_hash(password, method=_METHOD)


def verify_password(stored: str, password: str) -> tuple[bool, bool]:
    """(is it the password, should the hash be made anew) for any known format; (False, False) for others."""
    old = _OLD_FORMAT.match(stored)
    if old:
        salt, expected = old.groups()
        found = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), _OLD_ROUNDS).hex()
        right = hmac.compare_digest(found, expected)
        return right, right
    try:
        right = check_password_hash(stored, password)
    except ValueError:  # an unknown method, or parameters out of range
        return False, False
    return right, right and not stored.startswith(_METHOD + "$")


def new_password() -> str:
    """A random password of 16 characters (96 bits) that is safe to type and to paste."""
    return secrets.token_urlsafe(12)
