"""How a broken rule is told: field, value, what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from app.mtproto.secret import SecretError

#: Fields whose value is never repeated in a message.
_HIDDEN = {"secret", "password_hash", "admin_password_hash", "_initial_password", "secret_key",
           "upstream_socks5"}


def sentence(error: Any, data: Any, models: Mapping[str, type[BaseModel]]) -> str:
    """One pydantic error as a sentence. data: what was being read.

    models: the model of the whole under "", and of the entries of each list under its name.
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
    if error["type"] == "missing":
        return f"{path} is missing; allowed: {rule}"
    cause = error.get("ctx", {}).get("error")
    if not error["loc"] or (cause and str(cause).startswith("unknown field")):
        return f"{path}: {cause}" if path else str(cause or error["msg"])
    hidden = error["loc"][-1] in _HIDDEN
    value = "this value" if hidden else _short(error["input"])
    if isinstance(cause, SecretError):
        return f"{path}: {cause}"
    return f"{path}: {value} is not allowed; allowed: {rule}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def kind_of(data: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(data), "a number")
