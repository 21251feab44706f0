"""The TOML that engines read."""

from __future__ import annotations

import json
from collections.abc import Mapping


def render(tables: Mapping[str, Mapping[str, object]]) -> str:
    """TOML text of tables by their dotted name, "" for the top level.

    Values are str, bool, int, mappings and lists of those; keys and names stand as they are.
    """
    blocks = []
    for name in sorted(tables):
        header = [f"[{name}]"] if name else []
        blocks.append("\n".join(header + [f"{key} = {_value(v)}" for key, v in tables[name].items()]))
    return "\n\n".join(blocks) + "\n"


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    # JSON's spelling of these is TOML's too, but for one character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
