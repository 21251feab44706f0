"""What MTProxy is started with, as its file in the container: one word a line. host/images/mtproxy/run reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.config.containers import MOST
from app.config.model import Config
from app.lib import portmap
from app.mtproto.secret import FAKETLS
from app.rules.links import UserLink
from app.runtimes.base import Place
from app.runtimes.ports import split

#: An advertising tag as @MTProxybot gives it.
_TAG = re.compile(r"[0-9a-f]{32}")


def served(links: Sequence[UserLink]) -> list[UserLink]:
    """Those that one process can serve: of 16 keys. A user's old links have the same key as the one of today, and
    today's come first."""
    keys: list[bytes] = []
    found = []
    for link in sorted(links, key=lambda link: link.until is not None):
        if link.secret.key not in keys:
            if len(keys) == MOST:
                continue
            keys.append(link.secret.key)
        found.append(link)
    return found


def words(links: Sequence[UserLink], config: Config, place: Place) -> list[str]:
    """Pure. links: as served() leaves them, all of FakeTLS, or none."""
    ip, port = split(place.listen)
    domains = sorted({link.domain for link in links if link.secret.kind == FAKETLS})
    # A worker of its own would not know which handshakes the others have seen; MTProxy warns of it.
    workers = 0 if domains else config.mtproxy_workers
    found = ["-p", str(portmap.API), "-H", str(port), "--http-stats", "-M", str(workers),
             "-C", str(config.mtproxy_connections), *(["-6"] if ip == "::" else [])]
    for key in sorted({link.secret.key.hex() for link in links}):
        found += ["-S", key]
    for domain in domains:
        found += ["-D", domain]
    tag = config.proxy_tag.strip().lower()
    return [*found, "-P", tag] if _TAG.fullmatch(tag) else found
