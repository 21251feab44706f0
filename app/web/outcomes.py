"""What failed of a start, a stop or a restart, in words for the page that comes next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from app.control.outcome import Outcome
from app.messages.isolated import isolated
from app.web.language import gettext, in_words, ngettext

#: The words travel in the session's cookie, which a browser drops above 4 kB: they must stay few.
MOST, LONGEST = 3, 300


def failures(outcomes: Iterable[Outcome]) -> str:
    """Whose proxy failed, and why, for the first few; "" if nothing failed."""
    failed = [outcome for outcome in outcomes if not outcome.ok]
    told = [isolated(outcome.user or outcome.name) + ": "
            + textwrap.shorten(in_words(outcome.reason), LONGEST, placeholder=" …") for outcome in failed[:MOST]]
    if len(failed) > MOST:
        told.append(gettext("and %(count)s more", count=len(failed) - MOST))
    return ngettext("%(num)s failed.", "%(num)s failed.", len(failed)) + " " + "; ".join(told) if failed else ""
