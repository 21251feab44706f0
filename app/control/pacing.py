"""Which proxies serve worse than they could, by what their engine finds in their log: an mtg that could not learn its
timing at its start sends slower."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.control.served import served, standing
from app.engines.base import Engine, serving
from app.ledger.ledger import Ledger
from app.messages import together
from app.rules.links import UserLink
from app.runtimes.base import RUNNING, Runtime

#: Seconds after a start until what it learned, or failed to, is in its log.
LEARNING = 60.0
#: Seconds between two looks at a slow one, which may have learned since.
AGAIN = 60.0
_LINES = 200


@dataclass
class PacingCheck:
    """Looks at each run once, and again only at slow ones. by_name: as in served(). looked: by run id."""

    runtime: Runtime
    engines: Mapping[str, Engine]
    ledger: Ledger
    by_name: Callable[[], Mapping[str, UserLink]]
    looked: dict[str, float] = field(default_factory=dict)

    def look(self, now: float) -> None:
        """Read what is due, and note it. now: Unix seconds. Raises RuntimeFailure."""
        slow = self.ledger.workloads.slow()
        running = {o.run_id: o for o in standing(self.runtime.observe()) if o.state == RUNNING}
        links = served(running.values(), self.by_name)
        self.looked = {run_id: at for run_id, at in self.looked.items() if run_id in running}
        for run_id, observed in running.items():
            was_slow = any((link, run_id) in slow for link in links[run_id])
            again = now - self.looked[run_id] >= AGAIN and was_slow if run_id in self.looked else True
            if not again or now - observed.started_at < LEARNING:
                continue
            engine = serving(observed, self.engines)
            reason = together(engine.findings(self.runtime.logs(observed.name, _LINES), observed.started_at, now)
                             if engine else ())
            self.looked[run_id] = now
            for link in links[run_id]:
                if reason != slow.get((link, run_id)):
                    self.ledger.workloads.set_slow(link, run_id, reason)
