"""Strangers: where the proxies pass them on to, looked at again and again, and how many nginx turned away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from app.checks.addresses import LookupFailed
from app.config.model import Config
from app.control import passes
from app.control.system import System
from app.edge.base import EdgeFailure
from app.engines.base import engine_name
from app.ledger.ledger import Ledger
from app.messages import Problem
from app.rules import domains
from app.runtimes.base import RuntimeFailure

#: Seconds between two looks: the DNS may say something else at any time, and each name costs a question.
NAMES_AGAIN, COUNT_AGAIN = 600.0, 60.0

#: Look-ups at the same time.
_LOOK_UPS = 8

#: Turned away connections in a day from which on it is told.
WORTH_TELLING = 100


class Watch:
    """What the monitor looks at now and then. Asks DNS: for a thread of its own."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._named = self._counted = float("-inf")

    def look(self) -> None:
        """Look at what is due; what has changed is applied. Raises Refused."""
        now = self._system.reconciler.clock()
        if not 0 <= now - self._counted < COUNT_AGAIN:
            self._counted = now
            self._count(now)
        if not 0 <= now - self._named < NAMES_AGAIN:
            self._named = now
            self.look_at_names()

    def look_at_names(self) -> None:
        """Close the covers that lead here or inside, and open those that no longer do."""
        system, config = self._system, self._system.declaration.last_good()
        # The built-in engine looks by itself before it connects.
        if not system.port443.addresses or {
                *system.ledger.placements.engines().values(),
                *(engine_name(user, config, system.engines) for user in config.users)} <= {"builtin"}:
            return
        known = system.ledger.strangers.closed_covers()
        theirs = dict(domains.owners(config, system.reconciler.now()))

        def unfit(domain: str) -> Problem | None:
            try:
                return system.port443.unfit_cover(config, domain)
            except LookupFailed:
                return known.get(domain)  # no answer is no news

        with ThreadPoolExecutor(_LOOK_UPS) as pool:
            found = dict(zip(theirs, pool.map(unfit, theirs), strict=True))
        changed = {domain: found.get(domain) for domain in found.keys() | known.keys()
                   if found.get(domain) != known.get(domain)}
        for domain, why in changed.items():
            system.ledger.strangers.set_cover(domain, why)
            if domain in theirs:
                what = "strangers.refused" if why else "strangers.passed_on"
                system.ledger.events.record("panel", what, theirs[domain].name,
                                           Problem("event.cover", {"domain": domain, "reason": why}) if why else domain,
                                           users=[theirs[domain].id])
        if changed:
            passes.reconcile(system)

    def _count(self, now: float) -> None:
        edge = self._system.port443.edge
        try:
            count = edge.turned_away() if edge else 0
        except (EdgeFailure, RuntimeFailure):
            return  # nginx's troubles are told elsewhere
        if count:
            self._system.ledger.strangers.add_turned_away(count, now)


def problems(ledger: Ledger, config: Config, now: datetime) -> list[Problem]:
    """What a person should look at."""
    closed = ledger.strangers.closed_covers()
    names = {domain: user.name for domain, user in domains.owners(config, now)} if closed else {}
    told = [Problem("cover.closed", {"name": names[domain], "domain": domain, "reason": why})
            for domain, why in closed.items() if domain in names]
    if (count := ledger.strangers.turned_away(now.timestamp())) >= WORTH_TELLING:
        told.append(Problem("port443.turned_away", {
            "count": count, "most": config.nginx_connections_per_address}))
    return told
