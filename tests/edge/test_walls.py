"""nginx between the networks, as docker-compose.yml has it: what a proxy reaches, and what one address can take.

The lab's own network is that of the proxies; `front` is the panel's, through which everybody else comes.
"""

from __future__ import annotations

import contextlib
import http.server
import re
import resource
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.edge.base import EdgeConfig
from tests.docker import images
from tests.docker.images import ROOT
from tests.support import edge_lab
from tests.support.cover import free_port
from tests.support.docker_lab import eventually, forget
from tests.support.edge_backend import Backend, Call, client_hello
from tests.support.edge_lab import Authority, Lab
from tests.support.lab443 import Guest

PANEL, ALICE, LOOP = "panel.example.org", "alice.pool.test", "loop.pool.test"
SHARE = 200


class Panel(http.server.BaseHTTPRequestHandler):
    """Stands in for the panel."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"the panel")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def many_sockets() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    port = free_port()
    with edge_lab.lab(tmp_path_factory.mktemp("walls") / "nginx", panel_port=port, apart=True) as lab:
        panel = http.server.ThreadingHTTPServer((f"{lab.front}.1", port), Panel)
        threading.Thread(target=panel.serve_forever, daemon=True).start()
        yield lab
        panel.shutdown()
        panel.server_close()


@pytest.fixture(scope="module")
def alice(lab: Lab) -> Iterator[Backend]:
    backend = Backend("alice", lab.gateway)
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def site(lab: Lab, alice: Backend, tmp_path_factory: pytest.TempPathFactory) -> EdgeConfig:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    return EdgeConfig(routes={ALICE: alice.address}, own_names=("example.com",), panel_domain=PANEL,
                nginx_connections_per_address=SHARE,
                certificates=(authority.certificate("panel", PANEL), authority.certificate("cover-1", "example.com")))


@pytest.fixture
def served(lab: Lab, site: EdgeConfig) -> Lab:
    lab.nginx.apply(site)
    return lab


@contextlib.contextmanager
def guest(lab: Lab, network: str) -> Iterator[Guest]:
    """A machine in this network."""
    made = lab.api.create_container(
        images.ensure_base(), ["sleep", "600"], labels={edge_lab.LABEL: lab.name},
        networking_config=lab.api.create_networking_config({network: lab.api.create_endpoint_config()}))["Id"]
    lab.api.start(made)
    told = lab.api.inspect_container(made)
    try:
        yield Guest(told["NetworkSettings"]["Networks"][network]["IPAddress"], told["State"]["Pid"])
    finally:
        forget(lab.api, made)


def client(lab: Lab) -> contextlib.AbstractContextManager[Guest]:
    """Somebody with an address of their own, as on the internet."""
    return guest(lab, f"0-{lab.network}")


def open_sockets(lab: Lab) -> int:
    """How many connections nginx has."""
    listed = subprocess.run(["nsenter", "--target", str(lab.api.inspect_container(lab.container)["State"]["Pid"]),
                             "--net", "cat", "/proc/net/tcp", "/proc/net/tcp6"], capture_output=True, text=True,
                            check=True).stdout
    return sum(line.split()[3] == "01" for line in listed.splitlines() if ": " in line)


def answer(address: str, port: int, said: bytes = b"") -> str:
    """What a connection meets: "open" (it goes on), "closed", "refused" or "nothing" (nobody is there)."""
    try:
        stream = socket.create_connection((address, port), 3)
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "nothing"
    with stream, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        stream.sendall(said)
        stream.settimeout(3)
        try:
            return "open" if stream.recv(100) else "closed"
        except TimeoutError:
            return "open"
    return "closed"


# What a proxy reaches


def test_from_a_proxys_network_nothing_of_the_panel_answers(served: Lab):
    hello = client_hello(PANEL)
    with guest(served, served.network) as proxy:
        request = b"GET / HTTP/1.0\r\n\r\n"
        doors = [(address, port) for address in (served.ip, f"{served.front}.254", f"{served.front}.1")
                 for port in (443, 8080, 8081, 8082, 8448, 8449, 8450)]

        def knock() -> list[str]:
            with ThreadPoolExecutor(len(doors)) as pool:  # whose threads are over there, too
                return list(pool.map(lambda door: answer(*door, hello if door[1] == 443 else request), doors))

        met = dict(zip(doors, proxy.run(knock), strict=True))
        assert met.pop((served.ip, 443)) == "closed", "nginx turns it away, whatever name it asks for"
        assert set(met.values()) <= {"refused", "nothing"}, met
        with pytest.raises(OSError):
            proxy.run(lambda: _tls(served.ip, 443, PANEL))
        # ... and what it needs does: the cover, and the file for mtg's timing.
        assert proxy.run(lambda: answer(served.ip, 8444)) == "open"
        assert proxy.run(lambda: _tls(served.ip, 8445, "x"))


def test_everybody_else_gets_all_of_it(served: Lab):
    with client(served) as visitor:
        assert visitor.run(lambda: _tls(f"{served.front}.254", 443, PANEL))
        assert visitor.run(lambda: _plain(f"{served.front}.254", 80)).startswith("HTTP/1.1 301")
    with Call(served.address(443), ALICE) as call:
        assert call.met == "alice" and call.own[0] == "127.0.0.1"
    assert served.nginx.served()


def _tls(address: str, port: int, name: str) -> str:
    """The TLS version of a whole handshake. Raises OSError."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((address, port), 30) as plain, \
            context.wrap_socket(plain, server_hostname=name) as stream:
        return stream.version()


