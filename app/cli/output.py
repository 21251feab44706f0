"""How things are laid out for people: tables of at most 80 columns, plain text."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.messages import sentence

if TYPE_CHECKING:
    from app.control.records import UserView

WIDTH = 80

#: How letters join: Persian names and emoji of several parts have them, and a terminal does nothing else with them.
_JOINERS = "\u200c\u200d"


def state_of(view: UserView) -> str:
    """The state of a user's proxy, with its reason."""
    return f"{view.state}: {sentence(view.reason)}" if view.reason else view.state


def limit(value: float, unit: str) -> str:
    return f"{value:g} {unit}" if value else "none"


def duration(seconds: float) -> str:
    """A length of time in its two or three largest units, as 2d 5h 32m; below a minute in seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"))
    return " ".join(f"{count}{unit}" for count, unit in parts if count) or f"{rest}s"


def plain(text: str) -> str:
    """The text with control characters shown instead of obeyed by the terminal."""
    return "".join(
        repr(letter)[1:-1] if unicodedata.category(letter) in ("Cc", "Cf") and letter not in _JOINERS else letter
        for letter in text
    )


def cells(text: str) -> int:
    """Columns that the text takes on a terminal."""
    return sum(
        0 if unicodedata.category(letter) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def shorten(text: str, width: int) -> str:
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[:-1]
    return text + "…"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), gives: int = 0) -> str:
    """Columns two spaces apart; one column gives way when the line would pass WIDTH.

    right: numbers of the columns that are aligned to the right. gives: the number of the one that gives way: none that
    has to be copied.
    """
    lines = [list(head)] + [[plain(cell) for cell in row] for row in rows]
    widths = [max(cells(line[column]) for line in lines) for column in range(len(head))]
    others = sum(widths) - widths[gives] + 2 * (len(head) - 1)
    widths[gives] = max(8, min(widths[gives], WIDTH - others))

    def lay(line: list[str]) -> str:
        parts = []
        for column, cell in enumerate(line):
            cell = shorten(cell, widths[column])
            gap = " " * (widths[column] - cells(cell))
            parts.append(gap + cell if column in right else cell + gap)
        return "  ".join(parts).rstrip()

    return "\n".join(lay(line) for line in lines)


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Name and value, one pair a line."""
    width = max(len(name) for name, _ in pairs)
    return "\n".join(f"{name:<{width}}  {plain(value)}".rstrip() for name, value in pairs)


def paragraph(text: str) -> str:
    """Running text, wrapped to WIDTH."""
    return textwrap.fill(plain(text), WIDTH, subsequent_indent="  ", break_long_words=False,
                         break_on_hyphens=False)  # paths and names stay whole
