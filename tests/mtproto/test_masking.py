"""Secrets are hidden in whatever form others have written them, and the rest of a line stays."""

from __future__ import annotations

import base64
import json

import pytest

from app.mtproto.links import tg_link, tme_link
from app.mtproto.masking import mask
from app.mtproto.secret import FAKETLS, PADDED, PLAIN, Secret

KEY = bytes(range(0xA0, 0xB0))
SECRETS = [Secret(FAKETLS, KEY, "www.example.com"), Secret(PADDED, KEY), Secret(PLAIN, KEY)]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret.kind)
def test_no_form_of_a_secret_is_left(secret: Secret) -> None:
    raw = bytes.fromhex(secret.hex)
    standard, url_safe = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode().rstrip("=")
    written = [tg_link("203.0.113.7", 443, secret), tme_link("203.0.113.7", 443, secret), f'secret = "{secret.hex}"',
               json.dumps({"secret": url_safe}), f"?secret={standard}", f"SECRET: {secret.hex}", f"key={KEY.hex()}",
               f"ee{KEY.hex().upper()}7777", f"user=a1b2c3d4e5f6 {KEY.hex()}, and more", f"secret%3D{secret.hex}&x"]
    written += [url_safe, standard] if secret.kind != PLAIN else []
    for text in written:
        hidden = mask(f"INFO telemt: {text} end")
        assert KEY.hex() not in hidden.lower() and url_safe not in hidden and standard not in hidden, text
        assert hidden.startswith("INFO telemt: ") and hidden.endswith("end") and "…" in hidden


def test_what_is_no_secret_stays() -> None:
    for line in (
        '2026-11-28T00:28:00.541573Z  WARN telemt::proxy::client: IP limit exceeded user=a1b2c3d4e5f6 ip=2001:db8::1',
        'config reload: users secret changed: [a1b2c3d4e5f6, 0a1b2c3d4e5f]',
        '{"level":"warn","timestamp":1795849200000,"logger":"proxy","message":"Telegram is not reachable"}',
        "DC 2 can't be reached; TLS domain: 7heaven-and-more-and-much-more.example.org", "",
    ):
        assert mask(line) == line
