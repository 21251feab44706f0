"""A real certbot gets real certificates from Let's Encrypt's test authority, and a real nginx serves them."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from app.certificates.certbot import START, Certbot
from app.certificates.manager import CertificateManager, Result, Store
from app.certificates.selfsigned import SelfSigned
from app.config.model import Config
from app.control.port443 import Port443
from app.edge.base import EdgeConfig
from app.ledger.ledger import Ledger
from app.lib.portmap import DOOR
from app.messages import sentence
from app.runtimes.docker.service import ROLE, Service
from tests.docker import images
from tests.support import edge_lab
from tests.support.pebble import Pebble
from tests.support.problems import codes

#: Making the images the first time on a machine takes minutes.
pytestmark = pytest.mark.timeout(600)

PANEL, NAMES = "panel.example.com", ("example.com", "kodepa.example.com", "lirofu.example.com")


@dataclass
class ManagedCertificates:
    """nginx, certbot and an authority, with a manager between them, whose clock a test can set."""

    lab: edge_lab.Lab
    pebble: Pebble
    manager: CertificateManager
    ledger: Ledger
    certbot: str
    root: Path
    routes: dict[str, str] = field(default_factory=dict)
    later: float = 0

    def config(self, **more: object) -> Config:
        return Config(panel_domain=PANEL, acme_directory=self.pebble.directory, **more)

    def renew_due(self, names: tuple[str, ...] = NAMES, **how: bool) -> list[Result]:
        return self.manager.renew_due(self.config(), names, **how)

    def serve(self, names: tuple[str, ...] = NAMES) -> bool:
        """Let nginx serve what there is; whether that changed anything."""
        return self.lab.nginx.apply(EdgeConfig(routes=self.routes, own_names=names, panel_domain=PANEL,
                                         certificates=tuple(self.manager.store.load().values())))

    def served(self, name: str) -> x509.Certificate:
        """What a visitor of this name is shown, who trusts the authority and checks the chain and the name."""
        with self.lab.connect(name, trusted=self.root) as stream:
            return x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedCertificates]:
    folder = tmp_path_factory.mktemp("certificates")
    with edge_lab.lab(folder / "nginx") as lab:
        pebble = Pebble(folder / "pebble", lab.gateway, leads_to=lab.ip).start()
        try:
            ledger, certbot = Ledger(folder), _certbot(lab, pebble)
            root = folder / "root.pem"
            root.write_text(pebble.root())
            made = ManagedCertificates(lab, pebble, None, ledger, certbot, root)
            made.manager = CertificateManager(Certbot(Service("certbot", lab.network)), Store(folder / "certificates"),
                                 ledger.certificates, folder, lambda: time.time() + made.later)
            made.serve()
            yield made
        finally:
            pebble.stop()


def _certbot(lab: edge_lab.Lab, pebble: Pebble) -> str:
    """certbot's container, as docker-compose.yml has it, which trusts the test authority beside; its id."""
    tmpfs = [part for path in ("/tmp", "/var/lib/letsencrypt", "/var/log/letsencrypt") for part in ("--tmpfs", path)]
    return images.docker(
        "run", "--detach", "--init", "--network", lab.network, "--label", f"{ROLE}=certbot",
        "--label", f"{edge_lab.LABEL}={lab.name}", "--read-only", *tmpfs, "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges:true", "--volume", "/etc/letsencrypt",
        "--volume", f"{lab.challenge}:/var/www/certbot", "--volume", f"{pebble.ca}:/authority.pem:ro",
        "--env", "REQUESTS_CA_BUNDLE=/authority.pem", "--entrypoint", "tail", images.ensure_certbot(),
        "-f", "/dev/null")


class Visitor:
    """Somebody whose connection through port 443 leads to a proxy; here, to something that answers what it hears."""

    def __init__(self, managed: ManagedCertificates, name: str) -> None:
        self._listener = socket.create_server((managed.lab.gateway, 0))
        managed.routes = {name: f"{managed.lab.gateway}:{self._listener.getsockname()[1]}"}
        threading.Thread(target=self._answer, daemon=True).start()
        managed.serve()
        self._stream = socket.create_connection(managed.lab.address(443), 30)
        self._stream.sendall(_hello(name))
        head = b""
        while b"\r\n" not in head:
            head += (part := self._stream.recv(200))
            assert part, "it was closed"
        assert head.startswith(b"PROXY TCP4 "), head
        self._skip = len(_hello(name)) + head.index(b"\r\n") + 2 - len(head)
        while self._skip > 0:
            self._skip -= len(self._stream.recv(self._skip))

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            stream = self._listener.accept()[0]
            while heard := stream.recv(65536):
                stream.sendall(heard)

    def says(self, words: bytes) -> None:
        self._stream.sendall(words)
        assert self._stream.recv(len(words), socket.MSG_WAITALL) == words

    def close(self) -> None:
        self._stream.close()
        self._listener.close()


