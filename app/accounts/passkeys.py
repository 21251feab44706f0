"""Passkeys (WebAuthn): made and asked for by the browser, checked here by Yubico's library. They are the second step
of a login, beside the codes of an app.

A browser offers them by HTTPS under a name, and on localhost; never at a bare address. One that was made under a name
works under that name only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.config.second_factors import Passkey
from app.config.values import is_ip

if TYPE_CHECKING:
    from fido2.server import Fido2Server

#: Passkeys of one admin.
MOST = 20
#: Bytes of a browser's answer.
LONGEST = 20_000

#: What has to be kept between question and answer: the challenge, and what was asked for.
State = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a browser has answered. host: the panel's name, as it was asked for; state: what was asked, None where
    nothing was, or for something else, or too long ago; text: JSON, as the browser gave it."""

    host: str
    state: State | None
    text: str = ""


def possible(host: str, secure: bool) -> bool:
    """Whether browsers offer passkeys here. host: without port, as it was asked for; secure: by HTTPS."""
    return host == "localhost" or (secure and "." in host and not is_ip(host.strip("[]")))


def id_of(passkey: Passkey) -> str:
    """What it is called in addresses and in the ledger."""
    return hashlib.sha256(passkey.credential.encode()).hexdigest()[:16]


def to_make(host: str, username: str, there: Sequence[Passkey]) -> tuple[State, State]:
    """(options for navigator.credentials.create(), what is kept until the answer). there: those that the admin has."""
    from fido2.webauthn import PublicKeyCredentialUserEntity

    # Whose it is on the device: the same for the same admin, and no name.
    handle = hashlib.sha256(f"passkey:{host}:{username}".encode()).digest()
    options, state = _server(host).register_begin(
        PublicKeyCredentialUserEntity(id=handle, name=username, display_name=username), _credentials(there, host))
    return dict(options)["publicKey"], state


def made(host: str, state: State, answer: str, name: str) -> Passkey | None:
    """The new passkey; None for an answer that is none to what was asked. answer: JSON, as the browser gave it."""
    from fido2.utils import websafe_encode

    try:
        data = _server(host).register_complete(state, _read(answer)).credential_data
    except _WRONG:
        return None
    return Passkey(name=name, host=host, credential=websafe_encode(data)) if data else None


def to_use(host: str, there: Sequence[Passkey]) -> tuple[State, State] | None:
    """(options for navigator.credentials.get(), what is kept until the answer); None if none is for this name."""
    found = _credentials(there, host)
    if not found:
        return None
    options, state = _server(host).authenticate_begin(found)
    return dict(options)["publicKey"], state


def used(host: str, state: State, answer: str, there: Sequence[Passkey]) -> Passkey | None:
    """Which passkey has signed what was asked; None for a wrong answer."""
    try:
        found = _server(host).authenticate_complete(state, _credentials(there, host), _read(answer))
    except _WRONG:
        return None
    return next((each for each in _of(there, host) if _decoded(each) == bytes(found)), None)


#: What a forged or damaged answer ends in, wherever the library finds out.
_WRONG = (ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError, RecursionError, OverflowError)


def _server(host: str) -> Fido2Server:
    from fido2.server import Fido2Server
    from fido2.webauthn import PublicKeyCredentialRpEntity

    def is_own(origin: str) -> bool:
        asked = urlsplit(origin)
        return asked.hostname == host and (asked.scheme == "https" or (asked.scheme == "http" and host == "localhost"))

    return Fido2Server(PublicKeyCredentialRpEntity(name=host, id=host), verify_origin=is_own)


def _read(answer: str) -> dict[str, Any]:
    read = json.loads(answer[:LONGEST])
    if not isinstance(read, dict):
        raise ValueError(answer[:20])
    return read


def _of(there: Sequence[Passkey], host: str) -> list[Passkey]:
    return [each for each in there if each.host == host]


def _decoded(passkey: Passkey) -> bytes:
    from fido2.utils import websafe_decode

    return websafe_decode(passkey.credential)


def _credentials(there: Sequence[Passkey], host: str) -> list[Any]:
    """Those for this name; one that a hand has damaged is none."""
    from fido2.webauthn import AttestedCredentialData

    found = []
    for each in _of(there, host):
        try:
            found.append(AttestedCredentialData(_decoded(each)))
        except _WRONG:
            continue
    return found
