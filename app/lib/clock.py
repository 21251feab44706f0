"""The clock, as whoever needs one is given it: seconds, from a function that a test can put another in place of."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]

#: Unix seconds; people and NTP set it, back too.
WALL: Clock = time.time

#: Seconds since some moment; they only ever grow.
STEADY: Clock = time.monotonic
