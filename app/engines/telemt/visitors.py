"""Whom telemt turned away, by address: /beobachten beside its metrics (3.4.25), which the setting `bans` switches on.

Of each kind, a line "[kind]" and then "address-connections" for each. It forgets an address ten minutes after its last
connection. Only what is a TLS hello is an offence: everything else (HTTP, SSH, a port check) is a scanner's, who finds
the cover site and nothing more. telemt does not tell a wrong key from a wrong clock.
"""

from __future__ import annotations

from contextlib import suppress

from app.bans.offences import WRONG_KEY
from app.engines.base import Question, Visitors
from app.lib import portmap
from app.lib.place import place

QUESTION = Question(portmap.METRICS, "/beobachten", {})

_KINDS = {"TLS-scanner": WRONG_KEY}


def read(answer: str) -> Visitors:
    """See Engine.visitors()."""
    found: dict[tuple[str, str], int] = {}
    reason = None
    for line in answer.splitlines():
        if line.startswith("["):
            reason = _KINDS.get(line.strip("[] "))
        elif reason:
            address, _, count = line.strip().rpartition("-")
            with suppress(ValueError):
                key = (place(address), reason)
                found[key] = found.get(key, 0) + int(count)
    return Visitors(found)
