"""What refused tries with the right key mean, for the operator."""

from __future__ import annotations

from datetime import datetime

from app.ledger.refusals import Refused
from app.messages import Problem

#: Of tries that are older than this nothing is said any more (seconds); they stay counted.
RECENT = 86400.0


def hints(refused: Refused | None, now: datetime) -> list[Problem]:
    """One for each kind of refusal that happened lately. refused: None if its engine does not count."""
    if refused is None:
        return []
    off = Problem("clock.behind" if refused.clock_behind > 0 else "clock.ahead",
                  {"seconds": abs(refused.clock_behind)})
    kinds: list[tuple[str, int, float, dict[str, object]]] = [
        ("hint.wrong_clock", refused.wrong_clock, refused.wrong_clock_at, {"off": off}),
        ("hint.no_sni", refused.no_sni, refused.no_sni_at, {}),
        ("hint.other_sni", refused.other_sni, refused.other_sni_at, {})]
    return [Problem(code, {"count": count, "last": datetime.fromtimestamp(int(at), now.tzinfo).isoformat(), **more})
            for code, count, at, more in kinds if count and now.timestamp() - at <= RECENT]
