"""The file that mtg learns its timing from, and the certificates for it."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from app.config.model import Config
from app.edge.base import EdgeConfig
from app.edge.nginx import timing
from app.edge.nginx.edge import Nginx
from app.edge.nginx.timing import FILE_BYTES, Material, material
from app.lib import portmap
from app.runtimes.docker import shaper as docker_shaper
from app.runtimes.docker.service import Service
from tests.support import edge_lab

IP = "172.28.255.254"


def der_sizes(path: Path) -> list[int]:
    found = re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END", path.read_text(), re.DOTALL)
    return [len(base64.b64decode(each)) for each in found]


def trusted(made: Material, ip: str = IP) -> bool:
    """Whether a strict client that trusts the CA, and nothing else, accepts the server for this address."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=made.ca)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.chain, made.key)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname=ip)
    theirs = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    return ours.version() == "TLSv1.3"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "nginx" / "timing"


def test_a_client_that_trusts_the_ca_reaches_the_address_and_no_other(folder):
    made = material(folder, IP)
    assert made.url == f"https://{IP}:8445/timing.bin"
    assert trusted(made) and not trusted(made, "172.28.255.253")
    assert [p.name for p in made.root.iterdir()] == ["timing.bin"]
    assert (made.root / "timing.bin").stat().st_size == FILE_BYTES


def test_an_ipv6_address_stands_in_brackets(folder):
    made = material(folder, "fd00:0:0::5")
    assert made.url == "https://[fd00::5]:8445/timing.bin" and trusted(made, "fd00::5")


def test_nginx_can_read_all_of_it_and_only_its_group_the_key(folder):
    made = material(folder, IP)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    assert modes[made.key] == 0o640
    assert modes[made.chain] == modes[folder / "ca.pem"] == modes[made.root / "timing.bin"] == 0o644
    assert modes[folder] == modes[made.root] == 0o755


def test_what_was_made_is_kept(folder):
    first = material(folder, IP)
    before = contents(folder)
    timing._usable.cache_clear()  # as another process would see it
    assert material(folder, IP) == first and contents(folder) == before


def test_the_key_that_signs_is_not_kept(folder):
    material(folder, IP)
    keys = [name for name, content in contents(folder).items() if b"PRIVATE KEY" in content]
    assert keys == ["key.pem"]


@pytest.mark.parametrize("name", ["ca.pem", "chain.pem", "key.pem"])
@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "cut", "of another", "twice"])
def test_damaged_certificates_are_made_again(folder, tmp_path, name, damage):
    first = material(folder, IP)
    material(tmp_path / "other", IP)
    path = folder / name
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({
            "empty": b"", "garbage": b"\xff\0" * 200, "cut": whole[:len(whole) // 2],
            "of another": (tmp_path / "other" / name).read_bytes(), "twice": whole + whole}[damage])
    again = material(folder, IP)
    assert trusted(again)
    assert (damage == "twice" and name == "key.pem") or again.ca != first.ca


def test_a_damaged_file_is_made_again_and_no_certificate_with_it(folder):
    first = material(folder, IP)
    file = first.root / "timing.bin"
    for spoil in (file.unlink, lambda: file.write_bytes(b"short")):
        spoil()
        assert material(folder, IP) == first
        assert file.stat().st_size == FILE_BYTES and stat.S_IMODE(file.stat().st_mode) == 0o644


def test_another_address_gets_certificates_of_its_own(folder):
    first = material(folder, IP)
    second = material(folder, "10.0.0.9")
    assert second.url == "https://10.0.0.9:8445/timing.bin" and second.ca != first.ca
    assert trusted(second, "10.0.0.9") and not trusted(second, IP)


def test_certificates_that_are_about_to_expire_are_made_again(folder, monkeypatch):
    with monkeypatch.context() as brief:
        brief.setattr(timing, "_VALID", timedelta(days=29))
        first = material(folder, IP)
        assert trusted(first)
    timing._usable.cache_clear()
    second = material(folder, IP)
    assert second.ca != first.ca and trusted(second)
    assert material(folder, IP) == second


def test_the_chain_has_the_size_of_a_lets_encrypt_chain_and_each_installation_another(tmp_path):
    sizes = [der_sizes(material(tmp_path / str(n), IP).chain) for n in range(8)]
    for leaf, intermediate in sizes:
        assert 960 < leaf < 1100 and 1045 < intermediate < 1185
    assert len({sum(pair) for pair in sizes}) > 2


def test_many_at_once_make_one(folder):
    def make(_: int) -> Material:
        timing._usable.cache_clear()
        return material(folder, IP)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(16)))
    assert len(set(made)) == 1 and trusted(made[0])


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        material(tmp_path / "file" / "timing", IP)
    with pytest.raises(ValueError):
        material(tmp_path, "not an address")


# Served by the real nginx

