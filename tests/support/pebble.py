"""Let's Encrypt's own test authority (Debian's pebble), and a DNS that says what a test wants it to."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import shutil
import ssl
import subprocess
import urllib.request
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.cover import free_port, wait_until_it_accepts


class Pebble:
    """An ACME authority between start() and stop().

    ip: where it listens, and where its clients reach it. leads_to: the address that every name has, at whose
    port 80 the proofs are looked for. directory: its ACME address. ca: the file with the certificate that its
    clients have to trust to talk to it.
    """

    def __init__(self, folder: Path, ip: str, leads_to: str) -> None:
        self.folder, self.ip, self.leads_to = folder, ip, leads_to
        self._port, self._management, self._dns, self._names = (free_port(ip) for _ in range(4))
        self.directory = f"https://{ip}:{self._port}/dir"
        self.ca = folder / "ca.pem"
        self._processes: list[subprocess.Popen] = []

    def start(self) -> Pebble:
        for program in ("pebble", "pebble-challtestsrv"):
            if not shutil.which(program):
                raise RuntimeError("the certificate authority of the tests is missing: apt-get install pebble")
        self.folder.mkdir(parents=True, exist_ok=True)
        certificate, key = _own_certificate(self.ip)
        self.ca.write_bytes(certificate)
        (self.folder / "key.pem").write_bytes(key)
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": {
            "listenAddress": f"{self.ip}:{self._port}", "managementListenAddress": f"{self.ip}:{self._management}",
            "certificate": str(self.ca), "privateKey": str(self.folder / "key.pem"),
            "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": False}}))
        self._run(self._names, "pebble-challtestsrv", "-defaultIPv4", self.leads_to, "-defaultIPv6", "",
                  "-dns01", f"{self.ip}:{self._dns}", "-management", f"{self.ip}:{self._names}",
                  "-http01", "", "-https01", "", "-tlsalpn01", "")
        self._run(self._port, "pebble", "-config", str(self.folder / "pebble.json"),
                  "-dnsserver", f"{self.ip}:{self._dns}")
        return self

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(60)

    def root(self) -> str:
        """The certificate (PEM) that whoever is to trust what it issues has to trust."""
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(f"https://{self.ip}:{self._management}/roots/0", timeout=30,
                                    context=context) as answer:
            return answer.read().decode()

    def move(self, name: str, address: str) -> None:
        """Let a name lead somewhere else."""
        self._tell("add-a", host=f"{name}.", addresses=[address])

    def lose(self, name: str) -> None:
        """Let the DNS fail to answer for a name."""
        self._tell("set-servfail", host=f"{name}.")

    def find(self, name: str) -> None:
        """Undo move() and lose()."""
        self._tell("clear-servfail", host=f"{name}.")
        self._tell("clear-a", host=f"{name}.")

    def _tell(self, what: str, **how: object) -> None:
        request = urllib.request.Request(f"http://{self.ip}:{self._names}/{what}", json.dumps(how).encode())
        urllib.request.urlopen(request, timeout=30).close()

    def _run(self, port: int, *command: str) -> None:
        log = (self.folder / f"{command[0]}.log").open("wb")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"})
        log.close()
        self._processes.append(process)
        wait_until_it_accepts(self.ip, port, process, 60)


def _own_certificate(ip: str) -> tuple[bytes, bytes]:
    """One for the authority's own HTTPS, which signs itself: PEM, and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the authority of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    built = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
             .serial_number(x509.random_serial_number())
             .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
             .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ip))]), critical=False)
             .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
             .sign(key, hashes.SHA256()))
    return (built.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                              serialization.NoEncryption()))
