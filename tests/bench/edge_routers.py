"""nginx, and Traefik with nginx behind it, beside each other: in turns, in one run, the same engine behind both."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from app.edge.base import Edge, EdgeConfig
from app.engines.base import NO_INGRESS, IngressSpec
from app.lib import portmap
from app.mtproto.links import tg_link
from app.mtproto.secret import Secret
from tests.bench import measure
from tests.bench.edge_setup import Bench, say, start_engine
from tests.bench.measure import Subject, percentile
from tests.bench.processes import family, own_mb
from tests.support import traefik_lab
from tests.support.docker_lab import installation
from tests.support.stream import Stream

NGINX, TRAEFIK = "nginx", "Traefik + nginx"
#: With how many users the memory, and the time of a new route, are measured.
USERS = (10, 1000)


@dataclass
class Router:
    """link: through it. engine: where the user of it is. pids: of its containers."""

    edge: Edge
    link: Callable[[Secret], str]
    secret: Secret
    engine: str
    pids: Callable[[], list[int]]
    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, title: str, *values: float) -> None:
        self.figures.setdefault(title, []).extend(values)

    def routes(self, users: int) -> EdgeConfig:
        others = {f"other{number}.example.org": self.engine for number in range(users - 1)}
        return EdgeConfig(routes={self.secret.domain: self.engine, **others})

    def memory(self) -> float:
        return sum(own_mb(pid) for container in self.pids() for pid in family(container))


def routers(bench: Bench) -> None:
    with ExitStack() as stack:
        runtime = stack.enter_context(installation("bench2"))
        lab = stack.enter_context(traefik_lab.lab(bench.folder / "routed", network=runtime.network))
        routed = replace(bench, runtime=runtime)
        ip, alone = start_engine(bench, 3700, bench.image, NO_INGRESS)
        _, mine = start_engine(bench, 3701, bench.image, IngressSpec(proxy_protocol=True))
        _, theirs = start_engine(routed, 3702, bench.image, IngressSpec(proxy_protocol=True))
        both = {
            NGINX: Router(bench.lab.nginx, bench.link, mine, f"mtg-proxy-3701:{portmap.CLIENTS}",
                          lambda: [bench.pid(bench.lab.container)]),
            TRAEFIK: Router(lab.edge, lambda secret: tg_link(lab.edge.ip, portmap.ROUTER, secret), theirs,
                            f"mtg-proxy-3702:{portmap.CLIENTS}",
                            lambda: [bench.pid(lab.container), bench.pid(lab.nginx.container)])}
        direct = tg_link(ip, portmap.CLIENTS, alone)
        subjects = {"no router": Subject("no router", lambda hello: Stream.open(direct, hello=hello), 0, alone)}
        for name, router in both.items():
            router.edge.apply(router.routes(USERS[0]))
            way = router.link(router.secret)
            subjects[name] = Subject(name, lambda hello, to=way: Stream.open(to, hello=hello), 0, router.secret)
        figures = asyncio.run(_compare(subjects, bench.quick))
        for users in USERS:
            _new_routes(both, users, 3 if bench.quick else 5)
        _print(figures, both)


async def _compare(subjects: dict[str, Subject], quick: bool) -> dict[str, dict[str, list[float]]]:
    """In turns, so that a noisy second hits all."""
    figures: dict[str, dict[str, list[float]]] = {name: {} for name in subjects}
    for turn in range(3 if quick else 6):
        say(f"routers, round {turn + 1}")
        for name, subject in subjects.items():
            mine = figures[name]
            mine.setdefault("first answer", []).extend(await measure.handshakes(subject, 30))
            mine.setdefault("round trip", []).extend(await measure.round_trips(subject, 200))
            for way in (measure.download, measure.upload):
                for count in (1, 8):
                    done = await way(subject, count, 1.0 if quick else 2.0)
                    mine.setdefault(f"{way.__name__}, {count} connections", []).append(done.mbit)
    return figures


def _new_routes(both: dict[str, Router], users: int, turns: int) -> None:
    """How long a new user's name takes to lead to the engine, and what the memory is then."""
    for router in both.values():
        router.edge.apply(router.routes(users))
    for _ in range(turns):
        for name, router in both.items():
            say(f"{users} users, a new route by {name}")
            site = router.routes(users)
            others = {each: engine for each, engine in site.routes.items() if each != router.secret.domain}
            router.edge.apply(replace(site, routes=others))
            began = time.perf_counter()
            router.edge.apply(site)
            asyncio.run(_works(router.link(router.secret)))
            router.add(f"new route, {users} users", time.perf_counter() - began)
    for router in both.values():
        router.add(f"memory, {users} users", router.memory())


async def _works(link: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            await (await Stream.open(link)).close()
            return
        except (OSError, ValueError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.02)
    raise SystemExit("the new route does not work within a minute")


def _print(figures: dict[str, dict[str, list[float]]], both: dict[str, Router]) -> None:
    print(f"  {'':34}" + "".join(f"{name:>18}" for name in figures))
    for title in next(iter(figures.values())):
        unit = "ms" if title in ("first answer", "round trip") else "Mbit/s"
        for percent in (50, 99) if unit == "ms" else (50,):
            label = f"{title}{f', p{percent}' if unit == 'ms' else ''}, {unit}"
            print(f"  {label:34}" + "".join(f"{percentile(each[title], percent):18.2f}" for each in figures.values()))
    for title in both[NGINX].figures:
        unit = "MB" if title.startswith("memory") else "s"
        print(f"  {f'{title}, {unit}':34}{'':18}"
              + "".join(f"{statistics.median(router.figures[title]):18.2f}" for router in both.values()))
