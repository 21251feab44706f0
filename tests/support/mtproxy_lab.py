"""MTProxy for tests, as a process of this machine: the stand-in, and the real one where MTPROXY_BIN names it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

from app.config.model import Config
from app.engines.base import NO_INGRESS
from app.engines.mtproxy.engine import MtproxyImage
from app.engines.mtproxy.telegram_files import CONF, Store
from app.mtproto.links import tg_link
from app.mtproto.secret import Secret
from app.rules.links import links
from app.runtimes.base import Place
from tests.support.cover import free_port
from tests.support.middle import MiddleProxy

ROOT = Path(__file__).resolve().parents[2]
REAL = os.environ.get("MTPROXY_BIN", "")
#: Which programs the contract is held against.
PROGRAMS = ["stand-in", *(["mtproxy"] if REAL else [])]
#: The real one asks its cover site on port 443 as it starts.
COVER_NAME, COVER_IP = "cover.example.com", "127.64.44.3"


class CoverSite:
    """TLS on port 443 of an address of this machine, for as long as the block lasts."""

    def __init__(self, folder: Path) -> None:
        key, certificate = folder / "cover.key", folder / "cover.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", f"/CN={COVER_NAME}"],
                       check=True, capture_output=True)

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer((COVER_IP, 443), Page)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    def __enter__(self) -> CoverSite:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def words(config: Config, port: int, folder: Path, middle: MiddleProxy) -> list[str]:
    """What the panel has MTProxy started with for the users of this declaration, who fit into one container."""
    store = Store(folder / "telegram")
    store.keep(middle.secret, middle.conf())
    every = [link for user in config.users for link in links(user, config, user.created_at)]
    (workload,) = MtproxyImage(store).workloads(every, config, lambda _: Place(f"0.0.0.0:{port}", "", ""),
                                                lambda _: NO_INGRESS)
    return workload.files["arguments"].split()


class Program:
    """MTProxy, running. port: of clients; stats_port: of its figures. said: its output."""

    def __init__(self, which: str, folder: Path, arguments: Sequence[str], middle: MiddleProxy, *,
                 secret: bytes = b"", nat: str = "127.0.0.1:127.0.0.1") -> None:
        """secret: proxy-secret, if it is another one than the middle proxy's. nat: "local:global", "" for none."""
        folder.mkdir(exist_ok=True)
        self.which, self._log = which, folder / "log"
        found = list(arguments)
        self.port, self.stats_port = int(found[found.index("-H") + 1]), free_port()
        found[found.index("-p") + 1] = str(self.stats_port)
        (folder / "proxy-secret").write_bytes(secret or middle.secret)
        (folder / CONF).write_bytes(middle.conf())
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{COVER_IP} {COVER_NAME}\n")
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
        program = [sys.executable, "-m", "tests.support.mtproxy_program"]
        if which == "mtproxy":
            # A pid namespace, as it does not run by a number above 65535; a mount namespace, for names of its own.
            program = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                       f'mount --bind "{folder}/hosts" /etc/hosts; exec "$0" "$@"', REAL]
        command = [*program, "-u", "nobody", *found, "-c", "4000", *(["--nat-info", nat] if nat else []),
                   "--aes-pwd", str(folder / "proxy-secret"), str(folder / CONF)]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def ready(self, seconds: float = 60) -> Program:
        """Wait until it takes connections."""
        wait_for(lambda: self.process.poll() is not None or _listens(self.port), seconds)
        assert self.process.poll() is None, self.said
        return self

    def figures(self) -> str:
        with urlopen(f"http://127.0.0.1:{self.stats_port}/stats", timeout=10) as answer:
            return answer.read().decode()

    def link(self, secret: str, server: str = "127.0.0.1") -> str:
        return tg_link(server, self.port, Secret.parse(secret))

    @property
    def pid(self) -> int:
        """Of MTProxy itself, as this machine counts."""
        if self.which != "mtproxy":
            return self.process.pid
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def stop(self, by: signal.Signals = signal.SIGTERM) -> float:
        """End it; the seconds that it took."""
        began = time.monotonic()
        with suppress(ProcessLookupError, IndexError, FileNotFoundError):
            os.kill(self.pid, by)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        return time.monotonic() - began


@contextmanager
def captured(port: int, file: Path) -> Iterator[Path]:
    """What goes to this port of this machine and back during the block, in a file of tcpdump."""
    command = ["tcpdump", "--immediate-mode", "-U", "-n", "-i", "lo", "-w", str(file), f"tcp port {port}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as capture:
        assert capture.stderr
        try:
            line = capture.stderr.readline()
            assert "listening on" in line, line
            yield file
            size, still = -1, 0
            while still < 5:  # what has gone over the wire is not in the file yet
                time.sleep(0.1)
                still = still + 1 if file.stat().st_size == size else 0
                size = file.stat().st_size
        finally:
            capture.terminate()


def dissected(file: Path) -> list[str]:
    """ndpiReader's line on each TCP connection in the file; by what went through it, not by the number of a port."""
    done = subprocess.run(["ndpiReader", "-d", "-i", str(file), "-v", "2"], capture_output=True, text=True, timeout=60,
                          check=True)
    return [line for line in done.stdout.splitlines() if re.match(r"\s*\d+\s+TCP ", line)]


def wait_for(condition: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def version(program: str) -> str:
    """As the program says of itself; "" where it does not."""
    if not shutil.which(program):
        return ""
    said = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=20)
    found = re.search(r"mtproxy-[\w.]+", said.stdout + said.stderr)
    return found[0] if found else ""
