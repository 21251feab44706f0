"""What is done now and then, and after every change: one reconcile, one sample, one look."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.control import periods
from app.control.errors import Refused, refusing
from app.control.outcome import Outcome
from app.control.probing import tried
from app.control.served import standing
from app.control.system import System
from app.messages import Problem


def reconcile(system: System, respect_backoff: bool = False) -> list[Outcome]:
    """One pass now; see Reconciler.reconcile. Refused when the runtime itself does not answer."""
    with refusing():
        # First: other programs are to know of what was declared, whatever becomes of it here.
        system.mtproxy_export.follow_secrets()
        return system.reconciler.reconcile(system.declaration.read, respect_backoff)


def sample(system: System) -> None:
    """Read the counters of everything that runs into the ledger, and start the clocks of first uses."""
    with refusing():
        there = standing(system.runtime.observe())
        active = system.reconciler.sampler.sample(there, whole=True)
        system.connected.look(system.declaration.last_good(), there)
        system.sampled_at = time.monotonic()
        used = active - tried(system.ledger)
        periods.start_clocks(system.file, system.ledger, used, system.reconciler.now())


def carry_out_resets(system: System) -> None:
    """Reset whoever's reset cycle is due; the next reconcile lifts throttles and blocks."""
    with refusing():
        periods.carry_out_resets(system.ledger, system.declaration.last_good(), system.reconciler.now())


def forget_deleted(system: System) -> None:
    """Forget who was deleted long ago; not by a clock that is wrong, or was set a moment ago."""
    if system.clock.problem() or not system.ledger.latest.is_believed(system.reconciler.clock(),
                                                                      system.clock.is_right()):
        return
    with refusing():
        periods.forget_deleted(system.file, system.ledger, system.reconciler.now())


def note_time(system: System) -> None:
    """Note how far the clock has come."""
    with refusing():
        system.ledger.latest.look(system.reconciler.clock(), system.clock.is_right())


def end_debug_logs(system: System) -> None:
    """Note that the time of more detailed logs is over; the next reconcile lets the engines write the usual one."""
    with refusing():
        for engine in system.ledger.debug_logs.ended(system.reconciler.clock()):
            system.ledger.events.record("panel", "debug_log.ended", "", Problem("event.engine", {"engine": engine}))


def look_for_slow_proxies(system: System) -> None:
    """Note which proxies say that they send slower than they could."""
    with refusing():
        system.pacing.look(system.reconciler.clock())


def look_at_server(system: System) -> None:
    """Ask the DNS for the name in links, if the last answer is old: views.status tells what it said."""
    system.server.look(system.declaration.last_good())


def look_at_clock(system: System) -> None:
    """Ask other clocks for the time."""
    system.clock.look(system.declaration.last_good())


def renew_certificates(system: System, actor: str = "panel", force: bool = False) -> list[Outcome]:
    """Ask for the certificates that are due - all of them, with `force` - and let nginx serve them.

    actor: as in the audit log. Takes as long as the authority needs. Refused where nothing stands beside the
    panel that could ask.
    """
    with refusing():
        outcomes = system.certificate_reconciler.reconcile(system.declaration.last_good(), system.reconciler.now(),
                                                           actor, force)
    if any(outcome.ok for outcome in outcomes):
        attempt(lambda: reconcile(system))
    return outcomes


def attempt(step: Callable[[], object]) -> list[Problem]:
    """Do this; where it is refused, why. The monitor tries again."""
    try:
        step()
    except Refused as refused:
        return list(refused.problems)
    return []
