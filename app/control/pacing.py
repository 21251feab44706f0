"""Which proxies send slower than they could. An engine that learns its timing at its start says so in its log."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.engines.base import Engine
from app.ledger.ledger import Ledger
from app.runtimes.base import RUNNING, Runtime

#: Seconds after a start until what it learned, or failed to, is in its log.
LEARNING = 60.0
#: Seconds between two looks at a slow one, which may have learned since.
AGAIN = 60.0
_LINES = 200


@dataclass
class PacingCheck:
    """Looks at each start once, and again only at slow ones."""

    runtime: Runtime
    engine: Engine
    ledger: Ledger
    looked: dict[tuple[str, str], float] = field(default_factory=dict)

    def look(self, now: float) -> None:
        """Read what is due, and note it. now: Unix seconds. Raises RuntimeFailure."""
        slow = self.ledger.workloads.slow()
        running = {(o.name, o.run_id): o for o in self.runtime.observe() if o.state == RUNNING}
        self.looked = {key: at for key, at in self.looked.items() if key in running}
        for key, observed in running.items():
            again = now - self.looked[key] >= AGAIN and key in slow if key in self.looked else True
            if not again or now - observed.started_at < LEARNING:
                continue
            reason = self.engine.slow(self.runtime.logs(observed.name, _LINES), observed.started_at, now)
            self.looked[key] = now
            if reason != slow.get(key, ""):
                self.ledger.workloads.set_slow(*key, reason)
