"""Whether a site would do as a user's domain, asked of real nginx sites on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from app.checks.tls import check, check_all
from app.messages import Problem
from tests.support.cover import Cover, certificate, free_port, wait_until_it_accepts

#: Seconds for each step: more than a busy machine needs.
PATIENT = 60


@pytest.fixture(scope="module")
def old_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """A site that speaks TLS 1.2 only: its port and its certificate."""
    folder, port = tmp_path_factory.mktemp("old"), free_port()
    pem, key, _ = certificate("old.test")
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(key)
    process = subprocess.Popen(
        [shutil.which("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(folder / "cert.pem"),
         "-key", str(folder / "key.pem"), "-tls1_2", "-quiet"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_it_accepts("127.0.0.1", port, process)
        yield port, str(folder / "cert.pem")
    finally:
        process.kill()
        process.wait()


def test_a_site_with_tls_1_3_and_a_valid_certificate_will_do(cover: Cover) -> None:
    reach = check(cover.host, PATIENT, address=cover.ip, port=cover.port, ca=str(cover.cert))
    assert reach.ok and reach.reason is None and reach.milliseconds >= 1


def test_a_certificate_that_nobody_trusts_will_not_do(cover: Cover) -> None:
    reach = check(cover.host, PATIENT, address=cover.ip, port=cover.port)
    assert not reach.ok and reach.reason.code == "tls.certificate"


def test_a_certificate_for_another_name_will_not_do(cover: Cover) -> None:
    reach = check("other.test", PATIENT, address=cover.ip, port=cover.port, ca=str(cover.cert))
    assert not reach.ok and "mismatch" in reach.reason.params["reason"].lower()


def test_a_site_without_tls_1_3_will_not_do(old_site: tuple[int, str]) -> None:
    port, certificate = old_site
    reach = check("old.test", PATIENT, address="127.0.0.1", port=port, ca=certificate)
    assert (reach.ok, reach.reason) == (False, Problem("tls.old"))


def test_a_site_that_nobody_serves_will_not_do() -> None:
    port = free_port()
    assert check("x.test", PATIENT, address="127.0.0.1", port=port).reason == \
        Problem("tls.nothing_listens", {"port": port})


def test_a_site_that_speaks_no_tls_or_hangs_up_will_not_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve() -> None:
            for answer in (b"HTTP/1.0 200 OK\r\n\r\nhello", b""):
                client = listener.accept()[0]
                client.recv(4096)
                client.sendall(answer)
                client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        reasons = [check("x.test", PATIENT, address="127.0.0.1", port=port).reason for _ in range(2)]
        thread.join()
    assert reasons[0] == Problem("tls.handshake", {"reason": "wrong version number"})
    assert reasons[1].code in ("tls.handshake", "tls.reset")


def test_a_site_that_never_answers_is_given_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        reach = check("x.test", 0.2, address="127.0.0.1", port=port)
    assert reach.reason == Problem("tls.no_answer", {"port": port, "seconds": 0.2})


def test_many_are_asked_at_once_and_answered_in_their_order(cover: Cover) -> None:
    domains = [cover.host if n == 7 else f"n{n}.test" for n in range(20)]
    found = check_all(domains, PATIENT, address=cover.ip, port=cover.port, ca=str(cover.cert))
    assert [reach.domain for reach in found] == domains
    assert [reach.ok for reach in found] == [domain == cover.host for domain in domains]
