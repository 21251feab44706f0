"""A field of the form of a user or a plan that is checked as it is left: by the rules that saving goes by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from flask import abort, render_template, url_for

from app.accounts.actor import Right
from app.config.schema import FieldSpec
from app.control.errors import Refused
from app.web.context import actor, the_config
from app.web.limit_choice import LimitsForm

#: Fields that say one thing: when access ends, and where the secret of a new user is from. Of each, one counts.
CLOCKS, SECRETS = ("expires", "expires_after_days"), ("domain", "link")
BESIDE = {key: tuple(other for other in together if other != key) for together in (CLOCKS, SECRETS) for key in together}
#: Fields whose default is another one with another plan.
OF_PLANS = ("limit_gb", "at_limit", "speed_mbps", "max_unique_ips", "reset_cycle", "expires")


def checked_at(endpoint: str, specs: Collection[FieldSpec], hints: Mapping[str, str],
               **values: Any) -> dict[str, object]:
    """What _field.html needs beside its form. endpoint: of the check; values: of its address.

    Days until access ends are asked for beside the date, if there is one.
    """
    keys = {spec.key: spec for spec in specs}
    of_plans = OF_PLANS if "plan" in keys else ()
    beside = {key: BESIDE.get(key, ()) + ("plan",) * (key in of_plans) for key in (*keys, "link")}
    return {"check": lambda key: url_for(endpoint, key=key, **values), "beside": beside, "hints": hints,
            "specs": {key: spec for key, spec in keys.items() if key != "expires_after_days" or "expires" not in keys},
            "typing": False}


def checked(form: LimitsForm, key: str, attempt: Callable[[Mapping[str, str]], None], shown: Mapping[str, Any],
            before: Mapping[str, str] | None = None) -> str:
    """The field as it was typed, with what is wrong with it.

    attempt: tries these changes, and raises Refused; shown: from checked_at(); before: what is declared of whom the
    form is about, None for somebody new.
    """
    actor().require(Right.USERS)
    if key not in form or key not in (*shown["specs"], "link"):
        abort(404)
    form.offer(the_config())
    seen = form.were_shown(before or {})
    changes = {name: text for name, text in form.typed().items()
               if name in (key, *BESIDE.get(key, ())) and (text != seen.get(name, "") or name == "name")}

    def tried() -> None:
        if changes:
            attempt(changes)

    try:
        if form.is_clear(tried):
            tried()
    except Refused as refusal:
        form.show(refusal)
    return render_template("_field.html", **{**shown, "form": form, "key": key, "typing": True}).strip()
