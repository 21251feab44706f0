"""The clock, as whoever needs one is given it: seconds, from a function that a test can put another in place of."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

Clock = Callable[[], float]

#: Unix seconds; people and NTP set it, back too.
WALL: Clock = time.time

#: Seconds since some moment; they only ever grow.
STEADY: Clock = time.monotonic

#: Seconds since the boot of the machine, while it was asleep too; for every process the same.
SINCE_BOOT: Clock = partial(time.clock_gettime, time.CLOCK_BOOTTIME)

#: Seconds by which a clock may be put right without being another one, and for which it has to go on so to be believed.
SMALL, BELIEVED_AFTER = 60.0, 3600.0


class Settled:
    """Whether the clock on the wall has gone on like the steady one for an hour. What is lost for good because it is
    old can wait so long: a machine that was asleep, or has no battery, gets the right time soon after its start."""

    def __init__(self, wall: Clock = WALL, steady: Clock = STEADY) -> None:
        self._wall, self._steady = wall, steady
        self._apart: float | None = None
        self._since = 0.0

    def __call__(self) -> bool:
        now = self._steady()
        apart = self._wall() - now
        if self._apart is None or abs(apart - self._apart) > SMALL:
            self._apart, self._since = apart, now
        return now - self._since >= BELIEVED_AFTER
