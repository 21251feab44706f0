"""Names among the words of a sentence: one that is written from right to left, or holds marks that turn text round,
turns nothing round but itself.

Whatever shows a line puts its words in the order of their letters' directions, so an Arabic name takes the number, the
dash or the bracket beside it to its other side. Between the isolate marks of Unicode (FSI, PDI) it stands by itself, as
in <bdi>, and in a title, a letter or a chat too, where there are no elements.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, TypeVar

FIRST_STRONG, END = "\u2068", "\u2069"
_ISOLATES = frozenset("\u2066\u2067\u2068")
#: Directions of letters, and of marks, that move what stands beside them.
_MOVE = frozenset(("R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI"))

T = TypeVar("T")


def isolated(value: T) -> T:
    """A text that may stand in any sentence; what is no text, and what moves nothing, is as it was."""
    if not isinstance(value, str) or value.isascii() or not any(unicodedata.bidirectional(c) in _MOVE for c in value):
        return value
    # A value may be a sentence with isolated names in it; what ends more than it began would end this one, too.
    within = value if _is_closed(value) else value.translate(dict.fromkeys(map(ord, (*_ISOLATES, END))))
    return type(value)(f"{FIRST_STRONG}{within}{END}")


def values_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a text, each isolated."""
    return {name: isolated(value) for name, value in values.items()}


def _is_closed(text: str) -> bool:
    depth = 0
    for character in text:
        depth += 1 if character in _ISOLATES else -1 if character == END else 0
        if depth < 0:
            return False
    return depth == 0
