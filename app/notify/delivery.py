"""Sends what waits, each box in a thread of its own: one that hangs or fails holds up nobody else."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time

from app.accounts.actor import Actor, Right
from app.checks.server import server_address
from app.config.channels import Channel
from app.config.model import Config
from app.control.errors import Refused
from app.control.system import System
from app.ledger.letters import Letter
from app.lib.backoff import pause
from app.lib.clock import STEADY, Clock, Settled
from app.lib.zone import server_zone
from app.messages import Problem, text
from app.notify import words
from app.notify.message import SendFailed
from app.notify.senders import boxes, by_box, sender
from app.rules.channels import find, missing

log = logging.getLogger(__name__)

#: Seconds after the first failure, doubled with each further one, up to LONGEST.
FIRST, LONGEST = 30.0, 3600.0
#: Failures in a row after which people are told: a network is away for a moment now and then.
TOLD_AFTER = 3


class Delivery:
    """clock: steady."""

    def __init__(self, system: System, clock: Clock = STEADY) -> None:
        self._system, self._clock = system, clock
        self._settled = Settled(lambda: system.reconciler.clock(), clock)
        self._threads: dict[str, threading.Thread] = {}
        self._next: dict[str, tuple[float, int, str]] = {}      # when, after how many failures, of which channel

    def round(self) -> None:
        """Begin to send whatever is due. Returns at once. Raises sqlite3.OperationalError."""
        config, ledger = self._system.declaration.last_good(), self._system.ledger
        known, now = by_box(config), self._clock()
        bots = [f"{channel.id}/bot" for channel in known.values()]
        # By a clock that has just been set, everything may seem to be old.
        ledger.letters.keep_boxes([*known, *bots], self._system.reconciler.clock() if self._settled() else 0.0)
        states = ledger.letters.states()
        for box in ledger.letters.boxes_with_letters():
            if box in self._threads and self._threads[box].is_alive():
                continue  # it has an end of its own: see line
            due, _, of = self._next.get(box, (0.0, 0, ""))
            # A channel that was changed is tried at once, and one by which a test has arrived.
            if due <= now or of != _stamp(known[box], config) or box not in states:
                thread = threading.Thread(target=self._carry, args=(box, known[box], config), name=f"notify {box}",
                                          daemon=True)
                self._threads[box] = thread
                thread.start()

    def wait(self, seconds: float) -> None:
        """Until all that were begun have ended, or so long."""
        until = time.monotonic() + seconds
        for thread in list(self._threads.values()):
            thread.join(max(0.0, until - time.monotonic()))

    def _carry(self, box: str, channel: Channel, config: Config) -> None:
        try:
            self._try(box, channel, config)
        except (sqlite3.OperationalError, Refused) as error:
            log.warning("a notification for %s: %s", channel.name, error)
        except Exception as error:
            # Whatever it is, it is this channel's alone.
            log.exception("a notification for %s failed", channel.name)
            self._failed(box, channel, text(type(error).__name__), 0.0)

    def _try(self, box: str, channel: Channel, config: Config) -> None:
        ledger = self._system.ledger
        letters = ledger.letters.waiting(box)
        if not letters:
            return
        state = ledger.letters.states().get(box)
        try:
            sender(channel, box, config).send(words.message(
                letters, channel.language, name_of(config), self._system.reconciler.clock(), server_zone(),
                state.lost if state else 0))
        except SendFailed as failure:
            self._failed(box, channel, failure.problem, failure.retry_after, config=config)
            return
        ledger.letters.delivered(box, letters[-1].id)
        self._next.pop(box, None)
        if state and state.told:
            ledger.events.record("panel", "channel.works", channel.name)

    def _failed(self, box: str, channel: Channel, problem: Problem, after: float, config: Config | None = None) -> None:
        failures = self._next.get(box, (0.0, 0, ""))[1] + 1
        wait = max(after, pause(failures, FIRST, LONGEST))
        self._next[box] = (self._clock() + wait, failures,
                           _stamp(channel, config or self._system.declaration.last_good()))
        ledger = self._system.ledger
        with ledger.database.best_effort("a failed notification"):
            if ledger.letters.failed(box, problem, self._system.reconciler.clock(), TOLD_AFTER):
                ledger.events.record("panel", "channel.failed", channel.name, problem)


def send_test(system: System, actor: Actor, ref: str) -> str:
    """Send a test by this channel now, to every address of it; its name. Raises Refused with why it did not arrive."""
    actor.require(Right.SUDO)
    config = system.declaration.last_good()
    channel = find(config, ref)
    Refused.raise_all([Refused(problem) for problem in missing(channel)])
    now, failures = system.reconciler.clock(), []
    for box in boxes(channel):
        letter = Letter(box, "test", Problem("notice.test", {"name": channel.name}), now)
        try:
            sender(channel, box, config).send(
                words.message([letter], channel.language, name_of(config), now, server_zone()))
        except SendFailed as failure:
            failures.append(Refused(failure.problem))
        else:
            with system.ledger.database.best_effort("a test that has arrived"):
                system.ledger.letters.delivered(box)
    Refused.raise_all(failures)
    return channel.name


def name_of(config: Config) -> str:
    """What this installation is called: people may have several."""
    return config.panel_domain or server_address(config)[0]


def _stamp(channel: Channel, config: Config) -> str:
    return f"{hash(channel.model_dump_json())} {hash(config.upstream_socks5)}"
