"""The real nginx keeps a limit on the addresses of a link: who gets in, and when a place is free again."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.edge.base import EdgeConfig, EdgeUnavailable
from app.edge.nginx import edge as nginx_module
from app.edge.nginx.render import RenderContext, render
from app.runtimes.base import Devices
from tests.support import edge_lab
from tests.support.docker_lab import eventually
from tests.support.edge_backend import Backend, Call
from tests.support.edge_lab import Authority, Lab, ask
from tests.support.lab443 import Guest

ALICE, BOB, CAROL = "alice.pool.test", "bob.pool.test", "carol.example.com"
PHONES = [f"203.0.113.{number}" for number in range(1, 61)]
#: Two of one customer, and one of another.
IPV6 = ["2001:db8:0:1::1", "2001:db8:0:1:a:b:c:d", "2001:db8:0:2::1"]


@dataclass
class Stage:
    """nginx, and clients that have the addresses of PHONES and IPV6: they live in its own network namespace."""

    lab: Lab
    guest: Guest
    open: list[Call]

    def call(self, source: str, name: str = ALICE) -> Call:
        target = ("::1" if ":" in source else self.lab.ip, 443)
        made = self.guest.run(lambda: Call(target, name, source))
        self.open.append(made)
        return made

    def devices(self, name: str = ALICE) -> Devices:
        return self.lab.nginx.devices()[name]

    def holds(self, count: int, name: str = ALICE) -> None:
        eventually(lambda: self.devices(name).now == count, f"{count} addresses are counted for {name}")

    def fresh(self, site: EdgeConfig) -> None:
        """Serve this, with nobody connected."""
        for call in self.open:
            call.close()
        self.open.clear()
        self.lab.nginx.apply(site)
        for name in site.device_limits:
            self.holds(0, name)

    def workers(self) -> list[int]:
        """Pids of the workers, as this machine counts them."""
        return [int(row[1]) for row in self.lab.api.top(self.lab.container)["Processes"] if "nginx: worker" in row[-1]]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with edge_lab.lab(tmp_path_factory.mktemp("devices") / "nginx", newer=True) as lab:
        yield lab


@pytest.fixture(scope="module")
def people(lab: Lab) -> Iterator[dict[str, Backend]]:
    backends = {name: Backend(name.partition(".")[0], lab.gateway) for name in (ALICE, BOB, CAROL)}
    yield backends
    for backend in backends.values():
        backend.stop()


@pytest.fixture(scope="module")
def site(people: dict[str, Backend], tmp_path_factory: pytest.TempPathFactory) -> EdgeConfig:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    return EdgeConfig(routes={name: backend.address for name, backend in people.items()}, unknown_sni="reject",
                      own_names=("example.com", CAROL), device_limits={ALICE: 2, CAROL: 1},
                      certificates=(authority.certificate("cover-1", "example.com", CAROL),))


@pytest.fixture
def stage(lab: Lab, site: EdgeConfig) -> Iterator[Stage]:
    made = Stage(lab, here(lab), [])
    made.fresh(site)
    yield made
    for call in made.open:
        call.close()


def here(lab: Lab) -> Guest:
    """A client inside nginx's own network namespace, with all those addresses."""
    pid = lab.api.inspect_container(lab.container)["State"]["Pid"]
    guest = Guest("", pid)
    script = "sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0\n" + "\n".join(
        [f"ip address replace {each}/32 dev lo" for each in PHONES]
        + [f"ip -6 address replace {each}/128 dev lo nodad" for each in (*IPV6, "::1")])
    subprocess.run([*guest.prefix, "sh", "-ec", script], check=True)
    return guest


# Who gets in


def test_who_has_lost_their_network_is_looked_for_every_minute(stage: Stage):
    stage.call(PHONES[0])
    told = subprocess.run([*stage.guest.prefix, "ss", "-tnoH", "sport", "=", ":443"], check=True, capture_output=True,
                          text=True).stdout
    seconds = [int(left) for left in re.findall(r"timer:\(keepalive,(\d+)sec", told)]
    assert len(seconds) == 1 and 50 < seconds[0] <= 60, told


def test_one_address_too_many_is_refused_and_let_in_as_soon_as_one_leaves(stage: Stage):
    phone, _ = stage.call(PHONES[0]), stage.call(PHONES[1])
    assert stage.call(PHONES[2]).met == ""
    assert stage.devices() == Devices(2, 2, 1, (PHONES[0], PHONES[1]))
    phone.close()
    stage.holds(1)
    assert stage.call(PHONES[2]).met == "alice" and phone.met == "alice"
    assert stage.devices().addresses == (PHONES[1], PHONES[2])


def test_many_connections_of_one_address_count_as_one_until_the_last_one_ends(stage: Stage):
    calls = [stage.call(PHONES[0]) for _ in range(20)]
    assert {call.met for call in calls} == {"alice"} and stage.devices().now == 1
    for call in calls[1:]:
        call.close()
    assert stage.call(PHONES[1]).met == "alice" and stage.call(PHONES[2]).met == ""
    assert calls[0].echoes()
    calls[0].close()
    stage.holds(1)


