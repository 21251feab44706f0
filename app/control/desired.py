"""What should be running: pure functions from the declaration and the totals. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from app.config.model import Config
from app.control.engine_limits import unserved
from app.engines.base import (
    ENGINE,
    NO_INGRESS,
    NOBODY,
    RUNTIME,
    Engine,
    EngineRefusal,
    IngressSpec,
    PlaceOf,
    engine_name,
)
from app.ledger.traffic import Total
from app.messages import Problem, text
from app.rules import domains
from app.rules.limits import blocked, expired, max_unique_ips, over_limit, speed_mbps
from app.rules.links import UserLink, links
from app.runtimes.base import Place, Runtime, Workload

#: Bits per second. tc counts whole bytes, and below this its arithmetic for a burst overflows.
SLOWEST = 1000

#: Seconds after its last use in which a link has its share of the speed: a telephone in a pocket comes back.
IN_USE_FOR = 3600.0


@dataclass(frozen=True)
class Desired:
    """workloads: by name. suspended: workload name -> user id of those that are declared but should not
    run now; blocked: the names of those among them whose user is at the limit. throttles: workload
    name -> bits per second, only those that should have one. refused: workload name -> why it
    can't be served. routes: SNI domain -> "host:port" of its workload, on port 443 only. users: ids of
    those who are to be served. devices: link's name -> from how many addresses it may be used at a time, where the
    runtime is to see to that; edge_devices: SNI domain -> the same, where nginx is."""

    workloads: Mapping[str, Workload]
    suspended: Mapping[str, str]
    blocked: frozenset[str]
    throttles: Mapping[str, int]
    refused: Mapping[str, Problem]
    routes: Mapping[str, str]
    users: frozenset[str] = frozenset()
    devices: Mapping[str, int] = field(default_factory=dict)
    edge_devices: Mapping[str, int] = field(default_factory=dict)


def desired(config: Config, totals: Mapping[str, Total], now: datetime, engines: Mapping[str, Engine], runtime: Runtime,
            front: Callable[[Config, str], IngressSpec] = lambda config, domain: NO_INGRESS,
            last_uses: Mapping[str, float] = MappingProxyType({}),
            placed: Mapping[str, str] = MappingProxyType({}), debugged: Collection[str] = ()) -> Desired:
    """Every link of an enabled user who has not expired and is not blocked is served by a workload of the user's
    engine, unless all are stopped; what an engine can't do is the trouble of its own users only, and where it can't
    serve so many, of those who come last. engines: by name, the first for users without a choice. front: what stands
    before the engine of a link with this domain. last_uses: Unix seconds by link id; the links of a user that were
    used lately share the speed after the limit. placed: the engine that serves a user until they are moved to another
    one, by user id. debugged: engines whose log is to be more detailed."""
    wanted: dict[str, dict[str, UserLink]] = {name: {} for name in engines}
    taken: set[str] = set()
    suspended: dict[str, str] = {}
    at_limit: set[str] = set()
    throttles: dict[str, int] = {}
    refused: dict[str, Problem] = {}
    for user in config.users:
        total, own = totals.get(user.id, Total()), links(user, config, now)
        if config.proxies_stopped or not user.enabled or expired(user, now):
            suspended |= {link.name: user.id for link in own}
            continue
        if blocked(user, config, total):
            suspended |= {link.name: user.id for link in own}
            at_limit.update(link.name for link in own)
            continue
        speed = speed_mbps(user, config) if over_limit(user, config, total) else 0
        used = sum(now.timestamp() - last_uses.get(link.id, 0.0) < IN_USE_FOR for link in own)
        for link in own:
            named = placed.get(user.id, "")
            if unserved(link, named, engines):
                named = engine_name(user, config, engines)
            by_nginx = config.port_443_mode and not (named in engines and engines[named].capabilities.direct)
            if by_nginx and not link.domain:
                refused[link.name] = Problem("user.no_domain")
                continue
            if by_nginx and (link.domain in taken or link.domain in (config.panel_domain, config.share_hostname)
                             or domains.unfit(link.domain)):
                refused[link.name] = domains.conflict(config, link.domain, user, now) or text("")
                continue
            if why := unserved(link, named, engines):
                refused[link.name] = why
                continue
            most = engines[named].capabilities.most_links
            if most and len(wanted[named]) >= most:
                refused[link.name] = Problem("engine.too_many", {"engine": named, "most": most})
                continue
            if by_nginx:
                taken.add(link.domain)
            if speed and engines[named].capabilities.speed != NOBODY:
                throttles[link.name] = max(SLOWEST, round(speed * 1e6 / 8 / max(1, used)) * 8)
            wanted[named][link.id] = replace(
                link, bits_per_second=throttles.get(link.name), max_unique_ips=max_unique_ips(user, config))
    made: dict[str, Workload] = {}
    devices: dict[str, int] = {}
    edge_devices: dict[str, int] = {}
    routes: dict[str, str] = {}
    for name, theirs in wanted.items():
        try:
            direct = engines[name].capabilities.direct
            workloads = engines[name].workloads(list(theirs.values()), config, _places(config, runtime, direct),
                                                lambda domain: front(config, domain))
        except EngineRefusal as refusal:
            refused |= {link.name: refusal.problem for link in theirs.values()}
            throttles = {link: speed for link, speed in throttles.items() if link not in refused}
            continue
        made |= {workload.name: engines[name].debugging(workload) if name in debugged else workload
                 for workload in workloads}
        kept_by = engines[name].capabilities.devices
        limited = [link for link in theirs.values() if link.max_unique_ips and kept_by != ENGINE]
        if config.port_443_mode and not direct:  # there, clients have one address for whoever stands behind nginx
            edge_devices |= {link.domain: link.max_unique_ips for link in limited}
        elif kept_by == RUNTIME:
            devices |= {link.name: link.max_unique_ips for link in limited}
        if config.port_443_mode and not direct:
            routes |= {theirs[link].domain: f"{workload.name}:{workload.place.listen.rpartition(':')[2]}"
                       for workload in workloads for link in workload.links}
    return Desired(made, suspended, frozenset(at_limit), throttles, refused, routes,
                   frozenset(link.user.id for theirs in wanted.values() for link in theirs.values()),
                   devices, edge_devices)


def _places(config: Config, runtime: Runtime, direct: bool) -> PlaceOf:
    def place(port: int) -> Place:
        found = runtime.place(port, config.proxy_bind)
        # nginx is the way in; a PROXY header from elsewhere would be believed.
        return replace(found, publish="") if config.port_443_mode and not direct else found

    return place
