"""The text of config.json as JSON: what is read here can be written again, whatever it means."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from app.config.invalid import InvalidValue

#: Far more than any field of ours has; Python's own bounds are found by a RecursionError, here or when saving.
DEEPEST = 20
LONGEST_NUMBER = 300


class NotJson(InvalidValue):
    """The text is not JSON, or JSON that can't be kept as it is. It says where or what."""


def parse(raw: bytes) -> Any:
    """The value that the text holds; a byte order mark is allowed. Raises NotJson.

    Refused is also what Python reads, but other programs do not or differently: NaN, the same field twice
    (the first would be lost), half a surrogate pair; and numbers and nesting beyond every use.
    """
    if not raw.strip():
        raise NotJson("json.empty")
    try:
        data = json.loads(raw, object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_whole,
                          parse_float=_number)
        _refuse_deep_or_unwritable(data)
        return data
    except json.JSONDecodeError as error:
        raise NotJson("json.syntax", line=error.lineno, column=error.colno, reason=error.msg) from None
    except UnicodeDecodeError:
        raise NotJson("json.not_utf8") from None
    except RecursionError:
        raise NotJson("json.deep", deepest=DEEPEST) from None


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise NotJson("json.twice", field=_short(key))
        found[key] = value
    return found


def _no_constant(word: str) -> Any:
    raise NotJson("json.no_number", word=word)


def _whole(digits: str) -> int:
    return int(_refuse_long(digits))


def _number(digits: str) -> float:
    number = float(_refuse_long(digits))
    if not math.isfinite(number):
        raise NotJson("json.large_number", digits=digits)
    return number


def _refuse_long(digits: str) -> str:
    if len(digits) > LONGEST_NUMBER:
        raise NotJson("json.long_number", digits=digits[:20], count=len(digits))
    return digits


def _refuse_deep_or_unwritable(data: Any) -> None:
    rest = [(data, 0)]
    while rest:
        node, depth = rest.pop()
        if isinstance(node, str):
            _refuse_unwritable(node)
        elif isinstance(node, (dict, list)):
            if depth >= DEEPEST:
                raise NotJson("json.deep", deepest=DEEPEST)
            for key in node if isinstance(node, dict) else ():
                _refuse_unwritable(key)
            rest += [(inner, depth + 1) for inner in (node.values() if isinstance(node, dict) else node)]


def _refuse_unwritable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotJson("json.half", text=_short(text), character=text[error.start]) from None


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else shown[:59] + "…"
