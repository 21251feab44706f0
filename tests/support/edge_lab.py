"""The real nginx in a container, as docker-compose.yml runs it, in a network of a test's own.

    with edge_lab.lab(tmp_path / "nginx") as lab:
        lab.nginx.apply(EdgeConfig(...))
        lab.address(443)        # ("127.0.0.1", port) that leads to the container's 443

Everything of it is removed at the end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from docker import APIClient
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from app.edge.base import Certificate
from app.edge.nginx.edge import Nginx
from app.lib import portmap
from app.runtimes.docker.service import ROLE, Service
from tests.docker import images
from tests.docker.images import ROOT
from tests.support.docker_lab import engine_or_skip, forget, unhurried

#: What this lab's containers and networks carry, with the lab's own name as the value.
LABEL = "mtproto.test.edge"
PUBLISHED = (80, 443, 8080, portmap.DOOR)


@dataclass
class Lab:
    """A running nginx. folder: data/nginx. ip: its address in `network`; gateway: this machine's.

    nginx: what a panel that listens at "{gateway}:{panel_port}" would use. front: the first three numbers of
    the panel's network, from which clients come, "" where all is in one network. newer: an nginx of Debian 13.
    """

    api: APIClient
    name: str
    network: str
    prefix: str
    folder: Path
    challenge: Path
    nginx: Nginx
    front: str = ""
    newer: bool = False
    container: str = ""
    ports: dict[int, int] = field(default_factory=dict)

    @property
    def ip(self) -> str:
        return f"{self.prefix}.254"

    @property
    def gateway(self) -> str:
        return f"{self.prefix}.1"

    def address(self, port: int) -> tuple[str, int]:
        """Where this machine reaches the container's port: 80, 443, 8080, or that of the door at the bare address."""
        return "127.0.0.1", self.ports[port]

    def start(self) -> None:
        """Start the container, the first time or after stop(); returns once it answers."""
        if not self.container:
            self.container = self._create()
        self.api.start(self.container)
        bound = self.api.inspect_container(self.container)["NetworkSettings"]["Ports"]
        self.ports = {port: int(bound[f"{port}/tcp"][0]["HostPort"]) for port in PUBLISHED}
        end = time.monotonic() + 60
        while not self._healthy():
            assert time.monotonic() < end, f"nginx does not come up; it said: {self.log()}"
            time.sleep(0.05)

    def stop(self) -> None:
        self.api.stop(self.container, timeout=1)

    def log(self) -> str:
        """What nginx wrote."""
        return self.api.logs(self.container).decode(errors="replace")

    def remove(self) -> None:
        if self.container:
            forget(self.api, self.container)
            self.container = ""

    def workers(self) -> int:
        """Worker processes of nginx, those that are shutting down included."""
        return sum("nginx: worker" in " ".join(row) for row in self.api.top(self.container)["Processes"])

    def connect(self, name: str, port: int = 443, trusted: Path | None = None,
                protocols: tuple[str, ...] = ()) -> ssl.SSLSocket:
        """A TLS connection with this SNI ("" for none). trusted: a CA file, to verify the chain by."""
        context = ssl.create_default_context(cafile=str(trusted) if trusted else None)
        if not trusted:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if protocols:
            context.set_alpn_protocols(list(protocols))
        plain = socket.create_connection(self.address(port), 30)
        try:
            return context.wrap_socket(plain, server_hostname=name or None)
        except BaseException:
            plain.close()
            raise

    def page(self, name: str, path: str = "/", trusted: Path | None = None) -> tuple[int, str]:
        """(status, body) of an HTTPS request with this SNI and Host."""
        with self.connect(name, trusted=trusted) as stream:
            return ask(stream, name, path)

    def plain(self, name: str, path: str = "/", port: int = 80) -> tuple[int, str]:
        """(status, whole answer with its head) of an HTTP request; (0, "") if nginx just closes."""
        with socket.create_connection(self.address(port), 30) as stream:
            return ask(stream, name, path, head=True)

    def _healthy(self) -> bool:
        try:
            return self.plain("x", "/.well-known/acme-challenge/none")[0] == 404
        except OSError:
            return False

    def _create(self) -> str:
        host = self.api.create_host_config(
            read_only=True, tmpfs={**dict.fromkeys(("/run", "/tmp", "/var/cache/nginx", "/var/lib/nginx"), ""),
                                   "/run/refused": "size=4m"},
            cap_drop=["ALL"], cap_add=["CHOWN", "SETGID", "SETUID", "NET_BIND_SERVICE"],
            security_opt=["no-new-privileges:true"], group_add=[str(os.getgid())],
            binds=[f"{ROOT}/nginx/nginx.conf:/etc/nginx/nginx.conf:ro",
                   f"{ROOT}/nginx/panel.conf:/etc/nginx/panel.conf:ro",
                   f"{self.folder}:/etc/nginx/edge:ro", f"{self.challenge}:/var/www/certbot:ro"],
            port_bindings=dict.fromkeys(PUBLISHED, ("127.0.0.1", None)))
        endpoint = self.api.create_endpoint_config(ipv4_address=self.ip, aliases=["nginx"])
        door = f"{self.front}.254" if self.front else "0.0.0.0"
        start = f"echo 'listen {door}:8080 default_server;' >/run/door.conf && exec nginx -g 'daemon off;'"
        made = self.api.create_container(
            images.ensure_newer_nginx() if self.newer else images.ensure_nginx(),
            ["sh", "-c", start], name=f"{self.name}-nginx",
            labels={ROLE: "nginx", LABEL: self.name}, ports=list(PUBLISHED), host_config=host,
            networking_config=self.api.create_networking_config({self.network: endpoint}))["Id"]
        if self.front:
            self.api.connect_container_to_network(made, f"0-{self.network}", ipv4_address=f"{self.front}.254")
        return made