def test_an_ipv6_client_that_changes_its_address_in_its_network_counts_as_one(stage: Stage):
    assert [stage.call(each, CAROL).met for each in IPV6[:2]] == ["carol", "carol"]
    assert stage.call(IPV6[2], CAROL).met == ""
    assert stage.devices(CAROL).addresses == ("2001:db8:0:1::/64",)


def test_a_client_that_reconnects_at_once_is_never_refused(stage: Stage):
    for _ in range(60):
        call = stage.call(PHONES[0], CAROL)
        assert call.met == "carol"
        call.close()


def test_a_name_in_capitals_has_the_same_places(stage: Stage):
    assert stage.call(PHONES[0], CAROL.upper()).met == "carol"
    assert stage.call(PHONES[1], CAROL).met == ""


def test_of_many_that_come_at_once_exactly_as_many_get_in_as_there_are_places(stage: Stage, site: EdgeConfig):
    stage.fresh(replace(site, device_limits={ALICE: 7}))
    for _ in range(5):
        with ThreadPoolExecutor(len(PHONES)) as pool:
            calls = list(pool.map(stage.call, PHONES))
        assert sum(call.met == "alice" for call in calls) == 7 == stage.devices().now
        for call in calls:
            call.close()
        stage.holds(0)


def test_users_without_a_limit_are_not_counted(stage: Stage):
    assert {stage.call(phone, BOB).met for phone in PHONES[:5]} == {"bob"}
    assert set(stage.lab.nginx.devices()) == {ALICE, CAROL}


def test_who_is_refused_meets_what_strangers_meet(stage: Stage):
    """A prober learns nothing: the cover site under a name of our own, else what unknown names get."""
    stage.call(PHONES[0], CAROL)
    with stage.lab.connect(CAROL) as stream:
        assert "<title>" in ask(stream, CAROL)[1]
    stage.call(PHONES[0]), stage.call(PHONES[1])
    assert stage.call(PHONES[2]).first == stage.call(PHONES[2], "unknown.test").first != b""


# When a place is free again


def resets(call: Call) -> None:
    call.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    call.close()


@pytest.mark.parametrize("leave", [Call.close, resets])
def test_a_place_is_free_when_its_client_is_gone(stage: Stage, leave: Callable[[Call], None]):
    calls = [stage.call(PHONES[0]) for _ in range(3)]
    for call in calls:
        leave(call)
    stage.holds(0)


@pytest.mark.parametrize("linger", [b"", struct.pack("ii", 1, 0)])
def test_a_place_is_free_when_the_engine_ends_the_connection(stage: Stage, site: EdgeConfig, linger: bytes):
    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = server.accept()
                peer.recv(10)
                if linger:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                peer.close()

    server = socket.create_server((stage.lab.gateway, 0))
    threading.Thread(target=serve, daemon=True).start()
    port = server.getsockname()[1]
    stage.fresh(replace(site, routes={**site.routes, ALICE: f"{stage.lab.gateway}:{port}"}))
    for phone in PHONES[:10]:
        stage.call(phone)
        stage.holds(0)
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def test_an_engine_that_is_away_costs_no_place(stage: Stage, site: EdgeConfig):
    stage.fresh(replace(site, routes={**site.routes, ALICE: f"{stage.lab.gateway}:9"}))
    for phone in PHONES[:5]:
        assert stage.call(phone).first == b""
    stage.holds(0)
    stage.fresh(replace(site, routes={**site.routes, ALICE: "no-such-proxy:3128"}))
    for phone in PHONES[:5]:
        assert stage.call(phone).first == b""
    stage.holds(0)


def test_a_worker_that_is_killed_takes_no_place_with_it(stage: Stage):
    for sent in (signal.SIGKILL, signal.SIGTERM):
        before = set(stage.workers())
        calls = [stage.call(phone) for phone in PHONES[:2]]
        assert stage.call(PHONES[2]).met == ""
        for pid in before:
            subprocess.run(["kill", f"-{sent.value}", str(pid)], check=True)
        eventually(lambda before=before: len(set(stage.workers()) - before) == len(before), "there are new workers")
        assert not any(call.echoes() for call in calls)
        again = [stage.call(phone) for phone in PHONES[2:4]]
        assert [call.met for call in again] == ["alice", "alice"], "at once"
        assert stage.devices().addresses == tuple(PHONES[2:4])
        for call in again:
            call.close()
        stage.holds(0)


def test_a_container_that_is_restarted_begins_with_all_places(stage: Stage, site: EdgeConfig):
    stage.call(PHONES[0]), stage.call(PHONES[1])
    stage.lab.stop()
    stage.lab.start()
    stage.guest = here(stage.lab)
    assert stage.devices() == Devices(2, 0, 0)
    assert stage.lab.nginx.apply(site) is False
    assert [stage.call(phone).met for phone in PHONES[2:5]] == ["alice", "alice", ""]


# Changes


