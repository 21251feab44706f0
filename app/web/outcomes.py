"""What failed of a start, a stop or a restart, in words for the page that comes next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from app.control.outcome import Outcome
from app.messages import sentence

#: The words travel in the session's cookie, which a browser drops above 4 kB: they must stay few.
MOST, LONGEST = 3, 300


def failures(outcomes: Iterable[Outcome]) -> str:
    """Whose proxy failed, and why, for the first few; "" if nothing failed."""
    failed = [outcome for outcome in outcomes if not outcome.ok]
    told = [f"{outcome.user or outcome.name}: {textwrap.shorten(sentence(outcome.reason), LONGEST, placeholder=' …')}"
            for outcome in failed[:MOST]]
    if len(failed) > MOST:
        told.append(f"and {len(failed) - MOST} more")
    return f"{len(failed)} failed. " + "; ".join(told) if failed else ""
