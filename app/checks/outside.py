"""This server as the internet sees it: a helper elsewhere is asked, which tries the ports that it is told.

One is in scripts/port-helper.py. It is told the ports, and nothing else; whose they are it sees by the address that it
is asked from.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlencode

from app.config.values import is_ip
from app.messages.errors import Coded

#: Ports that one question may name.
MOST = 32
#: Seconds that the helper may take, and bytes that it may answer.
_PATIENCE, _BYTES = 20.0, 65536


class OutsideFailed(Coded):
    """The helper did not answer, or not as one does."""


@dataclass(frozen=True)
class Outside:
    """address: of this server, as the helper sees it. open: those of the ports that let it in."""

    address: str
    open: frozenset[int]


def look(url: str, ports: Collection[int]) -> Outside:
    """Ask the helper at `url` about these ports, MOST at the most. Takes seconds. Raises OutsideFailed."""
    asked = f"{url}{'&' if '?' in url else '?'}{urlencode({'ports': ','.join(map(str, ports))})}"
    try:
        # The question has to come from this server itself, or the helper tries somebody else's ports.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(asked, headers={"User-Agent": "mtproto"}), timeout=_PATIENCE) as answer:
            said = json.loads(answer.read(_BYTES))
        address, reached = said["address"], said["open"]
        if not isinstance(address, str) or not is_ip(address) or not all(type(port) is int for port in reached):
            raise ValueError  # not what a helper says
    except urllib.error.HTTPError as error:
        raise OutsideFailed("outside.failed", url=url, reason=f"HTTP {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise OutsideFailed("outside.failed", url=url, reason=str(reason) or type(error).__name__) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise OutsideFailed("outside.odd", url=url) from None
    return Outside(address, frozenset(reached) & frozenset(ports))
