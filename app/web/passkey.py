"""What a browser is asked about passkeys, kept in its session until it has answered, once, for what it was asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flask import request, session

from app.accounts import passkeys
from app.config.second_factors import Passkey
from app.web.context import now
from app.web.hosts import name_of

#: Seconds for an answer.
PATIENCE = 300


def host() -> str:
    """The name that the panel was asked for by."""
    return name_of(request.host)


def possible() -> bool:
    """Whether browsers offer passkeys on the page that is answering."""
    return passkeys.possible(host(), request.is_secure)


def ask_to_use(there: Sequence[Passkey], purpose: str) -> str | None:
    """The question, as JSON; None where there is none to ask. purpose: the endpoint that is to be sent the answer."""
    question = passkeys.to_use(host(), there) if there and possible() else None
    return keep(purpose, *question) if question else None


def may_prove(there: Sequence[Passkey]) -> bool:
    """Whether one of these is for this name, and can be asked for here."""
    return possible() and any(each.host == host() for each in there)


def keep(purpose: str, options: dict[str, Any], state: passkeys.State) -> str:
    """Remembers what was asked, and returns it as JSON. purpose: the endpoint that is to be sent the answer."""
    session["passkey"] = [purpose, int(now()), state]
    return json.dumps(options)


def answer(field: str) -> passkeys.Answer:
    """What was sent in this field of a form, with what was asked for the endpoint that answers now."""
    return passkeys.Answer(host(), asked(str(request.endpoint)), request.form.get(field, ""))


def proof(code: str) -> str | passkeys.Answer:
    """What a form was sent to prove who sends it: a passkey's answer (templates/account/_proof.html), or this code."""
    return answer("answer") if request.form.get("answer") else code


def asked(what: str) -> passkeys.State | None:
    """What was asked, if it was not too long ago; it is asked no more."""
    kept = session.pop("passkey", None)
    if not isinstance(kept, list) or len(kept) != 3 or kept[0] != what or not 0 <= now() - kept[1] < PATIENCE:
        return None
    state: passkeys.State = kept[2]
    return state
