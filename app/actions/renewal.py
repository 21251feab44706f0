"""Proxies whose image is an old one by now: replaced one after the other, and no further than the first that fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from app.actions.fleet import Fleet
from app.control.errors import Refused, refusing
from app.control.probing import link_from_here, probe_link
from app.control.reconcile import Outcome
from app.mtproto.probe import ProbeError
from app.runtimes.base import RUNNING, Observed

log = logging.getLogger(__name__)


def outdated(fleet: Fleet) -> list[Observed]:
    """The proxies that run, and were made from another image than has the name now."""
    with refusing():
        return [o for o in fleet.runtime.observe() if o.outdated and o.state == RUNNING]


def renew(fleet: Fleet, actor: str) -> Iterator[Outcome]:
    """Replace them, each when the one before is done; their users' connections are made anew once.

    A replacement that does not start, or does not lead to Telegram while the one before it did, is the last one:
    all further ones stay as they are. Raises Refused when the runtime does not answer.
    """
    waiting = outdated(fleet)
    if waiting:
        fleet.ledger.events.record(actor, "proxies are replaced one by one", "", f"{len(waiting)} of an old image")
    for old in waiting:
        worked = not _trouble(fleet, old.user_id)
        with refusing():
            outcomes = fleet.reconciler.renew(fleet.config, old.name)
        for outcome in (each for each in outcomes if each.name == old.name):
            why = outcome.reason
            if outcome.ok and worked and (trouble := _trouble(fleet, old.user_id)):
                why = f"it led to Telegram before, and does not any more: {trouble}"
            fleet.ledger.events.record(actor, "replacing the proxy failed" if why else "proxy replaced", outcome.user,
                                       why or "by one of the new image")
            yield Outcome(outcome.action, outcome.name, outcome.user, not why, why, outcome.seconds)
            if why:
                return


def _trouble(fleet: Fleet, user_id: str) -> str:
    """Why the user's link does not lead to Telegram, "" if it does."""
    try:
        config = fleet.config()
        probe_link(link_from_here(fleet.user(user_id), config, fleet.port443.public_port), fleet.clock, config)
    except (ProbeError, Refused) as error:
        return str(error)
    return ""


class Renewal:
    """The same beside the panel's pages, which do not wait for it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._under_way = threading.Lock()

    @property
    def running(self) -> bool:
        return self._under_way.locked()

    def begin(self, actor: str) -> bool:
        """Whether it begins now; not if it is under way."""
        if not self._under_way.acquire(blocking=False):
            return False
        threading.Thread(target=self._run, args=(actor,), name="renewal", daemon=True).start()
        return True

    def _run(self, actor: str) -> None:
        try:
            for outcome in renew(self._fleet, actor):
                log.info("%s: %s", outcome.name, outcome.reason or "replaced")
        except Refused as refused:
            log.warning("proxies are not replaced any further: %s", refused)
        finally:
            self._under_way.release()
