"""What refused tries with the right key mean, in sentences for the operator."""

from __future__ import annotations

from datetime import datetime

from app.ledger.refusals import Refused

#: Of tries that are older than this nothing is said any more (seconds); they stay counted.
RECENT = 86400.0


def hints(refused: Refused | None, now: datetime) -> list[str]:
    """One sentence for each kind of refusal that happened lately. refused: None if its engine does not count."""
    if refused is None:
        return []

    def lately(count: int, at: float) -> str:
        """"7 tries with the right key", or "" if there was none lately."""
        if not count or now.timestamp() - at > RECENT:
            return ""
        last = datetime.fromtimestamp(at, now.tzinfo)
        return f"{count} {'try' if count == 1 else 'tries'} with the right key (the last on {last:%Y-%m-%d %H:%M}) "

    found = []
    if told := lately(refused.wrong_clock, refused.wrong_clock_at):
        way = "behind" if refused.clock_behind > 0 else "ahead of"
        found.append(f"{told}and a clock that is {abs(refused.clock_behind)} s {way} this server's: refused. Let that "
                     "device set its time by itself - or, if several people have this, set the time of this server")
    if told := lately(refused.no_sni, refused.no_sni_at):
        found.append(f"{told}but without the domain in the link: shown the cover site. An app or a link converter has "
                     "cut the secret: give the whole link again, and let them update the app")
    if told := lately(refused.other_sni, refused.other_sni_at):
        found.append(f"{told}but for another domain: shown the cover site. They use a link from before the domain was "
                     "changed: give them the link of today")
    return found
