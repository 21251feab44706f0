"""A real certbot gets real certificates from Let's Encrypt's test authority, and a real nginx serves them."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509

from app.certificates.certbot import START, Certbot
from app.certificates.manager import Keeper, Result, Store
from app.config.model import Config
from app.edge.base import Site
from app.ledger.ledger import Ledger
from app.runtimes.docker.service import ROLE, Service
from tests.docker import images
from tests.support import edge_lab
from tests.support.pebble import Pebble

#: Making the images the first time on a machine takes minutes.
pytestmark = pytest.mark.timeout(600)

PANEL, NAMES = "panel.example.com", ("example.com", "kodepa.example.com", "lirofu.example.com")


@dataclass
class Desk:
    """nginx, certbot and an authority, with a keeper between them, whose clock a test can set."""

    lab: edge_lab.Lab
    pebble: Pebble
    keeper: Keeper
    ledger: Ledger
    certbot: str
    root: Path
    routes: dict[str, str] = field(default_factory=dict)
    later: float = 0

    def config(self, **more: str) -> Config:
        return Config(panel_domain=PANEL, acme_directory=self.pebble.directory, **more)

    def tend(self, names: tuple[str, ...] = NAMES, **how: bool) -> list[Result]:
        return self.keeper.tend(self.config(), names, **how)

    def serve(self, names: tuple[str, ...] = NAMES) -> bool:
        """Let nginx serve what there is; whether that changed anything."""
        return self.lab.nginx.apply(Site(routes=self.routes, own_names=names, panel_domain=PANEL,
                                         certificates=tuple(self.keeper.store.load().values())))

    def served(self, name: str) -> x509.Certificate:
        """What a visitor of this name is shown, who trusts the authority and checks the chain and the name."""
        with self.lab.connect(name, trusted=self.root) as stream:
            return x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("certificates")
    with edge_lab.lab(folder / "nginx") as lab:
        pebble = Pebble(folder / "pebble", lab.gateway, leads_to=lab.ip).start()
        try:
            ledger, certbot = Ledger(folder), _certbot(lab, pebble)
            root = folder / "root.pem"
            root.write_text(pebble.root())
            made = Desk(lab, pebble, None, ledger, certbot, root)
            made.keeper = Keeper(Certbot(Service("certbot", lab.network)), Store(folder / "certificates"),
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

    def __init__(self, desk: Desk, name: str) -> None:
        self._listener = socket.create_server((desk.lab.gateway, 0))
        desk.routes = {name: f"{desk.lab.gateway}:{self._listener.getsockname()[1]}"}
        threading.Thread(target=self._answer, daemon=True).start()
        desk.serve()
        self._stream = socket.create_connection(desk.lab.address(443), 30)
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


def test_before_there_is_a_certificate_every_handshake_is_turned_away(desk: Desk) -> None:
    for name in (PANEL, *NAMES, "unknown.example"):
        with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
            desk.lab.connect(name)


def test_the_panel_and_every_name_get_a_certificate_and_nginx_serves_it_with_its_chain(desk: Desk) -> None:
    assert desk.tend(asked=True) == [Result("panel", True), Result("cover-1", True)]
    assert desk.tend() == [], "there is nothing left to ask for"
    assert desk.serve()
    assert not desk.serve(), "and nothing left to tell nginx"
    own = {name: desk.served(name) for name in (PANEL, *NAMES)}
    assert own[NAMES[0]] == own[NAMES[1]] == own[NAMES[2]] != own[PANEL]
    row = desk.ledger.certificates.all()["cover-1"]
    assert set(row.domains) == set(NAMES) and row.expires_at == own[NAMES[0]].not_valid_after_utc.timestamp()
    assert "<html" in desk.lab.page(NAMES[1], trusted=desk.root)[1].lower(), "the cover site"


def test_it_is_renewed_by_itself_before_its_end_and_nobody_is_cut_off(desk: Desk) -> None:
    before = {name: desk.served(name).serial_number for name in (PANEL, NAMES[0])}
    visitor = Visitor(desk, "user.example.net")
    try:
        visitor.says(b"before")
        ends = min(row.expires_at for row in desk.ledger.certificates.all().values())
        desk.later = ends - 29 * 86400 - time.time()
        assert desk.tend() == [Result("panel", True), Result("cover-1", True)]
        assert desk.serve()
        after = {name: desk.served(name).serial_number for name in before}
        assert all(after[name] != before[name] for name in before), "the new ones are served"
        visitor.says(b"after" * 1000)
    finally:
        visitor.close()
        desk.later = 0


def test_a_new_users_name_is_added_to_the_certificate_of_the_others(desk: Desk) -> None:
    names = (*NAMES, "vamote.example.com")
    panel = desk.served(PANEL).serial_number
    assert desk.tend(names, asked=True) == [Result("cover-1", True)]
    desk.serve(names)
    assert desk.served(names[3]) == desk.served(names[0])
    assert desk.served(PANEL).serial_number == panel


def test_a_name_that_can_not_be_proven_is_told_with_the_reason_and_left_out(desk: Desk) -> None:
    names = (*NAMES, "vamote.example.com", "lost.example.com", "fine.example.com")
    desk.pebble.lose("lost.example.com")
    [result] = desk.tend(names, asked=True)
    assert result.ok and re.match(r"it is without lost\.example\.com: https://\S+ could not check lost\.example\.com: "
                                  r".*resolve", result.reason), result.reason
    desk.serve(names)
    assert desk.served("fine.example.com") == desk.served(NAMES[0])
    serial = desk.served(NAMES[0]).serial_number
    [result] = desk.tend(names, asked=True)
    assert not result.ok and desk.ledger.certificates.all()["cover-1"].failures == 2
    assert not desk.serve(names) and desk.served(NAMES[0]).serial_number == serial, "what there was is served on"
    desk.pebble.find("lost.example.com")
    assert desk.tend(names, asked=True) == [Result("cover-1", True)]
    desk.serve(names)
    assert desk.served("lost.example.com") == desk.served("fine.example.com")


def test_an_authority_that_can_not_be_reached_is_told(desk: Desk) -> None:
    config = Config(panel_domain=PANEL, acme_directory=f"https://{desk.lab.gateway}:1/dir")
    [result] = desk.keeper.tend(config, (), force=True)
    assert (result.name, result.ok) == ("panel", False)
    assert result.reason.endswith("can't be reached from this server: nothing listens there"), result.reason
    assert PANEL in desk.keeper.store.load()["panel"].domains


def test_without_certbots_container_the_command_that_starts_it_is_told(desk: Desk) -> None:
    images.docker("stop", "--time", "5", desk.certbot)
    results = desk.tend(force=True)
    assert results and all(not each.ok and START in each.reason for each in results)
    assert desk.served(PANEL) and desk.served(NAMES[0])