@contextlib.contextmanager
def lab(folder: Path, network: str = "", panel_port: int = 8080, start: bool = True,
        apart: bool = False, newer: bool = False) -> Iterator[Lab]:
    """nginx with `folder` as data/nginx. network: the name of the network that is made ("": one by itself).

    apart: with a network of its own for the panel and the clients, as docker-compose.yml has it. newer: with an nginx
    that can keep limits on addresses."""
    engine_or_skip()
    name = f"edge-{secrets.token_hex(4)}"
    network = network or f"mtproto-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    challenge = folder.parent / f"{folder.name}-challenge"
    challenge.mkdir(exist_ok=True)
    for each in (folder, challenge):
        each.chmod(0o755)
    api = APIClient(version="auto", timeout=60)
    made = None
    try:
        prefix = _network(api, name, network)
        front = _network(api, name, f"0-{network}") if apart else ""
        service = Service("nginx", network)
        unhurried(service._engine)
        nginx = Nginx(folder, service, f"{prefix}.254", panel=f"{front or prefix}.1:{panel_port}",
                      proxies=f"{prefix}.0/24" if apart else "", panel_side=f"{front}.254" if apart else "")
        made = Lab(api, name, network, prefix, folder, challenge, nginx, front, newer)
        if start:
            made.start()
        yield made
    finally:
        for container in api.containers(all=True, filters={"label": f"{LABEL}={name}"}):
            forget(api, container["Id"])
        for each in (network, f"0-{network}"):
            with contextlib.suppress(APIError):
                for container in api.inspect_network(each)["Containers"]:
                    api.disconnect_container_from_network(container, each, force=True)
                api.remove_network(each)
        api.close()


def _network(api: APIClient, name: str, network: str) -> str:
    """Make the network; the first three numbers of its addresses."""
    for _ in range(20):
        # Outside of what Docker itself hands out.
        prefix = f"10.{secrets.choice(range(100, 250))}.{secrets.choice(range(1, 250))}"
        pool = IPAMConfig(pool_configs=[IPAMPool(subnet=f"{prefix}.0/24", gateway=f"{prefix}.1")])
        try:
            api.create_network(network, driver="bridge", ipam=pool, labels={LABEL: name})
            return prefix
        except APIError as error:
            if "overlaps" not in str(error):
                raise
    raise RuntimeError("no free subnet was found")


def ask(stream: socket.socket, host: str, path: str = "/", head: bool = False,
        method: str = "GET", more: str = "") -> tuple[int, str]:
    """(status, body, or with `head` the whole answer) of one HTTP request; (0, "") for a closed connection."""
    stream.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n".encode())
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while part := stream.recv(65536):
            answer += part
    if not answer:
        return 0, ""
    text = answer.decode(errors="replace")
    return int(text.split()[1]), text if head else text.partition("\r\n\r\n")[2]


class Authority:
    """A certificate authority of the test's own. `file`: its certificate (PEM), for clients."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
        root = self._sign(self._name, self._key.public_key(), (), 30, ca=True)
        self.file = folder / f"authority-{secrets.token_hex(4)}.pem"
        self.file.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def certificate(self, name: str, *domains: str, days: float = 60) -> Certificate:
        """What certbot would have got for these domains."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domains[0][:64])])
        leaf = self._sign(subject, key.public_key(), domains, days)
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption())
        return Certificate(name, domains, leaf.public_bytes(serialization.Encoding.PEM).decode(),
                           private.decode(), leaf.not_valid_before_utc, leaf.not_valid_after_utc)

    def _sign(self, subject: x509.Name, public: ec.EllipticCurvePublicKey, domains: tuple[str, ...],
              days: float, ca: bool = False) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(public)
                   .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
                   .not_valid_after(now + timedelta(days=days))
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
        if domains:
            names = x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())