def _plain(address: str, port: int) -> str:
    with socket.create_connection((address, port), 30) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        return stream.makefile("rb").read().decode(errors="replace")


# A name that leads back


#: An engine that takes nobody for a client, and passes everybody on to the address in its argument, as mtg does: it
#: does not know its own connections again.
_PASSES_ON = """
import contextlib, socket, sys, threading
def pump(a, b):
    with contextlib.suppress(OSError):
        while data := a.recv(65536):
            b.sendall(data)
    for each in (a, b):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
def serve(visitor):
    print("somebody came", flush=True)
    head = b""
    while not head.endswith(b"\\r\\n"):  # the PROXY header
        head += visitor.recv(1)
    cover = socket.create_connection((sys.argv[1], 443))
    threading.Thread(target=pump, args=(cover, visitor), daemon=True).start()
    pump(visitor, cover)
server = socket.create_server(("", 3128), backlog=1000)
print("serving", flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


@pytest.fixture
def looping_engine(served: Lab) -> Iterator[tuple[str, Callable[[], int]]]:
    """A proxy whose strangers are passed on to nginx itself: its address, and how many came to it."""
    made = served.api.create_container(
        images.ensure_python(), ["python3", "-c", _PASSES_ON, served.ip], labels={edge_lab.LABEL: served.name},
        networking_config=served.api.create_networking_config({served.network: served.api.create_endpoint_config()}))
    served.api.start(made["Id"])
    eventually(lambda: b"serving" in served.api.logs(made["Id"]), "the engine serves")
    told = served.api.inspect_container(made["Id"])["NetworkSettings"]["Networks"][served.network]["IPAddress"]
    yield f"{told}:3128", lambda: served.api.logs(made["Id"]).count(b"somebody came")
    forget(served.api, made["Id"])


def test_one_wrong_hello_to_a_name_that_leads_back_here_goes_round_once(
        served: Lab, site: EdgeConfig, looping_engine: tuple[str, Callable[[], int]]):
    address, came = looping_engine
    served.nginx.apply(EdgeConfig(**{**vars(site), "routes": {**site.routes, LOOP: address}}))
    with Call(served.address(443), LOOP) as call:
        assert call.first == b"" and not call.echoes(), "it is closed"
    assert came() == 1


# A share for each address


def half(lab: Lab, count: int, said: bytes) -> list[socket.socket]:
    """So many connections that begin a handshake, and no more."""
    sockets = []
    for _ in range(count):
        stream = socket.create_connection((f"{lab.front}.254", 443), 60)
        with contextlib.suppress(OSError):  # the share is used up: nginx has closed it
            stream.sendall(said)
        sockets.append(stream)
    return sockets


def test_thousands_of_half_handshakes_from_one_address_leave_443_to_the_others(served: Lab):
    log = len(served.log())
    with client(served) as attacker, client(served) as visitor:
        hellos = [client_hello(name) for name in (PANEL, "unknown.test", ALICE)]
        sockets = attacker.run(lambda: [s for said in (*hellos, b"") for s in half(served, 1500, said)])
        assert len(sockets) == 6000
        with contextlib.ExitStack() as stack:
            for each in sockets:
                stack.callback(each.close)
            assert open_sockets(served) < 6 * SHARE
            for _ in range(10):
                assert visitor.run(lambda: _tls(f"{served.front}.254", 443, PANEL))
                with visitor.run(lambda: Call((f"{served.front}.254", 443), ALICE)) as call:
                    assert call.met == "alice" and call.echoes()
        assert served.nginx.turned_away() >= 6000 - 2 * SHARE
        assert served.nginx.turned_away() == 0, "counted once"
        eventually(lambda: attacker.run(lambda: _reaches(served)), "the share is free again")
        said = served.log()[log:]
        assert attacker.ip not in said and visitor.ip not in said


def _reaches(lab: Lab) -> bool:
    try:
        return bool(_tls(f"{lab.front}.254", 443, PANEL))
    except OSError:
        return False


def test_a_handshake_that_does_not_go_on_is_ended_whatever_it_began_with(served: Lab):
    began = [*half(served, 1, b""), *(half(served, 1, client_hello(name)[:-9])[0] for name in (PANEL, "unknown.test")),
             *(half(served, 1, client_hello(name))[0] for name in (PANEL, "unknown.test"))]
    for stream in began:
        with stream, contextlib.suppress(ConnectionResetError):
            while stream.recv(65536):  # what nginx says to a hello; then the end
                pass


def test_nothing_that_strangers_do_is_logged_with_their_address(served: Lab):
    """When connections run out nginx says so as an alert, and of odd handshakes as crit."""
    with client(served) as stranger:
        log = len(served.log())
        hello = client_hello("example.com")
        odd = [hello[:position] + bytes(byte ^ 0xFF for byte in hello[position:])
               for position in range(9, len(hello), 120)]
        for said in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x02\x01\x00", *odd):
            stranger.run(lambda: answer(f"{served.front}.254", 443, said))
        assert stranger.ip not in served.log()[log:] and f"{served.front}.1" not in served.log()[log:]
    levels = re.findall(r"^    error_log \S+ (\w+);", (ROOT / "nginx/nginx.conf").read_text(), re.MULTILINE)
    assert levels == ["emerg", "emerg"]


def test_a_customer_has_one_share_for_all_their_ipv6_addresses(served: Lab, site: EdgeConfig):
    served.nginx.apply(EdgeConfig(**{**vars(site), "nginx_connections_per_address": 16}))
    pid = served.api.inspect_container(served.container)["State"]["Pid"]
    inside = Guest("", pid)
    theirs = [f"2001:db8:0:1::{n:x}" for n in (1, 0xa, 0x10, 0xa0a)]
    other = "2001:db8:0:2::1"
    over_there = ("nsenter", "--target", str(pid), "--net")
    # The containers of these tests have no IPv6 but what is put on their loopback.
    for command in (("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0"),
                    ("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0"),
                    *(("ip", "-6", "address", "add", f"{each}/128", "dev", "lo", "nodad")
                      for each in (*theirs, other))):
        subprocess.run([*over_there, *command], check=True)

    def call(source: str) -> Call | None:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((source, 0))
        stream = socket.create_connection((other, 443), 60, (source, 0))
        stream.sendall(client_hello(ALICE))
        with contextlib.suppress(ConnectionResetError):
            if stream.recv(64):
                return stream
        stream.close()
        return None

    held = [inside.run(lambda: call(theirs[number % 4])) for number in range(20)]
    try:
        assert sum(each is not None for each in held) == 16, "by whichever address they come"
        with inside.run(lambda: call(other)) as stream:
            assert stream
    finally:
        for each in filter(None, held):
            each.close()
