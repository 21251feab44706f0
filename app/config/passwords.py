"""Password hashes: what is made today, and every format that older installations left behind."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from werkzeug.security import check_password_hash, generate_password_hash

from app.messages import Problem

#: Level with PBKDF2-HMAC-SHA256 of 600,000 rounds (OWASP, "Password Storage Cheat Sheet"), at 32 MB a guess.
_METHOD = "scrypt:32768:8:3"
SHORTEST, FEWEST_KINDS = 8, 5
#: What a password is not to be, whatever digits and signs stand around it.
_COMMON = frozenset("password passwort passwd pass admin administrator root user login welcome letmein changeme secret "
                    "default qwerty qwertz azerty iloveyou monkey dragon sunshine princess football baseball master "
                    "superman batman trustno abc test proxy telegram mtproto parol пароль privet".split())
_RUNS = ("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm",
         "1qaz2wsx3edc", "1q2w3e4r5t6y", "йцукенгшщзхъ")
#: The first panel's own format: `<salt>:<hex>`, PBKDF2-HMAC-SHA256, 100,000 rounds, the salt taken as text.
_OLD_FORMAT = re.compile(r"^([^:$]+):([0-9a-f]{64})$")
_OLD_ROUNDS = 100_000


def hash_password(password: str) -> str:
    """A salted hash (scrypt) of a password, as text."""
    return generate_password_hash(password, method=_METHOD)


def weakness(password: str, username: str) -> Problem | None:
    """Why a password is too simple to be taken; None if it is not."""
    plain = password.casefold()
    letters = re.sub(r"[\W\d_]+", "", plain)
    if len(password) < SHORTEST:
        return Problem("password.short", {"count": len(password), "fewest": SHORTEST}, "password")
    if len(set(plain)) < FEWEST_KINDS:
        return Problem("password.few", {"count": len(set(plain)), "fewest": FEWEST_KINDS}, "password")
    if letters in _COMMON | {re.sub(r"[\W\d_]+", "", username.casefold())} or _is_run(plain):
        return Problem("password.common", field="password")
    return None


def _is_run(plain: str) -> bool:
    """Is it pieces of four and more of rows of keys, or of the alphabet, forwards or backwards, and little else?"""
    rest = plain
    for run in (*_RUNS, *(run[::-1] for run in _RUNS)):
        for length in range(len(run), 3, -1):
            for start in range(len(run) - length + 1):
                rest = rest.replace(run[start:start + length], "")
    return len(rest) < 4


def verify_among(stored: str | None, password: str, others: Iterable[str]) -> tuple[bool, bool]:
    """verify_password(), with the same work for every name: each way to hash that is in use among `others`, and
    today's, is gone once. stored: None for a name that nobody has."""
    found = False, False
    for method in sorted({_METHOD, *map(_method, others), *([] if stored is None else [_method(stored)])}):
        if stored is not None and method == _method(stored):
            found = verify_password(stored, password)
        else:
            verify_password(_nobody(method), password)
    return found


def _method(stored: str) -> str:
    return "" if _OLD_FORMAT.match(stored) else stored.partition("$")[0]


def _nobody(method: str) -> str:
    """A hash that is nobody's, and takes as long as those of this method."""
    return f"{'0' * 32}:{'0' * 64}" if method == "" else f"{method}${'0' * 16}${'0' * 64}"


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