def _hello(name: str) -> bytes:
    """The first thing that a browser sends to a site of this name."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def test_before_there_is_a_certificate_every_handshake_is_turned_away(managed: ManagedCertificates) -> None:
    for name in (PANEL, *NAMES, "unknown.example"):
        with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
            managed.lab.connect(name)


def test_the_panel_and_every_name_get_a_certificate_and_nginx_serves_it_with_its_chain(
        managed: ManagedCertificates) -> None:
    assert managed.renew_due(asked=True) == [Result("panel", True), Result("cover-1", True)]
    assert managed.renew_due() == [], "there is nothing left to ask for"
    assert managed.serve()
    assert not managed.serve(), "and nothing left to tell nginx"
    own = {name: managed.served(name) for name in (PANEL, *NAMES)}
    assert own[NAMES[0]] == own[NAMES[1]] == own[NAMES[2]] != own[PANEL]
    row = managed.ledger.certificates.all()["cover-1"]
    assert set(row.domains) == set(NAMES) and row.expires_at == own[NAMES[0]].not_valid_after_utc.timestamp()
    assert "<html" in managed.lab.page(NAMES[1], trusted=managed.root)[1].lower(), "the cover site"


def test_it_is_renewed_by_itself_before_its_end_and_nobody_is_cut_off(managed: ManagedCertificates) -> None:
    before = {name: managed.served(name).serial_number for name in (PANEL, NAMES[0])}
    visitor = Visitor(managed, "user.example.net")
    try:
        visitor.says(b"before")
        ends = min(row.expires_at for row in managed.ledger.certificates.all().values())
        managed.later = ends - 29 * 86400 - time.time()
        assert managed.renew_due() == [Result("panel", True), Result("cover-1", True)]
        assert managed.serve()
        after = {name: managed.served(name).serial_number for name in before}
        assert all(after[name] != before[name] for name in before), "the new ones are served"
        visitor.says(b"after" * 1000)
    finally:
        visitor.close()
        managed.later = 0


def test_a_new_users_name_is_added_to_the_certificate_of_the_others(managed: ManagedCertificates) -> None:
    names = (*NAMES, "vamote.example.com")
    panel = managed.served(PANEL).serial_number
    assert managed.renew_due(names, asked=True) == [Result("cover-1", True)]
    managed.serve(names)
    assert managed.served(names[3]) == managed.served(names[0])
    assert managed.served(PANEL).serial_number == panel


def test_a_name_that_can_not_be_proven_is_told_with_the_reason_and_left_out(managed: ManagedCertificates) -> None:
    names = (*NAMES, "vamote.example.com", "lost.example.com", "fine.example.com")
    managed.pebble.lose("lost.example.com")
    [result] = managed.renew_due(names, asked=True)
    assert result.ok and re.match(r"it is without lost\.example\.com: https://\S+ could not check lost\.example\.com: "
                                  r".*resolve", sentence(result.reason)), result.reason
    managed.serve(names)
    assert managed.served("fine.example.com") == managed.served(NAMES[0])
    serial = managed.served(NAMES[0]).serial_number
    [result] = managed.renew_due(names, asked=True)
    assert not result.ok and managed.ledger.certificates.all()["cover-1"].failures == 2
    assert not managed.serve(names) and managed.served(NAMES[0]).serial_number == serial, "what there was is served on"
    managed.pebble.find("lost.example.com")
    assert managed.renew_due(names, asked=True) == [Result("cover-1", True)]
    managed.serve(names)
    assert managed.served("lost.example.com") == managed.served("fine.example.com")


def test_the_bare_address_gets_a_certificate_for_itself_and_a_renewed_one_later(managed: ManagedCertificates) -> None:
    config = managed.config(panel_by_address=True, panel_path="a-path-nobody-knows", server_ip=managed.lab.ip)
    own = SelfSigned(managed.root.parent)

    def serve() -> x509.Certificate:
        port443 = Port443(managed.lab.nginx, managed.manager, door_port=8443, self_signed=own)
        managed.lab.nginx.apply(port443.site(config, {}, datetime.fromtimestamp(time.time() + managed.later, UTC)))
        context = ssl.create_default_context(cafile=str(managed.root))
        plain = socket.create_connection((managed.lab.ip, DOOR), 30)
        with context.wrap_socket(plain, server_hostname=managed.lab.ip) as stream:
            return x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))

    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        serve()
    assert Result("address", True) in managed.manager.renew_due(config, NAMES)
    first = serve()
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(managed.lab.ip)]
    assert not names.get_values_for_type(x509.DNSName)
    try:
        managed.later = first.not_valid_after_utc.timestamp() - 86400 - time.time()
        assert Result("address", True) in managed.manager.renew_due(config, NAMES)
        assert serve().serial_number != first.serial_number
    finally:
        managed.later = 0
        managed.serve()


def test_an_authority_that_can_not_be_reached_is_told(managed: ManagedCertificates) -> None:
    config = Config(panel_domain=PANEL, acme_directory=f"https://{managed.lab.gateway}:1/dir")
    [result] = managed.manager.renew_due(config, (), force=True)
    assert (result.name, result.ok) == ("panel", False)
    assert codes(result.reason) == ["authority.unreachable", "authority.nothing_listens"]
    assert PANEL in managed.manager.store.load()["panel"].domains


def test_without_certbots_container_the_command_that_starts_it_is_told(managed: ManagedCertificates) -> None:
    images.docker("stop", "--time", "5", managed.certbot)
    results = managed.renew_due(force=True)
    told = f"docker compose {START}"
    assert results and all(not each.ok and each.reason.params["command"] == told for each in results)
    assert managed.served(PANEL) and managed.served(NAMES[0])
