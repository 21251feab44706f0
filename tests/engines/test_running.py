"""The engines as the process runtime runs them: real programs, a client's handshake, real metrics.

The built-in engine always; mtg too where the machine has it on its PATH.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from app.config.model import Config
from app.engines.base import Counters
from app.engines.builtin import SPEED_FILE, Builtin
from app.engines.mtg.engine import Mtg, find_mtg
from app.mtproto.links import tg_link
from app.mtproto.secret import Secret
from app.runtimes.base import EXITED, RUNNING, RuntimeFailure, Workload
from app.runtimes.process.runtime import ProcessRuntime
from tests.support.dc import DataCenter
from tests.support.stream import Stream

ENGINES = [Builtin()] + ([Mtg()] if find_mtg() else [])


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.name)
def engine(request):
    return request.param


@pytest.fixture
def runtime(tmp_path) -> Iterator[ProcessRuntime]:
    runtime = ProcessRuntime(tmp_path / "data", SPEED_FILE)
    runtime.start_timeout = runtime.stop_timeout = runtime.scrape_timeout = runtime.throttle_timeout = 60.0
    yield runtime
    for observed in runtime.observe():
        runtime.remove(observed.name)


@pytest.fixture
def declared(dc, cover) -> Config:
    return Config(upstream_socks5=dc.socks5, domain_fronting_ip=cover.ip, domain_fronting_port=cover.port)


def run(runtime: ProcessRuntime, engine, user, config: Config, bind: str = "127.0.0.1") -> Workload:
    workload = engine.workload(user, config, runtime.place(user.port, bind))
    runtime.create(workload)
    runtime.start(workload.name)
    return workload


def counters(runtime: ProcessRuntime, engine) -> Counters:
    (sample,) = runtime.samples()
    return engine.counters(sample.text)


def counted(runtime: ProcessRuntime, engine, enough) -> Counters:
    """The counters, once they are what they must become (events are counted a moment later)."""
    deadline = time.monotonic() + 60
    while not enough(now := counters(runtime, engine)):
        assert time.monotonic() < deadline, now
        time.sleep(0.05)
    return now


def test_a_client_gets_its_answer_and_is_counted_until_the_stop_ends_it(
        runtime, engine, declared, dc, cover, user, free_port):
    alice = user(port=free_port(), secret=Secret.generate(cover.host).hex)
    workload = run(runtime, engine, alice, declared)
    assert replace(counters(runtime, engine), refused=None, addresses=None) == Counters()
    assert (counters(runtime, engine).refused is None) == (engine.name == "mtg"), "not known, and not zero"

    async def talk() -> None:
        stream = await Stream.open(tg_link("127.0.0.1", alice.port, Secret.parse(alice.secret)))
        await stream.req_pq()
        seen = await asyncio.to_thread(
            counted, runtime, engine, lambda c: c.connections == c.clients == 1 and c.down and c.up)
        assert (seen.fronted, seen.fronted_bytes, seen.replays) == (0, 0, 0)
        runtime.stop(workload.name)
        with pytest.raises(Exception, match="closed|reset|broken|lost"):
            async with asyncio.timeout(60):
                await stream.req_pq()

    asyncio.run(talk())
    assert dc.requests == 1
    (observed,) = runtime.observe()
    assert (observed.state, observed.crashes) == (EXITED, 0)


def test_an_upstream_takes_a_login_of_any_characters(runtime, engine, cover, user, free_port):
    name, password = "bob@home/ü", 'p@ss:"word" 100%\\#'
    center = DataCenter(user=name, password=password).start()
    try:
        config = Config(upstream_socks5=f"{name}:{password}@{center.socks5}", domain_fronting_ip=cover.ip)
        alice = user(port=free_port())
        run(runtime, engine, alice, config)

        async def ask() -> None:
            stream = await Stream.open(tg_link("127.0.0.1", alice.port, Secret.parse(alice.secret)))
            await stream.req_pq()
            await stream.close()

        asyncio.run(ask())
        assert center.requests == 1
    finally:
        center.stop()


def test_a_prober_is_counted_apart(runtime, engine, declared, cover, user, free_port):
    alice = user(port=free_port(), secret=Secret.generate(cover.host).hex)
    run(runtime, engine, alice, declared)
    with socket.create_connection(("127.0.0.1", alice.port), timeout=60) as prober:
        prober.sendall(b"GET / HTTP/1.1\r\nHost: " + cover.host.encode() + b"\r\n\r\n" + b"\r\n" * 2000)
        assert prober.recv(100)
    seen = counted(runtime, engine, lambda c: c.fronted == 1 and c.fronted_bytes and not c.clients)
    assert (seen.down, seen.up, seen.connections) == (0, 0, 0)


def test_all_addresses_and_a_restart_on_the_same_port(runtime, engine, declared, user, free_port):
    alice = user(port=free_port())
    workload = run(runtime, engine, alice, declared, bind="")
    hosts = ["127.0.0.1"] + (["::1"] if workload.place.listen.startswith("[::]") else [])
    for _ in range(2):
        clients = [socket.create_connection((host, alice.port), timeout=60) for host in hosts]
        runtime.stop(workload.name)
        for client in clients:
            client.settimeout(60)
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
            client.close()
        runtime.start(workload.name)
    (observed,) = runtime.observe()
    assert observed.state == RUNNING


def test_only_the_builtin_engine_can_be_slowed_down(runtime, engine, declared, user, free_port):
    workload = run(runtime, engine, user(port=free_port()), declared)
    assert runtime.throttled(workload.name) is None
    if engine.name == "builtin":
        for limit in (5_000_000, 1_000_000):
            runtime.throttle(workload.name, limit)
            assert runtime.throttled(workload.name) == limit
    else:
        with pytest.raises(RuntimeFailure, match="mtg as a local process has no speed limit"):
            runtime.throttle(workload.name, 1_000_000)
    runtime.throttle(workload.name, None)
    assert runtime.throttled(workload.name) is None


def test_a_config_that_the_engine_refuses_is_told_in_its_words(runtime, engine, declared, user, free_port):
    workload = engine.workload(user(port=free_port()), declared, runtime.place(1, "127.0.0.1"))
    files = {"config.toml": 'secret = "ee00"\nbind-to = "127.0.0.1:1"\n'}
    broken = Workload(**{**vars(workload), "files": files})
    runtime.create(broken)
    with pytest.raises(RuntimeFailure, match="exited with code 1; its last line: .*secret"):
        runtime.start(broken.name)
