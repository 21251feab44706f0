"""A fleet on port 443: the real nginx, the real Docker engine, the test DC behind the proxies.

    with lab443.stage(folder, image) as stage:
        link = stage.fleet.add_user("Alice").tg_link    # leads to 127.0.0.1 and the port nginx is published on
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import hashlib
import os
import random
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from docker import APIClient

from app.checks.addresses import Addresses
from app.control.records import UserView
from app.edge.base import Certificate, Edge
from app.engines.base import Engine, by_name
from app.engines.builtin import BuiltinImage
from app.engines.mtg.engine import MtgImage
from app.engines.telemt.engine import TelemtImage
from app.lib import portmap
from app.mtproto.faketls_client import AnswerError
from app.runtimes.docker.runtime import DockerRuntime
from app.runtimes.docker.spec import INSTANCE
from tests.docker import images
from tests.support import docker_lab, edge_lab, traefik_lab
from tests.support.cover import free_port
from tests.support.dc import DataCenter
from tests.support.docker_lab import forget, patient
from tests.support.fleet import Fleet
from tests.support.stream import Stream, StreamBroken, trouble
from tests.support.telemt_lab import Clients

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000

#: A domain of the operator's: it, and every name under it, leads to this server.
BASE = "cover.test"
PANEL = "panel.test"
#: Where every other name leads.
ELSEWHERE = "192.0.2.1"


def resolve(host: str, *_: object) -> list[tuple]:
    """The DNS of the tests; see socket.getaddrinfo."""
    here = host in (BASE, PANEL) or host.endswith(f".{BASE}")
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1" if here else ELSEWHERE, 0))]


def tls(address: tuple[str, int], name: str, trusted: Path) -> ssl.SSLSocket:
    """A TLS connection with this SNI, to a server that has a valid chain for it. trusted: a CA file."""
    plain = socket.create_connection(address, 30)
    try:
        return ssl.create_default_context(cafile=str(trusted)).wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def spki(certificate: Certificate) -> str:
    """The fingerprint of its key by which Chromium can be told to take it."""
    public = x509.load_pem_x509_certificate(certificate.chain.encode()).public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public).digest()).decode()


class IssuedByTest:
    """Stands where certbot is: the certificates of the tests are put into the panel's store by hand."""

    def obtain(self, *_: object) -> None:
        raise AssertionError("no test of these asks for a certificate")

    def read(self, name: str) -> Certificate | None:
        return None


def troubles(users: Iterable[UserView]) -> list[str]:
    """What the links of these users run into; empty if all of them pass."""
    return [f"{user.name}: {why}" for user in users if (why := trouble(user.tg_link))]


@dataclass
class Guest:
    """A machine of its own in the proxies' network, as far as the network can tell: a client with an address."""

    ip: str
    pid: int

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to write before a command that is to run over there."""
        return "nsenter", "--target", str(self.pid), "--net"

    def run(self, function: Callable[[], T]) -> T:
        """Call it in a thread whose sockets are over there. Raises what it raises."""

        def there() -> T:
            library = ctypes.CDLL(None, use_errno=True)
            with open(f"/proc/{self.pid}/ns/net") as namespace:
                if library.setns(namespace.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), namespace.name)
            return function()

        with ThreadPoolExecutor(1) as one:
            return one.submit(there).result()


@dataclass
class Stage:
    """lab: nginx. center: the test DC. panel_port: where nginx looks for the panel, at lab.gateway.
    first: the settings that reset() goes back to. guests: containers that it removes."""

    fleet: Fleet
    lab: edge_lab.Lab
    center: DataCenter
    authority: edge_lab.Authority
    hands: APIClient
    panel_port: int
    first: dict[str, object] = field(default_factory=dict)
    guests: list[str] = field(default_factory=list)

    @property
    def public(self) -> int:
        """The port of 127.0.0.1 that leads to nginx's 443."""
        return self.lab.ports[443]

    def inside(self, link: str) -> str:
        """The link as it is for a guest, who reaches nginx at its own address."""
        return link.replace(f"server=127.0.0.1&port={self.public}&", f"server={self.lab.ip}&port=443&")

    def certify(self, *names: str, name: str = "cover-1") -> None:
        """Have the authority of the tests issue one certificate for these names, and nginx serve it."""
        self.fleet.port443.certificates.store.save(self.authority.certificate(name, *names))
        self.fleet.reconcile()

    def metrics(self, workload: str) -> str:
        """What the engine in this container says of itself."""
        with socket.create_connection((self.address(workload), portmap.METRICS), 30) as stream:
            return edge_lab.ask(stream, "metrics")[1]

    def counters(self, workload: str):
        return self.fleet.engine.counters(self.metrics(workload))

    def address(self, workload: str) -> str:
        """The container's address in the proxies' network."""
        found = self.hands.inspect_container(workload)["NetworkSettings"]["Networks"]
        return found[self.lab.network]["IPAddress"]

    def version(self) -> str:
        """What nginx serves; another one after each change. "" only if it does not answer at all."""
        end = time.monotonic() + 30
        while not (version := self.lab.nginx.served()) and time.monotonic() < end:
            time.sleep(0.05)  # it has a second to answer, which a busy machine may need for other things
        return version

    def guest(self) -> Guest:
        """A new one; it is there until reset()."""
        made = self.hands.create_container(
            images.ensure_base(), ["sleep", "600"], labels={edge_lab.LABEL: self.lab.name},
            networking_config=self.hands.create_networking_config(
                {self.lab.network: self.hands.create_endpoint_config()}))["Id"]
        self.hands.start(made)
        self.guests.append(made)
        told = self.hands.inspect_container(made)
        return Guest(told["NetworkSettings"]["Networks"][self.lab.network]["IPAddress"],
                     told["State"]["Pid"])

    def reset(self) -> None:
        """No users, no guests, no certificates, and the settings as they were."""
        while self.guests:
            forget(self.hands, self.guests.pop())
        store = self.fleet.port443.certificates.store
        for name in store.load():
            store.remove(name)
        self.lab.start()
        # An nginx that was stopped is published on another port afterwards.
        again = replace(self.fleet.port443, public_port=self.public)
        self.fleet.port443 = self.fleet.reconciler.port443 = self.fleet.reconciler.edge.port443 = again
        for left in (self.lab.folder / "custom.d").glob("*"):
            left.unlink()
        with self.fleet.file.edit() as config:
            config.users.clear()
            for key, value in self.first.items():
                setattr(config, key, value)
        self.fleet.reconcile()
        self.fleet.reconciler.backoff.failures.clear()
        self.fleet.reconciler.edge.backoff.failures.clear()