def test_who_is_connected_is_counted_through_reloads_by_old_workers_too(stage: Stage, site: EdgeConfig):
    calls = [stage.call(phone) for phone in PHONES[:2]]
    for number in range(3):
        stage.lab.nginx.apply(replace(site, routes={**site.routes, f"new{number}.test": "new:1"}))
    assert all(call.echoes() for call in calls)
    assert stage.devices().now == 2 and stage.call(PHONES[2]).met == ""
    stage.call(PHONES[0])
    calls[0].close(), calls[1].close()
    stage.holds(1)
    assert stage.call(PHONES[2]).met == "alice" and stage.call(PHONES[3]).met == ""


def test_a_limit_below_what_is_connected_lets_nobody_new_in_until_fewer_are(stage: Stage, site: EdgeConfig):
    calls = [stage.call(phone) for phone in PHONES[:2]]
    stage.lab.nginx.apply(replace(site, device_limits={ALICE: 1}))
    assert all(call.echoes() for call in calls) and stage.call(PHONES[1]).met == "alice", "who is in stays in"
    calls[0].close()
    stage.holds(1)
    before = stage.devices().refused
    assert stage.call(PHONES[2]).met == ""
    assert stage.devices() == Devices(1, 1, before + 1, (PHONES[1],))
    stage.lab.nginx.apply(replace(site, device_limits={ALICE: 3}))
    assert [stage.call(phone).met for phone in PHONES[2:5]] == ["alice", "alice", ""]
    stage.lab.nginx.apply(replace(site, device_limits={}))
    assert stage.call(PHONES[4]).met == "alice" and stage.lab.nginx.devices() == {}


def test_no_script_is_there_while_nobody_has_a_limit_and_none_runs_for_others(site: EdgeConfig, stage: Stage):
    can = nginx_module.abilities.ask(stage.lab.nginx.service)
    files = render(replace(site, device_limits={}), RenderContext(can=can))
    assert not any(path.endswith(".js") or b"js_set" in content or content.count(b"load_module") for path, content
                   in files.items() if path != nginx_module.abilities.MADE_FOR)
    routes = render(site, RenderContext(can=can))["stream.d/port443.conf"].decode()
    assert f"    {BOB} {site.routes[BOB]};\n" in routes and f"    {ALICE} $edge_entered;\n" in routes


def test_a_full_dictionary_keeps_nobody_out(stage: Stage, site: EdgeConfig, monkeypatch: pytest.MonkeyPatch):
    def small(*given: object) -> dict[str, bytes]:
        files = render(*given)
        path = "stream.d/port443.conf"
        return {**files, path: files[path].replace(b"edge_devices:8m", b"edge_devices:32k"), "version": b"small"} | {
            "conf.d/edge.conf": files["conf.d/edge.conf"].replace(files["version"], b"small")}

    monkeypatch.setattr(nginx_module, "render", small)
    names = [f"{'n' * 60}{number}.pool.test" for number in range(120)]
    stage.fresh(replace(site, routes={**site.routes, **dict.fromkeys(names, site.routes[ALICE])},
                        device_limits={**dict.fromkeys(names, 1), ALICE: 1}))
    calls = stage.guest.run(lambda: [Call((stage.lab.ip, 443), name) for name in names])
    stage.open += calls
    assert {call.met for call in calls} == {"alice"}
    kept = stage.lab.nginx.devices()
    assert 0 < sum(each.now for each in kept.values()) < len(names), "it is full"
    assert stage.call(PHONES[0]).met == "alice" == stage.call(PHONES[1]).met
    for call in stage.open:
        call.close()
    eventually(lambda: sum(each.now for each in stage.lab.nginx.devices().values()) == 0, "all is given back")


# An nginx that can't


def test_an_nginx_that_comes_back_without_the_module_comes_up(site: EdgeConfig, tmp_path: Path):
    """Whoever takes another image must not lose port 443 for everybody, for one user's limit."""
    with edge_lab.lab(tmp_path / "nginx", newer=True) as lab:
        lab.nginx.apply(site)
        assert set(lab.nginx.devices()) == {ALICE, CAROL}
        lab.remove()
        with pytest.raises(EdgeUnavailable):
            lab.nginx.apply(site)
        with pytest.raises(EdgeUnavailable):
            lab.nginx.apply(site)
        lab.newer = False
        lab.start()
        assert lab.nginx.apply(site) is False and lab.nginx.devices() == {}
        assert "<title>" in lab.page("example.com")[1]
        lab.stop()
        with pytest.raises(EdgeUnavailable):
            lab.nginx.apply(site)
        lab.remove()
        lab.newer = True
        lab.start()
        assert lab.nginx.apply(site) is True and set(lab.nginx.devices()) == {ALICE, CAROL}


def test_an_nginx_without_the_module_serves_on_without_limits(site: EdgeConfig, tmp_path: Path):
    with edge_lab.lab(tmp_path / "nginx") as lab:
        assert lab.nginx.apply(site) is True and lab.nginx.apply(site) is False
        assert lab.nginx.devices() == {}
        assert "js_" not in (lab.folder / "current/stream.d/port443.conf").read_text()
