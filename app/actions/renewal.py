"""Proxies whose image is an old one by now: replaced one after the other, and no further than the first that fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from app.accounts.actor import Actor, Right
from app.control import views
from app.control.errors import Refused, refusing
from app.control.outcome import Outcome
from app.control.probing import try_link
from app.control.system import System
from app.messages import Problem, sentence
from app.mtproto.probe import ProbeError
from app.runtimes.base import RUNNING, Observed

log = logging.getLogger(__name__)


def outdated(system: System) -> list[Observed]:
    """The proxies that run, and were made from another image than has the name now."""
    with refusing():
        return [o for o in system.runtime.observe() if o.outdated and o.state == RUNNING]


def renew(system: System, actor: Actor) -> Iterator[Outcome]:
    """Replace them, each when the one before is done; their users' connections are made anew once.

    A replacement that does not start, or does not lead to Telegram while the one before it did, is the last one:
    all further ones stay as they are. Raises Refused when the runtime does not answer.
    """
    actor.require(Right.SUDO)
    return _renew(system, str(actor))


def _renew(system: System, actor: str) -> Iterator[Outcome]:
    waiting = outdated(system)
    if waiting:
        system.ledger.events.record(actor, "proxies.renewing", "",
                                    Problem("event.of_old_image", {"count": len(waiting)}))
    for old in waiting:
        worked = not _trouble(system, old.user_id)
        with refusing():
            outcomes = system.reconciler.renew(system.declaration.last_good, old.name)
        for outcome in (each for each in outcomes if each.name == old.name):
            why = outcome.reason
            if outcome.ok and worked and (trouble := _trouble(system, old.user_id)):
                why = Problem("renewal.no_longer", {"reason": trouble})
            system.ledger.events.record(actor, "proxy.not_renewed" if why else "proxy.renewed", outcome.user,
                                        why or Problem("event.of_new_image"), users=[old.user_id])
            yield Outcome(outcome.action, outcome.name, outcome.user, not why, why, outcome.seconds)
            if why:
                return


def _trouble(system: System, user_id: str) -> Problem | None:
    """Why the user's link does not lead to Telegram, None if it does."""
    try:
        try_link(system, views.user(system, user_id))
    except (ProbeError, Refused) as error:
        return error.problem
    return None


class Renewal:
    """The same beside the panel's pages, which do not wait for it."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._under_way = threading.Lock()

    @property
    def running(self) -> bool:
        return self._under_way.locked()

    def begin(self, actor: Actor) -> bool:
        """Whether it begins now; not if it is under way."""
        actor.require(Right.SUDO)
        if not self._under_way.acquire(blocking=False):
            return False
        threading.Thread(target=self._run, args=(actor,), name="renewal", daemon=True).start()
        return True

    def _run(self, actor: Actor) -> None:
        try:
            for outcome in renew(self._system, actor):
                log.info("%s: %s", outcome.name, sentence(outcome.reason) if outcome.reason else "replaced")
        except Refused as refused:
            log.warning("proxies are not replaced any further: %s", refused)
        finally:
            self._under_way.release()
