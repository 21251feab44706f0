"""From which addresses clients came: who was turned away, how often, and who had a session. In memory alone, and only
if somebody is to be told, by `visitors-key`."""

from __future__ import annotations

import hmac
import json
import time
from collections import OrderedDict

from app.lib.place import place

#: Beside the metrics.
PATH = "/visitors"
#: Addresses of each sort at most; the one that was not seen for the longest time goes.
MOST = 4096
#: Seconds after its end for which a session is told.
REMEMBERED = 900.0

WRONG_KEY, REPLAY, NOISE = "wrong-key", "replay", "no-mtproto"


class Visitors:
    def __init__(self, key: str = "") -> None:
        self._key = key
        self._turned_away: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._ended: OrderedDict[str, float] = OrderedDict()
        self._live: dict[str, int] = {}

    def turned_away(self, host: str, reason: str) -> None:
        """Count a connection from this IP address."""
        if self._key:
            key = (place(host), reason)
            self._turned_away[key] = self._turned_away.pop(key, 0) + 1
            if len(self._turned_away) > MOST:
                self._turned_away.popitem(last=False)

    def began(self, host: str) -> None:
        """A session did."""
        if self._key:
            self._live[place(host)] = self._live.get(place(host), 0) + 1

    def ended(self, host: str) -> None:
        if not self._key:
            return
        address = place(host)
        self._live[address] -= 1
        if not self._live[address]:
            del self._live[address]
        self._ended.pop(address, None)
        self._ended[address] = time.monotonic()
        if len(self._ended) > MOST:
            self._ended.popitem(last=False)

    def text(self, authorization: str) -> str | None:
        """What is told to whoever sends this header; None for others."""
        if not self._key or not hmac.compare_digest(authorization.encode(), f"Bearer {self._key}".encode()):
            return None
        since = time.monotonic() - REMEMBERED
        while self._ended and next(iter(self._ended.values())) < since:
            self._ended.popitem(last=False)
        return json.dumps({"turned_away": [[*key, count] for key, count in self._turned_away.items()],
                           "good": sorted({*self._live, *self._ended})})
