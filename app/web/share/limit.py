"""How often one page may be asked for from one place, in memory that does not grow."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

#: Requests in so many seconds, of one page from one place.
MOST, SECONDS = 60, 60.0
#: Places that are remembered; then whoever came first is forgotten.
PLACES = 4096


class Limit:
    """Counts in windows of SECONDS, each beginning with its first request. clock: monotonic seconds."""

    def __init__(self, most: int = MOST, places: int = PLACES, clock: Callable[[], float] = time.monotonic):
        self._most, self._places, self._clock = most, places, clock
        self._lock = threading.Lock()
        self._begun: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def wait(self, page: str, network: str) -> float:
        """Count a request for this page from this place; how many seconds it should have waited, 0.0 if none."""
        now = self._clock()
        with self._lock:
            begun, count = self._begun.get((page, network), (now, 0))
            if now - begun >= SECONDS:
                begun, count = now, 0
                self._begun.pop((page, network), None)
            self._begun[page, network] = begun, min(count + 1, self._most + 1)
            while len(self._begun) > self._places:
                self._begun.popitem(last=False)
        return begun + SECONDS - now if count >= self._most else 0.0

    def __len__(self) -> int:
        return len(self._begun)
