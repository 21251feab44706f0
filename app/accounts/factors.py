"""Second factors: codes of an app (TOTP, RFC 6238) and recovery codes. Sessions and limits are those of logins."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import unicodedata
from urllib.parse import quote

from app.config.file import ConfigFile
from app.config.model import Config
from app.config.second_factors import SecondFactors

#: Seconds that a code is shown. One before and one after count, too: clocks differ, and people type.
STEP = 30
DIGITS = 6
#: Recovery codes that are made at a time, and their length: 80 bits, so that a plain hash is enough.
CODES, LENGTH = 10, 16


def of(config: Config, username: str) -> SecondFactors | None:
    """What this admin has set up; None where the password is enough. The panel writes no record without an app's
    secret. Where a hand has left one, what is in it is asked for, be it nothing: who can't answer that is helped by
    the command, and no password alone opens what was closed. Otherwise the last recovery code would open it."""
    own = [each for each in config.second_factors if each.username == username]
    return next((each for each in own if each.totp_secret), own[0] if own else None)


def new_secret() -> str:
    """A random secret of 160 bits, in base32."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def address(secret: str, username: str, host: str) -> str:
    """What an app reads from the QR code: otpauth://totp/… (Google's "Key Uri Format"). host: where the panel is."""
    label = quote(f"{host}:{username}", safe="")
    return (f"otpauth://totp/{label}?secret={secret}&issuer={quote(host, safe='')}"
            f"&algorithm=SHA1&digits={DIGITS}&period={STEP}")


def is_secret(text: str) -> bool:
    """Whether it is one of new_secret()."""
    return re.fullmatch(r"[A-Z2-7]{32}", text) is not None


def typed(text: str) -> str:
    """A code without what people type around it: spaces, hyphens, capitals, digits of another script."""
    return "".join(str(unicodedata.digit(sign, sign)) for sign in text if sign.isalnum()).lower()[:64]


def step_of(secret: str, code: str, now: float) -> int | None:
    """The number of the 30 seconds that this code belongs to, of those that count at `now` (Unix seconds)."""
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

    # Of no secret, anybody could work out the codes.
    if not is_secret(secret) or len(code) != DIGITS or not code.isascii() or not code.isdigit():
        return None
    totp = TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP)  # as every app has it
    today = int(now) // STEP
    found = [step for step in (today - 1, today, today + 1) if hmac.compare_digest(
        totp.generate(step * STEP), code.encode())]
    return found[0] if found else None


def new_codes() -> list[str]:
    """Recovery codes as they are shown, once."""
    made = (base64.b32encode(secrets.token_bytes(LENGTH * 5 // 8)).decode().lower() for _ in range(CODES))
    return ["-".join(code[start:start + 4] for start in range(0, LENGTH, 4)) for code in made]


def hashed(code: str) -> str:
    """How a recovery code is kept."""
    return hashlib.sha256(f"recovery:{typed(code)}".encode()).hexdigest()


def use_recovery(file: ConfigFile, username: str, code: str) -> bool:
    """Take this recovery code from those that are left; False if it is none of them. Two at a time: one gets it."""
    wanted = hashed(code)
    with file.edit() as config:
        own = of(config, username)
        if own is None or wanted not in own.recovery_codes:
            return False
        own.recovery_codes = [each for each in own.recovery_codes if each != wanted]
    return True


def put(config: Config, username: str, totp_secret: str, codes: list[str]) -> None:
    """Set these up in place of what was; passkeys stay."""
    there = of(config, username)
    forget(config, username)
    config.second_factors.append(SecondFactors(username=username, totp_secret=totp_secret,
                                               recovery_codes=[hashed(code) for code in codes],
                                               passkeys=there.passkeys if there else []))


def forget(config: Config, username: str) -> None:
    """The password is enough from now on, and whoever is called so later inherits nothing."""
    config.second_factors = [each for each in config.second_factors if each.username != username]
