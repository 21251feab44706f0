"""Start, stop and restart of all proxies beside the panel's pages, which do not wait for it but tell how far it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.accounts.actor import Actor, Right
from app.actions import proxies
from app.control.outcome import Outcome
from app.control.system import System
from app.messages import Problem, text
from app.messages.errors import Coded

log = logging.getLogger(__name__)

#: What can be done to all of them.
ACTIONS: Mapping[str, Callable[[System, Actor], list[Outcome]]] = {
    "start": proxies.start_all, "stop": proxies.stop_all, "restart": proxies.restart}

#: Seconds for which it is told how it ended.
TOLD_FOR = 60.0


@dataclass
class Work:
    """One of ACTIONS, under way or done. begun, ended: in monotonic seconds; ended: None while it is under way.
    trouble: why it could not be done at all. told: whether whoever asked for it was told how it ended, and nobody else
    needs to be."""

    what: str
    actor: str
    begun: float = field(default_factory=time.monotonic)
    ended: float | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    trouble: Problem | None = None
    told: bool = False
    over: threading.Event = field(default_factory=threading.Event)


class AllProxies:
    """For one process. patience: seconds in which what is quick is done before anybody is told how far it is."""

    def __init__(self, system: System, patience: float = 0.1) -> None:
        self._system = system
        self.patience = patience
        self._lock = threading.Lock()
        self._last: Work | None = None

    @property
    def last(self) -> Work | None:
        """What is under way, or was until a moment ago; whoever has begun it."""
        last = self._last
        gone = last is None or last.told or (last.ended is not None and time.monotonic() - last.ended > TOLD_FOR)
        return None if gone else last

    @property
    def latest(self) -> Work | None:
        """The last one since the panel was started, however long ago and whoever was told of it."""
        return self._last

    @property
    def progress(self) -> tuple[int, int]:
        """(done, of how many) of what is under way; (0, 0) while that is not known yet."""
        return self._system.reconciler.progress

    def begin(self, actor: Actor, what: str) -> Work:
        """Begins it, and waits a moment for what is quick. Who asks for what is under way already gets that one; any
        other begins when the one before is done. Raises Refused."""
        actor.require(Right.SUDO)
        with self._lock:
            if self._last and self._last.what == what and self._last.ended is None:
                return self._last
            work = self._last = Work(what, str(actor))
            threading.Thread(target=self._run, args=(work, actor), name=f"{what} all", daemon=True).start()
        work.over.wait(self.patience)
        return work

    def _run(self, work: Work, actor: Actor) -> None:
        try:
            work.outcomes = ACTIONS[work.what](self._system, actor)
        except Coded as refused:
            work.trouble = refused.problem
        except Exception as error:
            log.exception("%s of all proxies failed", work.what)
            work.trouble = text(str(error) or type(error).__name__)
        finally:
            work.ended = time.monotonic()
            work.over.set()
