"""Is this server's clock right? Apps with another time are refused, whoever of the two is wrong.

Other clocks are asked by HTTP: every web server's answer has a Date. What is kept is when the machine was
booted by those clocks; the kernel has counted the seconds since, whatever was done to the clock of the machine.
So a clock that is set is seen at once, and nobody has to be asked again.
"""

from __future__ import annotations

import email.utils
import http.client
import logging
import os
import random
import ssl
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from app.config.model import Config
from app.ledger.clock import Clocks, Told
from app.lib.clock import SINCE_BOOT, SMALL
from app.lib.procfs import boot_id
from app.messages import Problem

log = logging.getLogger(__name__)

#: Sites to ask, with spaces between them, instead of some of the domain pool; "none": nobody is asked.
VARIABLE = "MTPROTO_TIME_SITES"
#: Seconds that an app's clock may differ: what mtgtoml tells the engines.
TOLERANCE = 20
#: From here on it is worth a word: apps are off by a few seconds themselves.
WORTH_A_WORD = 10
_ASKED = 5
#: How far sites may differ from their median and still agree, and how many must (seconds; a Date has no fractions).
_AGREE, _ENOUGH = 3.0, 2
_TIMEOUT = 5.0
#: Seconds until the next look after one that told something, and after one that did not.
_EVERY, _AGAIN = 6 * 3600.0, 900.0


class OutsideClock:
    """Asks the other clocks, seldom, and knows by how much this server's is off."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._next = 0.0

    @property
    def due(self) -> bool:
        return _uptime() >= self._next

    def look(self, config: Config) -> None:
        """Ask some sites; takes seconds. Nothing is known afterwards that was not before if they don't answer."""
        self._next = _uptime() + _AGAIN
        sites = sites_of(config)
        if not sites:
            return
        with ThreadPoolExecutor(len(sites)) as pool:
            told = [at for at in pool.map(_ask, sites) if at is not None]
        if not told:
            return
        middle = statistics.median(told)
        agreed = [at for at in told if abs(at - middle) <= _AGREE]
        if len(agreed) < _ENOUGH:
            log.info("what time it is elsewhere is not known: %d sites answered, and they don't agree", len(told))
            return
        self._next = _uptime() + _EVERY
        self._clocks.note(Told(boot_id(), statistics.median(agreed), len(agreed), _uptime()))

    def ahead(self) -> float | None:
        """Seconds that this server's clock is ahead of the others, negative if behind; None if that is not known."""
        told = self._clocks.last()
        if told is None or told.boot != boot_id():
            return None
        return time.time() - (told.true_at_boot + _uptime())

    def is_right(self) -> bool | None:
        """Whether this server's clock shows, within a minute, what the others do; None if that is not known."""
        ahead = self.ahead()
        return None if ahead is None else abs(ahead) <= SMALL

    def problem(self) -> Problem | None:
        """What is wrong with this server's clock; None if nothing is, or nothing is known."""
        ahead = self.ahead()
        if ahead is None or abs(ahead) < WORTH_A_WORD:
            return None
        effect = Problem("clock.refused") if abs(ahead) > TOLERANCE else \
            Problem("clock.some_refused", {"tolerance": TOLERANCE})
        return Problem("clock.off", {"off": off(ahead), "effect": effect})


def off(ahead: float) -> Problem:
    """"600 s ahead of", "600 s behind"."""
    return Problem("clock.ahead" if ahead > 0 else "clock.behind", {"seconds": round(abs(ahead))})


def sites_of(config: Config) -> list[str]:
    """Whom to ask: URLs. Never a name of our own, behind which this server's own clock would answer."""
    chosen = os.environ.get(VARIABLE, "").split()
    if chosen == ["none"]:
        return []
    if not chosen:
        own = (config.sni_base_domain, config.panel_domain, config.share_hostname)
        pool = [name for name in dict.fromkeys([config.fake_tls_domain, *config.domain_pool])
                if name and not any(base and (name == base or name.endswith(f".{base}")) for base in own)]
        chosen = random.sample(pool, min(_ASKED, len(pool)))
    return [site if "://" in site else f"https://{site}/" for site in chosen]


def _ask(url: str) -> float | None:
    """When the machine was booted, in Unix seconds by this site's clock; None if it does not tell.

    Certificates are not looked at: with a wrong clock none is valid, and a lie of one site changes no median.
    """
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError(url)  # it names no host
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT)
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=_TIMEOUT,
                                                     context=ssl._create_unverified_context())
        try:
            connection.connect()
            began = _uptime()
            connection.request("HEAD", parts.path or "/", headers={"Cache-Control": "no-cache"})
            answer = connection.getresponse()
            ended = _uptime()
            date = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
            # A cache tells the date of what it keeps, and how old that is.
            age = int(answer.headers.get("Age") or 0)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError, TypeError, OverflowError) as error:
        log.debug("%s does not tell its time: %s", url, error)
        return None
    return date + age + 0.5 - (began + ended) / 2


def _uptime() -> float:
    return SINCE_BOOT()
