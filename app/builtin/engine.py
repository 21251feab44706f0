"""The running engine: what all connections share, and the chores of every second."""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.builtin.addresses import Addresses
from app.builtin.fronting import Cover
from app.builtin.logs import log
from app.builtin.metrics import Metrics
from app.builtin.places import Places
from app.builtin.ratelimit import LimitsError, LimitsFile, RateLimiter
from app.builtin.relay import Relay
from app.builtin.replay import ReplayMemory
from app.builtin.settings import Settings
from app.builtin.telegram import Dialer
from app.builtin.visitors import Visitors
from app.mtproto import faketls

#: Files beside the configuration: read and, the second, kept by the engine; where it may not write beside it, as in a
#: container, in a folder of its own.
LIMITS, REPLAYS, OWN = "limits.toml", "replays.db", "own"

_TICK_SECONDS = 1.0
#: How long a visitor of the cover host may be silent, and stay, in idle timeouts: with five minutes these are
#: ten minutes and four hours. Servers allow less silence, and no page takes that long.
_FRONTED_SILENCE, _FRONTED_STAY = 2, 48


class Engine:
    """State of one process. Needs a running event loop. folder: of its files."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.places = Places(settings.concurrency)
        self.addresses = Addresses(settings.max_unique_ips)
        self.visitors = Visitors(settings.visitors_key)
        self.metrics = Metrics(ended_early=self.places.ended, addresses=self.addresses)
        self.dialer = Dialer(settings)
        self.cover = Cover(settings)
        self.limiter = RateLimiter()
        own = folder / OWN if (folder / OWN).is_dir() else folder
        self.replays = ReplayMemory(own / REPLAYS, settings.anti_replay_bytes) if settings.anti_replay else None
        self.flight_bytes = faketls.flight_bytes(settings.secret.domain)
        #: Sessions with Telegram, and visitors of the cover host.
        self.relays: set[Relay] = set()
        self.fronted: set[Relay] = set()
        self._limits_file = LimitsFile(folder / LIMITS)
        self.read_limits()

    async def chores(self) -> None:
        """For ever: notice new limits, end idle sessions, write what had to wait."""
        while True:
            await asyncio.sleep(min(_TICK_SECONDS, self.settings.idle_timeout / 4))
            self.read_limits()
            self.end_idle()
            if self.replays:
                self.replays.tend()

    def close(self) -> None:
        if self.replays:
            self.replays.close()

    def read_limits(self) -> None:
        try:
            limits = self._limits_file.changed()
        except LimitsError as error:
            log.warning("the speed limits stay as they were: %s", error)
            return
        if limits is not None:
            self.addresses.limit = self.settings.max_unique_ips if limits.addresses is None else limits.addresses
        if limits is not None and limits != self.limiter.limits:
            self.limiter.apply(limits)
            for relay in self.relays:
                relay.limits_changed()

    def end_idle(self) -> None:
        """A visitor of the cover host may be idle for longer, unless half gone, but not stay for ever."""
        now, idle = self.loop.time(), self.settings.idle_timeout
        for relay in [*self.relays]:
            if relay.touched < now - idle:
                relay.close()
        for relay in [*self.fronted]:
            silence = idle if relay.half_open else _FRONTED_SILENCE * idle
            if relay.touched < now - silence or relay.began < now - _FRONTED_STAY * idle:
                relay.close()

    def metrics_text(self) -> str:
        return self.metrics.text(self.settings.metrics_prefix, self.limiter.limits)
