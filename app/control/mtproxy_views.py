"""MTProxy as people see it: its containers with what they count, and how old Telegram's files are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass

from app.config import containers
from app.control import telegram_files
from app.control.errors import refusing
from app.control.system import System
from app.engines.base import container
from app.engines.mtproxy import stats
from app.engines.mtproxy.engine import NAME
from app.runtimes.base import RUNNING, Sample


@dataclass(frozen=True)
class ContainerView:
    """One container. users: how many it is to serve. tls: whether their secrets have a domain. connections: of clients,
    now; created: since its start; uptime: seconds. The last three are None if it does not answer."""

    number: int
    name: str
    port: int
    users: int
    tls: bool
    state: str
    connections: int | None = None
    created: int | None = None
    uptime: int | None = None

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def every_container(system: System) -> list[ContainerView]:
    """The containers that users have, as they are now. Asks each for its figures. Raises Refused."""
    config = system.declaration.last_good()
    by_number = defaultdict(list)
    for user in containers.users_of(config):
        by_number[max(1, user.mtproxy_container)].append(user)
    with refusing():
        observed = {each.name: each for each in system.runtime.observe()} if by_number else {}
        found = []
        for number, theirs in sorted(by_number.items()):
            here = container(NAME, number, config)
            there = observed.get(here.name)
            state = there.state if there else "missing"
            told = _figures(system.runtime.sample(here.name) if state == RUNNING else None)
            found.append(ContainerView(
                number, here.name, here.port, len(theirs), containers.is_tls(theirs[0]), state,
                told.connections if told else None, told.created if told else None, told.uptime if told else None))
    return found


def _figures(sample: Sample | None) -> stats.Stats | None:
    try:
        return stats.parse(sample.text) if sample else None
    except ValueError:
        return None


def files_age(system: System) -> float | None:
    """Seconds since Telegram's files were last found good; None if there are none."""
    kept = telegram_files.store(system)
    there = kept.read() if kept else None
    return max(0.0, system.reconciler.clock() - there.at) if there else None
