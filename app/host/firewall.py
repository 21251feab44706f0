"""Which ports of this server the internet has to reach, and how many new connections a minute each address may open to
them. Pure but for `tell`, which writes it down for host/firewall.sh: that one runs as root, beside the panel.

The file has one word and its values a line; whoever reads it takes nothing else from it:

    port 2443               a TCP port of proxies
    port 8543 limit 10      the same, with the new connections a minute that one address may open
    web                     what is published as 80 and 443, of which .env knows the numbers; with `limit`, for 443
    panel                   the panel at the bare address, and 80 for its certificate
    offences                whom those limits refuse is remembered, for fail2ban (host/fail2ban/mtproto-bans collect)
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.config.model import Config
from app.lib import files
from app.runtimes.base import Workload

log = logging.getLogger(__name__)

#: In the data folder.
FILE = "firewall.wanted"

_BEGINNING = "# app/host/firewall.py > host/firewall.sh\n"


@dataclass(frozen=True, order=True)
class Opening:
    """what: a TCP port, "web", "panel" or "offences". limit: new connections a minute and address, 0 for any number."""

    what: str
    limit: int = 0

    def __str__(self) -> str:
        words = f"port {int(self.what)}" if self.what.isdecimal() else self.what
        return f"{words} limit {self.limit}" if self.limit else words


def wanted(config: Config, workloads: Iterable[Workload]) -> list[Opening]:
    """The openings for what is to run, without any twice. workloads: those of the declaration that should run now, so
    nothing is open for whoever is disabled, expired or blocked."""
    ports = {}
    for workload in workloads:
        # Behind nginx they publish nothing, and an engine that is a process of this machine says where it listens.
        address, _, port = (workload.place.publish if config.port_443_mode else
                            workload.place.publish or workload.place.listen).rpartition(":")
        if port and not _of_this_machine(address.strip("[]")):
            ports[int(port)] = (config.new_to_mtproxy_per_minute if workload.engine == "mtproxy"
                                else config.new_per_minute)
    found = [Opening(str(port), limit) for port, limit in sorted(ports.items())]
    if config.port_443_mode or config.panel_domain or config.share_hostname:
        found.append(Opening("web", config.new_per_minute if config.port_443_mode else 0))
    if config.panel_by_address:
        found.append(Opening("panel"))
    if config.bans and any(each.limit for each in found):
        found.append(Opening("offences"))
    return found


def tell(data_dir: Path, openings: Iterable[Opening]) -> None:
    """Write them down where they are not what stands there. On a full disk the firewall stays as it is, which is no
    reason to start no proxy: it is logged, and tried again in the next pass."""
    content = (_BEGINNING + "".join(f"{each}\n" for each in openings)).encode()
    path = data_dir / FILE
    try:
        if not path.is_file() or path.read_bytes() != content:
            files.put(path, content)
    except OSError as error:
        log.warning("%s could not be written, so the firewall stays as it is: %s", path, error)


def _of_this_machine(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