@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[str, Material]]:
    """(address, material) of an nginx that serves nothing but what it always serves."""
    folder = tmp_path_factory.mktemp("edge") / "nginx"
    with edge_lab.lab(folder) as lab:
        lab.nginx.apply(EdgeConfig())
        yield lab.ip, material(folder / "timing", lab.ip)


class Recorder:
    """A TLS client that notes the type and the size of each record that comes: what mtg goes by."""

    def __init__(self, ip: str, ca: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=ca)
        self._back, self._there = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._back, self._there, server_hostname=ip)
        self._socket = socket.create_connection((ip, portmap.TIMING), 5)
        self._unread = b""
        self.records: list[tuple[int, int]] = []

    def do(self, verb: Callable[[], object]) -> object:
        """The result of a method of the TLS object, with the socket served meanwhile."""
        while True:
            try:
                return verb()
            except ssl.SSLWantReadError:
                self._send()
                if not (data := self._socket.recv(65536)):
                    self._back.write_eof()
                self._note(data)
            finally:
                self._send()

    def handshake(self) -> None:
        self.do(self._tls.do_handshake)

    def get(self, path: str) -> bytes:
        """The whole answer to a request."""
        self._tls.write(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        answer = b""
        while part := self.do(lambda: self._tls.read(1 << 16)):
            answer += part
        return answer

    def comes_unasked(self, seconds: float) -> bool:
        self._socket.settimeout(seconds)
        try:
            return bool(self._socket.recv(1))
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(5)

    def close(self) -> None:
        self._socket.close()

    def _send(self) -> None:
        if data := self._there.read():
            self._socket.sendall(data)

    def _note(self, data: bytes) -> None:
        self._back.write(data)
        self._unread += data
        while len(self._unread) >= 5:
            end = 5 + int.from_bytes(self._unread[3:5], "big")
            if len(self._unread) < end:
                break
            self.records.append((self._unread[0], end - 5))
            self._unread = self._unread[end:]


@pytest.fixture
def recorder(served) -> Iterator[Recorder]:
    ip, made = served
    recorder = Recorder(ip, made.ca)
    yield recorder
    recorder.close()


CIPHER_CHANGE, HANDSHAKE, DATA = 20, 22, 23


def test_no_record_comes_so_soon_after_another_that_mtg_would_measure_no_gap_at_all(recorder):
    """mtg counts in microseconds, takes the logarithm, and a single zero makes it send nothing for hours.

    The records that a computer can be too quick with are the ones it has hardly any work for: the cipher
    change, right before the first encrypted record, and the session tickets, two of them in a row.
    """
    recorder.handshake()
    kinds = [kind for kind, _ in recorder.records]
    # The server asks for another ClientHello, and the cipher change comes with that: far from the rest.
    assert kinds[:3] == [HANDSHAKE, CIPHER_CHANGE, HANDSHAKE] and set(kinds[3:]) == {DATA}
    assert not recorder.comes_unasked(0.3)


def test_the_handshake_has_the_size_that_mtg_is_to_give_its_own(recorder):
    recorder.handshake()
    assert 2150 < sum(size for kind, size in recorder.records if kind == DATA) < 2550


def test_one_download_has_more_gaps_than_mtg_wants(recorder, served):
    recorder.handshake()
    before = len(recorder.records)
    answer = recorder.get("/" + served[1].url.rpartition("/")[2])
    assert answer.partition(b"\r\n\r\n")[2] == (served[1].root / "timing.bin").read_bytes()
    assert 100 < len(recorder.records) - before < 400


def test_a_throttle_lets_the_file_pass_at_full_speed() -> None:
    """Through the limit, mtg would learn the limit's pace, and keep it when the limit is long gone."""
    lines = docker_shaper.script(1_000_000, 3128, 3129).splitlines()
    passing = [number for number, line in enumerate(lines) if f"sport {portmap.TIMING} 0xffff flowid :1" in line]
    shaped = [number for number, line in enumerate(lines) if "match u32 0 0 action mirred" in line]
    assert len(passing) == len(shaped) == 2
    assert all(first < second for first, second in zip(passing, shaped))


def test_while_the_folder_can_not_be_used_mtg_serves_without_and_will_say_so_itself(tmp_path: Path) -> None:
    """An engine that is told of a file which it then can't trust is slow, and logs why (app/engines/mtg/timing.py)."""
    (tmp_path / "data").write_text("a file where the folder should be")
    nginx = Nginx(tmp_path / "data" / "nginx", Service("nginx", "none"), IP)
    told = nginx.front(Config(port_443_mode=True), "www.pool.test")
    assert told.proxy_protocol and told.trusted == ""
    healthy = Nginx(tmp_path / "nginx", Service("nginx", "none"), IP).front(Config(), "www.pool.test")
    assert told.timing == healthy.timing and healthy.trusted
