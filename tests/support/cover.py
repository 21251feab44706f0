"""A real nginx with TLS as the cover host "cover.test", on loopback, without root."""

from __future__ import annotations

import base64
import datetime
import fcntl
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

HOST = "cover.test"
TITLE = "Cover site of the tests"
PAGE = (
    f"<!doctype html><html lang=en><meta charset=utf-8><title>{TITLE}</title><h1>{TITLE}</h1>".encode()
    + b"".join(b"<p>%s</p>\n" % hashlib.sha256(b"%d" % i).hexdigest().encode() for i in range(1000))
)

_CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 4096; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    types {{ text/html html; application/octet-stream bin; }}
    server {{
        listen {ip}:{port} ssl backlog=1024;
        server_name {host};
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        root {folder}/site;
    }}
    server {{
        listen {ip}:{status_port};
        access_log off;
        location = /status {{ stub_status; }}
    }}
}}
"""


#: Below those that the kernel gives to clients, which come and go; a fleet takes the ports after its first one, too.
_PORTS = range(20_000, 32_000, 12)


def free_port(ip: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on, and that no other test of this machine is given for a long time."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with open(Path(tempfile.gettempdir()) / f"mtproto-test-ports-{os.getuid()}", "a+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        first = int(counter.read() or 0)
        for number in range(first, first + len(_PORTS)):
            port = _PORTS[number % len(_PORTS)]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                try:
                    probe.bind((ip, port))
                except OSError:
                    continue
            counter.truncate(0)
            counter.write(str(number + 1))
            return port
    raise RuntimeError(f"no port is free from {_PORTS.start} to {_PORTS.stop}")


def certificate(host: str) -> tuple[bytes, bytes, str]:
    """A self-signed one for `host`: certificate PEM, key PEM, and the key's SPKI hash
    (base64 of SHA-256), as Chromium's --ignore-certificate-errors-spki-list wants it.

    RSA, because its signatures are all of one length: two handshakes with this
    certificate then differ in no record's length.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    return built.public_bytes(serialization.Encoding.PEM), private, pin


class Cover:
    """The cover host between start() and stop().

    host, ip, port: where it is; page: the bytes of "/"; cert: path of its
    certificate (PEM), which is its own CA; spki: its key's pin; blob: 4 MB of random
    bytes at "/blob.bin".
    """

    host, page, title, ip = HOST, PAGE, TITLE, "127.0.0.1"

    def __init__(self, folder: Path):
        self.folder = folder
        self.port, self._status_port = free_port(), free_port()
        self.cert = folder / "cert.pem"
        self._polls = 0

    def start(self) -> Cover:
        nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if not nginx:
            raise RuntimeError("the cover host of the tests needs nginx: apt-get install nginx-light")
        (self.folder / "site").mkdir(parents=True)
        (self.folder / "site" / "index.html").write_bytes(PAGE)
        (self.folder / "site" / "blob.bin").write_bytes(os.urandom(4_000_000))
        pem, key, self.spki = certificate(HOST)
        self.cert.write_bytes(pem)
        (self.folder / "key.pem").write_bytes(key)
        config = self.folder / "nginx.conf"
        config.write_text(
            _CONFIG.format(
                folder=self.folder, ip=self.ip, port=self.port, host=HOST, status_port=self._status_port
            )
        )
        self._process = subprocess.Popen(
            [nginx, "-e", str(self.folder / "start.log"), "-p", str(self.folder), "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until_it_accepts(self.ip, self.port, self._process)
        return self

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def accepted(self) -> int:
        """How many connections the cover host has accepted (those of this call not counted)."""
        with urllib.request.urlopen(f"http://{self.ip}:{self._status_port}/status", timeout=60) as answer:
            text = answer.read().decode()
        self._polls += 1
        return int(re.search(r"requests\s+(\d+)", text)[1]) - self._polls

    def requests(self) -> list[str]:
        """The lines of its access log: every HTTP request it has answered."""
        return (self.folder / "access.log").read_text().splitlines()


def wait_until_it_accepts(ip: str, port: int, process: subprocess.Popen, seconds: float = 60) -> None:
    """Return once `ip`:`port` accepts a connection; RuntimeError if the process dies or time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with exit code {process.returncode}")
        try:
            socket.create_connection((ip, port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{process.args} does not accept connections at {ip}:{port} after {seconds:g} s")
