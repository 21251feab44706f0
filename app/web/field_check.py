"""A field of the form of a user or a plan that is checked as it is left: by the rules that saving goes by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from flask import abort, render_template, url_for

from app.accounts.actor import Right
from app.config.schema import FieldSpec
from app.control.errors import Refused
from app.web.context import actor
from app.web.forms import RefusableForm

#: Fields that say one thing: when access ends, and where the secret of a new user is from. Of each, one counts.
CLOCKS, SECRETS = ("expires", "expires_after_days"), ("domain", "link")
BESIDE = {key: tuple(other for other in together if other != key) for together in (CLOCKS, SECRETS) for key in together}


def checked_at(endpoint: str, specs: Collection[FieldSpec], hints: Mapping[str, str],
               **values: Any) -> dict[str, object]:
    """What _field.html needs beside its form. endpoint: of the check; values: of its address."""
    return {"check": lambda key: url_for(endpoint, key=key, **values), "beside": BESIDE, "hints": hints,
            "specs": {spec.key: spec for spec in specs}, "typing": False}


def checked(form: RefusableForm, key: str, typed: Mapping[str, str], attempt: Callable[[Mapping[str, str]], None],
            shown: Mapping[str, object]) -> str:
    """The field as it was typed, with what is wrong with it.

    typed: what is new in the form; attempt: tries these changes, and raises Refused; shown: from checked_at().
    """
    actor().require(Right.USERS)
    if key not in form:
        abort(404)
    together = (key, *BESIDE.get(key, ()))
    changes = {name: typed[name] for name in together if name in typed}
    try:
        if changes:
            attempt(changes)
    except Refused as refusal:
        form.show(refusal)
    return render_template("_field.html", **{**shown, "form": form, "key": key, "typing": True}).strip()
