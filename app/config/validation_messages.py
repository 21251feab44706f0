"""How a broken rule is told: field, value, what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from app.messages import Coded, Problem, text
from app.mtproto.secret import SecretError

#: Fields whose value is never repeated in a message.
_HIDDEN = {"secret", "password_hash", "admin_password_hash", "_initial_password", "secret_key", "totp_secret",
           "recovery_codes", "upstream_socks5", "share_token"}


def problem(error: Any, data: Any, models: Mapping[str, type[BaseModel]]) -> Problem:
    """One pydantic error as a problem: where ("config.at") and what, for a field of the whole about that field.

    data: what was being read. models: the model of the whole under "", and of the entries of each list under its name.
    """
    path, model, rule, node = "", models[""], "", data
    for step in error["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
            name = node[step].get("name") if isinstance(node, list) and isinstance(node[step], dict) else None
            path += f" ({name!r})" if name else ""
        else:
            path += f".{step}" if path else str(step)
            info = next((f for n, f in model.model_fields.items() if step in (n, f.alias)), None)
            rule = info.description if info and info.description else ""
            model = models.get(str(step), model)
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            node = None
    allowed = Problem(rule) if rule else ""
    if error["type"] == "missing":
        return Problem("config.missing", {"path": path, "rule": allowed})
    cause = error.get("ctx", {}).get("error")
    told = cause.problem if isinstance(cause, Coded) else None
    if not error["loc"]:
        return told or text(cause or error["msg"])
    if told is None or not (isinstance(cause, SecretError) or told.code == "config.unknown_field"):
        told = Problem("config.hidden_value", {"rule": allowed}) if error["loc"][-1] in _HIDDEN else \
            Problem("config.value", {"value": _short(error["input"]), "rule": allowed})
    return Problem("config.at", {"path": path, "problem": told}, _field(error["loc"]))


def _field(loc: tuple[Any, ...]) -> str:
    """The setting, if it is one or an entry of its list."""
    return str(loc[0]) if all(isinstance(step, int) for step in loc[1:]) else ""


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:79] + "…"


def kind_of(data: Any) -> Problem:
    """What the file holds in place of an object."""
    codes = {list: "json.list", str: "json.text", bool: "json.flag", type(None): "json.null"}
    return Problem(codes.get(type(data), "json.number"))
