"""Telegram's own clients through port 443: who reaches what, and what others see of it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import clients, edge_lab, lab443
from tests.support.docker_lab import eventually
from tests.support.lab443 import BASE, Guest, Stage
from tests.support.stream import Stream

SENT = 150_000


def kurigram(link: str) -> float:
    return asyncio.run(clients.kurigram(link))


def billed(stage: Stage, ports: list[int]) -> list[int]:
    """The bytes that each of these users' containers has relayed, when the last session is over: TDLib leaves
    before all of its questions are answered."""
    told = []

    def over() -> bool:
        told[:] = [stage.counters(f"mtg-proxy-{port}") for port in ports]
        return not any(each.clients for each in told)

    eventually(over, "the clients' sessions end")
    return [each.down + each.up for each in told]


def test_tdlib_kurigram_and_mtcute_reach_each_users_own_container_by_the_name_alone(stage):
    users = [stage.fleet.add_user(name) for name in ("Alice", "Bob", "Carol")]
    links, ports = [u.tg_link for u in users], [u.port for u in users]
    assert len({u.domain for u in users}) == 3
    assert {clients.parts(link)[:2] for link in links} == {("127.0.0.1", stage.public)}
    for client in (clients.tdjson, kurigram, clients.mtcute):
        for number, link in enumerate(links):
            before = billed(stage, ports)
            client(link)
            moved = [after > then for after, then in zip(billed(stage, ports), before)]
            assert moved == [other == number for other in range(3)]
    before, pings = billed(stage, ports), stage.center.requests
    with ThreadPoolExecutor(6) as pool:
        times = list(pool.map(lambda call: call[0](call[1]),
                              [(client, link) for client in (clients.tdjson, kurigram, clients.mtcute)
                               for link in links]))
    assert len(times) == 9 and stage.center.requests >= pings + 9
    assert all(after > then for after, then in zip(billed(stage, ports), before))


def test_the_proxy_knows_the_address_that_a_client_itself_has(stage):
    """An engine writes no address into a log. It does hand one on: to the cover site, with whoever is no client.

    The cover site of this test says what it was told.
    """
    alice = _with_a_cover_that_tells(stage)
    guests = [stage.guest(), stage.guest()]
    seen = [_ask(stage, guest, alice.domain) for guest in guests]
    assert seen == [guest.ip for guest in guests] and len(set(seen)) == 2
    # It was the engine that sent them there, not nginx; and clients at those addresses do pass.
    assert stage.counters(f"mtg-proxy-{alice.port}").fronted == 2
    for guest in guests:
        clients.tdjson(stage.inside(alice.tg_link), prefix=guest.prefix)


def _with_a_cover_that_tells(stage: Stage):
    stage.fleet.set_settings({"sni_mode": "own", "sni_base_domain": BASE})
    alice = stage.fleet.add_user("Alice")
    made = stage.authority.certificate("tells", alice.domain)
    custom = stage.lab.folder / "custom.d"
    (custom / "tells.pem").write_text(made.chain + made.key)
    (custom / "tells.conf").write_text(
        f"server {{ listen 8444; server_name {alice.domain};\n"
        "  ssl_certificate /etc/nginx/edge/custom.d/tells.pem;\n"
        "  ssl_certificate_key /etc/nginx/edge/custom.d/tells.pem;\n"
        '  location / { return 200 "$proxy_protocol_addr"; } }\n')
    stage.fleet.reconcile()
    return alice


def _ask(stage: Stage, guest: Guest, name: str) -> str:
    def ask() -> str:
        with lab443.tls((stage.lab.ip, 443), name, stage.authority.file) as stream:
            return edge_lab.ask(stream, name)[1]

    return guest.run(ask)


def test_ndpi_takes_a_session_for_tls_with_the_users_name(stage, tmp_path):
    alice = stage.fleet.add_user("Alice", domain="www.example.com")
    guest, link = stage.guest(), stage.inside(alice.tg_link)

    def session() -> None:
        async def stream() -> None:
            through = await Stream.open(link)
            await through.download(SENT)
            await through.upload(SENT)
            await through.close()

        # What nDPI does tell apart: somebody who visits Telegram's own site.
        with pytest.raises(OSError):
            guest.run(lambda: lab443.tls((stage.lab.ip, 443), "web.telegram.org", stage.authority.file))
        clients.tdjson(link, prefix=guest.prefix)
        guest.run(lambda: asyncio.run(stream()))

    flows = _dissect(_captured(guest, stage.lab.ip, tmp_path / "session.pcap", session, 2 * SENT))
    visits = [flow for flow in flows if "Telegram" in flow]
    assert len(visits) == 1 and "web.telegram.org" in visits[0], flows
    sessions = [flow for flow in flows if flow not in visits]
    assert len(sessions) >= 2, flows
    for flow in sessions:
        assert f"{guest.ip}:" in flow and f"{stage.lab.ip}:443" in flow
        assert re.search(r"\[proto: 91(\.\d+)?/TLS", flow) and "www.example.com" in flow, flow


def _captured(guest: Guest, nginx: str, file: Path, action: Callable[[], None], size: int) -> Path:
    """What goes over the wire between the guest and nginx while it does this, which is at least so many bytes."""
    command = [*guest.prefix, "tcpdump", "--immediate-mode", "-U", "-n", "-i", "eth0", "-w", str(file),
               f"tcp port 443 and host {guest.ip} and host {nginx}"]  # others may have had this address before
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as capture:
        try:
            line = capture.stderr.readline()
            assert "listening on" in line, line
            action()
            end = time.monotonic() + 60
            while file.stat().st_size < size and time.monotonic() < end:
                time.sleep(0.05)  # what has gone over the wire is not in the file yet
        finally:
            capture.terminate()
    return file


def _dissect(file: Path) -> list[str]:
    """ndpiReader's line on each TCP connection in the file."""
    done = subprocess.run(["ndpiReader", "-i", str(file), "-v", "2"], capture_output=True, text=True, timeout=30,
                          check=True)
    return [line for line in done.stdout.splitlines() if re.match(r"\s*\d+\s+TCP ", line)]
