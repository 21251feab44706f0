"""A thread on Docker's stream of events: what changed, what for people to know, when to look again."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from app.lib import backoff
from app.messages import Problem
from app.runtimes.base import Notice, RuntimeFailure
from app.runtimes.docker.client import Connection
from app.runtimes.docker.spec import MEMORY, NAME, USER, label_filter
from app.runtimes.docker.state import ending

log = logging.getLogger(__name__)

#: Seconds between attempts to reach an engine that is gone.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_REMEMBERED = 10_000

#: What makes a look at the containers worth it when nobody here asked for it.
_WAKES = {"die", "oom", "destroy", "pause", "rename", "health_status: unhealthy"}


class Watcher:
    """Begins with begin(), reconnects by itself, and ends with close() or the process."""

    def __init__(self, connection: Connection, instance: str) -> None:
        self.connected = False
        self._connection = connection
        self._filters = {"type": ["container"], **label_filter(instance)}
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._notices: list[Notice] = []
        self._counts: dict[str, int] = {}
        self._expected: OrderedDict[str, None] = OrderedDict()
        self._oom: set[str] = set()
        self._since = 0.0

    def begin(self) -> None:
        """Watch from now on; a second call changes nothing."""
        with self._lock:
            if self._thread is None:
                self._since = time.time()
                self._thread = threading.Thread(target=self._run, name="docker events", daemon=True)
                self._thread.start()

    def close(self) -> None:
        self._closing.set()

    def wait(self, timeout: float) -> bool:
        """Whether something changed unasked since the last True, within `timeout` seconds."""
        changed = self._changed.wait(timeout)
        if changed:  # what comes between a timeout and a clear() must not be lost
            self._changed.clear()
        return changed

    def notices(self) -> list[Notice]:
        with self._lock:
            notices, self._notices = self._notices, []
        return notices

    def count(self, container: str) -> int:
        """How many events there were of this container: another number, another state."""
        return self._counts.get(container, 0)

    def expect_end(self, container: str) -> None:
        """The end of this container will have been asked for: no news."""
        with self._lock:
            self._expected[container] = None
            while len(self._expected) > _REMEMBERED:
                self._expected.popitem(last=False)

    def expect_life(self, container: str) -> None:
        with self._lock:
            self._expected.pop(container, None)

    def handle(self, event: Mapping[str, Any]) -> None:
        """Take in one event, as Docker writes it."""
        action, actor = event["Action"], event["Actor"]
        identity, labels = actor["ID"], actor["Attributes"]
        if action.startswith(("exec_", "top")):
            return  # health checks, and people who look inside
        with self._lock:
            self._counts[identity] = self._counts.get(identity, 0) + 1
            expected = identity in self._expected
            if not expected and (news := self._news(action, identity, labels)):
                self._notices.append(Notice(labels.get(NAME, ""), labels.get(USER, ""), *news))
            if action == "destroy":
                self._counts.pop(identity, None)
                self._expected.pop(identity, None)
        if action in _WAKES and not expected:
            self._changed.set()

    def _news(self, action: str, identity: str, labels: Mapping[str, str]) -> tuple[str, Problem | None] | None:
        """The code and the detail of a notice, None for no news."""
        if action == "start":
            self._oom.discard(identity)
        elif action == "oom":
            self._oom.add(identity)  # told with the end that follows
        elif action == "die":
            oom, code = identity in self._oom, int(labels.get("exitCode", 0))
            self._oom.discard(identity)
            # An engine that is stopped ends all of them, and they end well: that is no news of a user.
            if oom or code not in (0, 143):
                return "proxy.ended", ending(code, oom, labels.get(MEMORY, "?"))
        elif action == "destroy":
            return "container.removed", None
        elif action == "pause":
            return "container.paused", None
        elif action == "health_status: unhealthy":
            return "proxy.unhealthy", None
        return None

    def _run(self) -> None:
        failures, again = 0, False
        while not self._closing.is_set():
            try:
                with self._connection.api(None) as api:
                    stream = api.events(since=f"{self._since:.9f}", filters=self._filters, decode=True)
                    self.connected, failures = True, 0
                    if again:
                        self._changed.set()  # an engine that was away may have lost what happened
                    for event in stream:
                        self.handle(event)
                        self._since = event["timeNano"] / 1e9 + 1e-6
            except RuntimeFailure as failure:
                if self.connected or not again:
                    log.warning("%s", failure)
            if self.connected:
                self._changed.set()
            self.connected, again = False, True
            failures += 1
            self._closing.wait(backoff.pause(failures, _FIRST_PAUSE, _LONGEST_PAUSE))
