"""How long to wait before the next try of what has failed."""

from __future__ import annotations


def pause(failures: int, first: float, longest: float) -> float:
    """Seconds after so many failures in a row: none after none, then `first`, doubled with each one, up to `longest`.

    The number may be any: what fails every few minutes has failed a thousand times after some days.
    """
    return min(first * 2.0 ** min(failures - 1, 100), longest) if failures > 0 else 0.0
