"""The edge, beside the workloads: has it serve what is declared, with a back-off and a problem of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.config.model import Config
from app.control.backoff import BackOff
from app.control.desired import Desired
from app.control.outcome import Outcome
from app.control.port443 import Port443
from app.edge.base import EdgeConfig, EdgeFailure
from app.ledger.ledger import Ledger
from app.lib.clock import Clock
from app.messages import Problem, together
from app.runtimes.base import RuntimeFailure

#: Seconds at most until nginx is tried again: what hinders it may be a file of the operator's, who mends it.
LONGEST_PAUSE = 60.0

#: The row in which the ledger keeps its problem, whichever router it has.
NGINX = "nginx"

#: What is done to it, in its outcomes.
SERVE = "serve"


@dataclass
class EdgeReconciler:
    """clock: Unix seconds. has_served: whether it serves what this process told it."""

    ledger: Ledger
    port443: Port443
    clock: Clock
    has_served: bool = False
    backoff: BackOff = field(init=False)

    def __post_init__(self) -> None:
        self.backoff = BackOff(lambda: self.clock(), LONGEST_PAUSE)

    @property
    def failing(self) -> bool:
        """Whether it could not be told the last time that it was to be: it leads where it did before."""
        return NGINX in self.backoff.failures

    def reconcile(self, config: Config, wanted: Desired, respect_backoff: bool) -> list[Outcome]:
        """Have it serve this; no outcome if it does already. respect_backoff: as in Reconciler.reconcile."""
        site = self._site(config, wanted)
        spec = repr(site)
        if self.port443.edge is not None and respect_backoff and self.backoff.resting(NGINX, spec):
            return []
        began = time.monotonic()
        try:
            changed = self._apply(site)
        except (EdgeFailure, RuntimeFailure) as failure:
            self.backoff.failed(NGINX, spec)
            reason = together(failure.problems)
            self._note(reason)
            return [Outcome(SERVE, _culprit(reason), "", False, reason, time.monotonic() - began)]
        self.backoff.succeeded(NGINX)
        self.has_served = self.port443.edge is not None
        self._note(None)
        name = self.port443.edge.name if self.port443.edge else NGINX
        return [Outcome(SERVE, name, "", True, None, time.monotonic() - began)] if changed else []

    def serve(self, config: Config, wanted: Desired) -> None:
        """Have it serve this now. Raises EdgeFailure, RuntimeFailure: whoever asks decides what follows."""
        self._apply(self._site(config, wanted))

    def _site(self, config: Config, wanted: Desired) -> EdgeConfig:
        site = self.port443.site(config, wanted.routes, datetime.fromtimestamp(self.clock()).astimezone())
        return replace(site, device_limits=wanted.edge_devices)

    def _apply(self, site: EdgeConfig) -> bool:
        return self.port443.edge.apply(site) if self.port443.edge else False

    def _note(self, reason: Problem | None) -> None:
        """What hinders it is a problem until it serves what it should."""
        with self.ledger.database.best_effort("a problem of nginx"):
            if reason and self.ledger.workloads.set_problem(NGINX, reason):
                culprit = _culprit(reason)
                action = "nginx.failed" if culprit == NGINX else "traefik.failed"
                self.ledger.events.record("panel", action, culprit, reason)
            elif not reason and NGINX in self.ledger.workloads.problems():
                self.ledger.workloads.clear_problem(NGINX)


def _culprit(reason: Problem | None) -> str:
    """Who of the two could not do it: Traefik says so by codes of its own."""
    return "traefik" if reason and reason.code.startswith("traefik.") else NGINX
