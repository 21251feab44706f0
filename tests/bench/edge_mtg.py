"""The real mtg behind nginx: what a prober meets, what a start without nginx costs. A part of edge.py."""

from __future__ import annotations

import asyncio
import time

from app.edge.base import EdgeConfig
from app.engines.base import IngressSpec
from app.engines.mtg.engine import MtgImage
from app.engines.mtg.timing import OWN_EACH
from app.lib import portmap
from app.messages import sentence
from app.mtproto.faketls_client import AnswerError
from app.mtproto.secret import Secret
from tests.bench import measure
from tests.bench.edge_setup import Bench, check, row, say, start_engine
from tests.bench.measure import Subject, percentile
from tests.support.edge_lab import Authority
from tests.support.stream import Stream

BASE = "example.test"
PORTS = (3800, 3801)


def learning(bench: Bench) -> None:
    if not bench.mtg:
        print("  left out: MTG_BIN names no mtg")
        return
    learns = bench.learning()
    front = IngressSpec(True, f"{bench.lab.ip}:8444", learns.timing, learns.trusted)
    names = [f"user{port}.{BASE}" for port in PORTS]
    authority = Authority(bench.folder)
    bench.lab.nginx.apply(EdgeConfig(
        routes={name: f"mtg-proxy-{port}:{portmap.CLIENTS}" for name, port in zip(names, PORTS)},
        own_names=(BASE, *names), certificates=(authority.certificate("cover-1", BASE, *names),)))

    _, secret = start_engine(bench, PORTS[0], bench.mtg, front, names[0])
    time.sleep(1)
    report(bench, secret, "with nginx there at its start")
    met = bench.lab.page(names[0], trusted=authority.file)
    same = met == bench.lab.page(BASE, trusted=authority.file)
    check("a browser with the user's SNI meets the cover, chain valid", same and met[0] == 200)
    check("a wrong secret meets the cover, too", refused(bench.link(Secret.generate(names[0]))))

    bench.lab.stop()
    begun = time.time()
    _, secret = start_engine(bench, PORTS[1], bench.mtg, front, names[1])
    time.sleep(20)
    print(f"  without nginx at its start: {reason(bench, begun)}")
    bench.lab.start()
    report(bench, secret, "the same, nginx back again")
    say(f"waiting for its next look, {OWN_EACH} s after its start")
    while (wait := begun + OWN_EACH + 60 - time.time()) > 0:
        time.sleep(min(wait, 10))
    report(bench, secret, f"the same, {time.time() - begun:.0f} s after its start")
    check("the log tells nothing of being slow any more", reason(bench, begun) == "")


def reason(bench: Bench, begun: float) -> str:
    """Why the second mtg is slow, as the panel would say it."""
    found = MtgImage().findings(bench.runtime.logs(f"mtg-proxy-{PORTS[1]}"), begun, time.time())
    return " ".join(map(sentence, found))


def report(bench: Bench, secret: Secret, title: str) -> None:
    subject = Subject("mtg", lambda hello: Stream.open(bench.link(secret), hello=hello), 0, secret)
    mbit = asyncio.run(measure.download(subject, 1, 3)).mbit
    trips = asyncio.run(measure.round_trips(subject, 100))
    row(f"{title}: one connection", mbit, "Mbit/s")
    row("    round trip, p50", percentile(trips, 50), "ms")
    row("    round trip, p99", percentile(trips, 99), "ms")


def refused(link: str) -> bool:
    try:
        asyncio.run(Stream.open(link))
    except AnswerError:
        return True
    return False