@contextlib.contextmanager
def served_by(stage: Stage, which: str) -> Iterator[None]:
    """This engine for everybody: "builtin", "telemt's stand-in", or the real "telemt" or "mtg" of TELEMT_BIN and
    MTG_BIN."""
    fleet, before = stage.fleet, dict(stage.fleet.engines)
    builtin = f"mtproto-builtin-{fleet.runtime.instance}"
    first: Engine = MtgImage()
    if which == "builtin":
        stage.hands.tag(docker_lab.builtin_image(), builtin, "test")
        first = BuiltinImage(f"{builtin}:test")
    elif which.startswith("telemt"):
        first = TelemtImage()
        fleet.set_settings({"telemt_image": docker_lab.telemt_image("telemt" if which == "telemt" else "stand-in")})
    else:
        fleet.set_settings({"proxy_image": docker_lab.real_mtg_image(os.environ["REAL_MTG"])})
    fleet.engines.clear()
    fleet.engines.update(by_name(first, MtgImage()))
    try:
        yield
    finally:
        for user in fleet.users():
            fleet.remove(user.id)
        fleet.engines.clear()
        fleet.engines.update(before)
        if which == "builtin":
            stage.hands.remove_image(f"{builtin}:test", force=True)


@contextlib.contextmanager
def phones(count: int) -> Iterator[list[str]]:
    """Addresses that this machine has meanwhile."""
    found = [f"198.19.{random.randrange(256)}.{number}" for number in range(1, count + 1)]
    for address in found:
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    try:
        yield found
    finally:
        for address in found:
            subprocess.run(["ip", "address", "delete", f"{address}/32", "dev", "lo"], check=True)


def comes(clients: Clients, link: str, source: str) -> Stream | None:
    """A session from this address, None if it is refused."""
    with contextlib.suppress(OSError, StreamBroken, AnswerError):
        stream = clients.do(Stream.open(link, source=source))
        clients.do(stream.req_pq())
        return stream
    return None


@contextlib.contextmanager
def _edge(data: Path, panel_port: int, newer: bool, traefik: bool) -> Iterator[tuple[edge_lab.Lab, Edge]]:
    if traefik:
        with traefik_lab.lab(data, panel_port) as routed:
            yield routed.nginx, routed.edge
    else:
        with edge_lab.lab(data / "nginx", panel_port=panel_port, newer=newer) as lab:
            yield lab, lab.nginx


@contextlib.contextmanager
def stage(folder: Path, image: str, panel_port: int = 8080, newer: bool = False, traefik: bool = False,
          **settings: object) -> Iterator[Stage]:
    """image: of the proxies. panel_port: of this machine, where nginx looks for the panel. newer: see edge_lab.
    traefik: it stands before nginx."""
    instance = f"port443-{uuid.uuid4().hex[:8]}"
    hands = APIClient(version="auto")
    try:
        with _edge(folder / "data", panel_port, newer, traefik) as (lab, edge):
            runtime = patient(DockerRuntime(instance, lab.network))
            center = DataCenter(host=lab.gateway).start()
            try:
                fleet = Fleet(folder / "data", runtime, MtgImage(), edge=edge, certbot=IssuedByTest(),
                              addresses=Addresses(resolve, seconds=60), public_port=lab.ports[443])
                fleet.set_settings({
                    "proxy_image": image, "upstream_socks5": center.socks5, "server_ip": "127.0.0.1",
                    "proxy_bind": "127.0.0.1", "proxy_port": str(free_port()), "port_443_mode": True, **settings})
                yield Stage(fleet, lab, center, edge_lab.Authority(folder), hands, panel_port,
                            fleet.settings())
            finally:
                center.stop()
                runtime.close()
                for container in hands.containers(all=True, filters={"label": f"{INSTANCE}={instance}"}):
                    forget(hands, container["Id"])
    finally:
        hands.close()
