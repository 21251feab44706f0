"""Keeps Telegram's files for MTProxy new: got at once while there are none, else once a day, and only while somebody is
to be served by MTProxy."""

from __future__ import annotations

from app.checks.telegram_files import FetchFailure, fetch
from app.config.model import Config
from app.control import passes
from app.control.backoff import BackOff
from app.control.outcome import TELEGRAM_FILES
from app.control.system import System
from app.engines.base import engine_name
from app.engines.mtproxy.engine import MtproxyImage
from app.engines.mtproxy.telegram_files import NotTelegrams, Store
from app.messages import Problem

#: Seconds after which they are got anew, and the longest pause after failures.
EVERY, LONGEST_PAUSE = 24 * 3600.0, 6 * 3600.0
#: Seconds until it is worth a word that they can't be had anew: Telegram changes them seldom.
WORTH_A_WORD = 2 * EVERY
_DAY = 86_400.0


def store(system: System) -> Store | None:
    """Where they are kept; None where MTProxy can't be used."""
    engine = system.engines.get(MtproxyImage.name)
    return engine.telegram if isinstance(engine, MtproxyImage) else None


def is_used(system: System, config: Config) -> bool:
    """Whether somebody is to be served by MTProxy."""
    return any(engine_name(user, config, system.engines) == MtproxyImage.name for user in config.users)


class Renewal:
    """What the monitor does. Whether and why it failed stands in the ledger, for pages of other processes, too."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._backoff = BackOff(lambda: system.reconciler.clock(), LONGEST_PAUSE)

    def step(self) -> None:
        """Get them if they are due. Takes up to a minute. Where they say something else than before, the containers go
        by it after the next pass, which this asks for."""
        config, kept = self._system.declaration.last_good(), store(self._system)
        if not kept or not is_used(self._system, config):
            return
        there, source = kept.read(), f"{config.mtproxy_files_url} {config.upstream_socks5}"
        age = abs(self._system.reconciler.clock() - there.at) if there else EVERY
        if age < EVERY or self._backoff.resting(TELEGRAM_FILES, source):
            return
        try:
            renew(self._system)
        except (FetchFailure, NotTelegrams, OSError):
            self._backoff.failed(TELEGRAM_FILES, source)
        else:
            self._backoff.succeeded(TELEGRAM_FILES)


def renew(system: System) -> bool:
    """Get them now; whether they say something else than before. Raises FetchFailure, NotTelegrams, OSError."""
    kept = store(system)
    if kept is None:
        return False
    try:
        changed = kept.keep(*fetch(system.declaration.last_good()))
    except (FetchFailure, NotTelegrams) as failure:
        system.ledger.workloads.set_problem(TELEGRAM_FILES, failure.problem)
        raise
    except OSError as error:
        system.ledger.workloads.set_problem(TELEGRAM_FILES, Problem("mtproxy.files_unkept", {"reason": error}))
        raise
    taken_over(system, changed)
    return changed


def taken_over(system: System, changed: bool) -> None:
    """They are there and good; let the containers go by them."""
    system.ledger.workloads.clear_problem(TELEGRAM_FILES)
    if changed:
        system.ledger.events.record("panel", "mtproxy.files", "")
        passes.attempt(lambda: passes.reconcile(system))


def problem(system: System, config: Config) -> Problem | None:
    """What people should know of them; None if all is well, or nobody needs them."""
    kept = store(system)
    if not kept or not is_used(system, config):
        return None
    why, there = system.ledger.workloads.problems().get(TELEGRAM_FILES), kept.read()
    if why is None:
        return None
    if there is None:
        return Problem("mtproxy.files_missing", {"reason": why})
    age = system.reconciler.clock() - there.at
    if age < WORTH_A_WORD:
        return None
    return Problem("mtproxy.files_unchecked", {"days": int(age // _DAY), "reason": why})
