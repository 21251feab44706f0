"""nginx in its container: a configuration is staged, checked by nginx itself, swapped in and reloaded."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import os
import secrets
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import certifi

from app.commands import compose
from app.config.model import Config
from app.edge.base import EdgeConfig, EdgeFailure, EdgeUnavailable
from app.edge.nginx import abilities, cover, devices, timing
from app.edge.nginx.abilities import Abilities
from app.edge.nginx.folder import Folder
from app.edge.nginx.nginx_errors import refusal
from app.edge.nginx.render import MOUNTED, RenderContext, render
from app.engines.base import IngressSpec
from app.lib import portmap
from app.lib.files import put
from app.messages import Problem
from app.runtimes.base import Devices, RuntimeFailure, RuntimeUnavailable
from app.runtimes.docker.service import Service, ServiceMissing

#: Seconds for nginx to serve a new configuration after it was told to.
RELOAD_SECONDS = 15.0

#: Seconds between two signals to read it: an nginx that is just starting does not hear the first.
_AGAIN = 4.0

#: Seconds between two looks at whether it has given up.
_LOOK = 0.5

#: Workers of the old configuration take connections until a tenth of a second after the new ones do.
_SETTLE = 0.25

#: Where nginx.conf has it write why it could not take a configuration.
REFUSED = "/run/refused.log"

#: The last 200 kB: some 10,000 connections. After a line of no address.
_FLOODERS = "{ echo -; tail -c 200000 /run/refused/addresses; } 2>/dev/null; : >/run/refused/addresses"
_COUNT = "wc -c </run/refused/count && : >/run/refused/count"


#: $1: the version. The paths of a configuration are relative to where its main file is.
_CHECK = f"""
[ "$(cat {MOUNTED}/staged/version 2>/dev/null)" = "$1" ] || exit 99
mkdir -p /run/check/edge &&
ln -sfn /etc/nginx/nginx.conf /run/check/nginx.conf &&
ln -sfn {MOUNTED}/staged /run/check/edge/current &&
nginx -t -q -c /run/check/nginx.conf && : >{REFUSED}
"""


class Nginx:
    """The nginx of docker-compose.yml. Implements Edge.

    folder: data/nginx, which the container sees at /etc/nginx/edge. ip: the container's address in the
    proxies' network; proxies: that network (CIDR), "" to take everybody. panel_side: its address in the
    panel's network, "" where that is the same one. panel: "host:port" of the panel in there. public_port:
    the machine's port that leads to nginx's 443. router: the address of the router that stands before nginx's 443 and
    names the client, "" where clients come straight to nginx.
    """

    name = "nginx"

    def __init__(self, folder: Path, service: Service, ip: str, panel: str = f"panel:{portmap.PANEL}",
                 public_port: int = 443, proxies: str = "", panel_side: str = "",
                 router: str = "") -> None:
        self.ip = str(ipaddress.ip_address(ip))
        self.proxies = proxies
        self.panel_side = panel_side
        self.router = router
        self.folder = Folder(Path(folder))
        self.service = service
        self._panel = panel
        self._public_port = public_port
        #: What the nginx of this container can do.
        self._asked: tuple[str, Abilities] = ("", Abilities())

    def apply(self, site: EdgeConfig) -> bool:
        with _failures(), self.folder.lock():
            self.folder.prepare()
            try:
                can = self._can(self.service.find())
            except ServiceMissing:
                self._plain(site)
                raise
            files = render(site, self._around(site, can))
            version, current = files["version"].decode(), self.folder.target("current")
            whole = self.folder.holds(current, files)
            served = self.served(5.0)  # patient: a slow answer would cost a reload that nobody needs
            if served and current.partition("-")[0] == served and self.folder.target("served") != current:
                # An apply was cut off before it noted this; a failure must not lead back past it.
                self.folder.point("served", current)
            if whole and served == version:
                if os.path.lexists(self.folder.path / "staged"):  # left by an apply that was cut off
                    self._forget_staged()
                return False
            fresh = current if whole else self.folder.write(version, files)
            try:
                self.folder.point("staged", fresh)
                self._check(version, files)
                self._swap(fresh, version)
            finally:
                self._forget_staged()
            return True

    def front(self, config: Config, domain: str) -> IngressSpec:
        return front(config, domain, self.ip, self._timing)

    def served(self, seconds: float = 1.0) -> str:
        """The version that nginx serves now; "" if it serves none, or does not answer in so many seconds."""
        connection = http.client.HTTPConnection(self.panel_side or self.ip, portmap.NGINX_VERSION, timeout=seconds)
        try:
            connection.request("GET", "/version")
            answer = connection.getresponse()
            return answer.read(100).decode(errors="replace").strip() if answer.status == 200 else ""
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def turned_away(self) -> int:
        with _failures():
            code, printed = self.service.run(["sh", "-c", _COUNT])
        # A line of two bytes for each, in a folder that holds no more than 4 MB.
        return int(printed) // 2 if code == 0 and printed.strip().isdigit() else 0

    def flooders(self) -> Mapping[str, int]:
        with _failures():
            code, printed = self.service.run(["sh", "-c", _FLOODERS])
        found: Counter[str] = Counter()
        # The first line may be cut off.
        for address in printed.split()[1:] if code == 0 else ():
            with suppress(ValueError):
                found[str(ipaddress.ip_address(address))] += 1
        return found

    def devices(self) -> Mapping[str, Devices]:
        with _failures():
            served = self.folder.target("served")
            tree = self.folder.versions / served
            if not served or not (tree / devices.LIMITS).exists():
                return {}
            return devices.read(self._told(), tree)

    def _told(self) -> bytes:
        """What nginx says of who uses the links that have a limit. Raises EdgeUnavailable."""
        answer = b""
        try:
            with socket.create_connection((self.panel_side or self.ip, portmap.NGINX_DEVICES), 5.0) as stream:
                while len(answer) < devices.MOST_BYTES and (part := stream.recv(65536)):
                    answer += part
        except OSError as error:
            raise EdgeUnavailable("nginx.unreachable", reason=error.strerror or str(error)) from error
        return answer

    def _can(self, container: str) -> Abilities:
        if self._asked[0] != container:
            self._asked = container, abilities.ask(self.service)
        return self._asked[1]

    def _plain(self, site: EdgeConfig) -> None:
        """While nginx is away: let the same be served in the way that every nginx can read. The one that comes back may
        be of another image, and one without the module would not start at all."""
        current = self.folder.target("current")
        can = abilities.read(self.folder.versions / current)
        if not current or can == abilities.ANY \
                or render(site, self._around(site, can))["version"].decode() != current.partition("-")[0]:
            return  # nobody has checked what is declared now
        files = render(site, self._around(site, abilities.ANY))
        self.folder.point("current", self.folder.write(files["version"].decode(), files))

    def _timing(self) -> timing.Material:
        return timing.material(self.folder.path / "timing", self.ip)

    def _around(self, site: EdgeConfig, can: Abilities) -> RenderContext:
        seed, material = self._seed(), self._timing()
        root = f"{MOUNTED}/{material.root.relative_to(self.folder.path).as_posix()}"
        return RenderContext(
            panel=self._panel, status=self.panel_side, proxies=self.proxies, public_port=self._public_port,
            router=self.router, ipv6=_ipv6(), cover=cover.files(seed), custom=self.folder.custom(),
            trusted=_trusted() if site.cover_site == "proxy" else b"",
            timing=(material.chain.read_bytes(), material.key.read_bytes(), root),
            token=hashlib.sha256(b"token " + seed).hexdigest()[:20], can=can)

    def _seed(self) -> bytes:
        """Random bytes of this installation, made once: its built-in cover site is like no other's."""
        path = self.folder.path / "seed"
        with suppress(FileNotFoundError):
            if len(seed := path.read_bytes()) >= 16:
                return seed
        seed = secrets.token_bytes(32)
        put(path, seed, 0o600)
        return seed

    def _check(self, version: str, files: Mapping[str, bytes]) -> None:
        code, printed = self.service.run(["sh", "-c", _CHECK, "check", version])
        if code == 99:
            raise EdgeFailure("nginx.not_mounted", folder=self.folder.path, mounted=MOUNTED)
        if code:
            raise EdgeFailure("nginx.refuses", reason=refusal(printed, files))

    def _swap(self, fresh: str, version: str) -> None:
        self.folder.point("current", fresh)
        try:
            if self._reloaded(version):
                self.folder.point("served", fresh)
                return
            _, printed = self.service.run(["cat", REFUSED])
        except RuntimeFailure:
            self._back(fresh)
            raise
        self._back(fresh)
        with suppress(RuntimeFailure):
            self.service.signal("SIGHUP")
        said = refusal(printed, {}) if printed.strip() else \
            Problem("nginx.silent", {"seconds": RELOAD_SECONDS, "compose": compose()})
        raise EdgeFailure("nginx.cant_serve", reason=said)

    def _back(self, fresh: str) -> None:
        """Put back what nginx was last seen to serve; a restart would read what is there."""
        if self.folder.target("served") != fresh:
            self.folder.point("current", self.folder.target("served"))

    def _reloaded(self, version: str) -> bool:
        """Tell nginx to read its files; whether it serves this version, with no old worker taking part."""
        start = time.monotonic()
        self.service.signal("SIGHUP")
        told = looked = start
        since = 0.0
        while (now := time.monotonic()) < start + RELOAD_SECONDS:
            if self.served() == version:
                since = since or now
                if now - since > _SETTLE:
                    return True
            else:
                since = 0.0
                if now - looked > _LOOK:
                    looked = now
                    if self.service.run(["test", "-s", REFUSED])[0] == 0:
                        return False
                if now - told > _AGAIN:
                    told = now
                    self.service.signal("SIGHUP")
            time.sleep(0.02)
        return False

    def _forget_staged(self) -> None:
        # Only tidying: what can't be removed now is removed by the next one.
        with suppress(OSError):
            self.folder.point("staged", "")
            self.folder.clean()


def front(config: Config, domain: str, ip: str, material: Callable[[], timing.Material]) -> IngressSpec:
    """What an engine is told of an nginx at `ip`. material: called when mtg learns from its file."""
    urls: tuple[str, ...] = ()
    trusted = ""
    if config.mtg_timing == "urls":
        urls = tuple(config.mtg_timing_urls)
    elif config.mtg_timing == "cover":
        try:
            learned = material()
            urls, trusted = (learned.url,), learned.ca
        except OSError:
            # apply() tells why. Nobody's proxy has to wait for it: mtg serves, slowly, and its log says so.
            urls = (timing.url(ip),)
    host = f"[{ip}]" if ":" in ip else ip
    cover = f"{host}:{portmap.COVER}" if config.is_own_name(domain) else ""
    return IngressSpec(config.port_443_mode, cover, urls, trusted, (ip,))


@contextmanager
def _failures() -> Iterator[None]:
    """Tell every failure as one of the edge's."""
    try:
        yield
    except ServiceMissing as error:
        raise EdgeUnavailable("nginx.missing", reason=error, compose=compose()) from error
    except RuntimeUnavailable as error:
        raise EdgeUnavailable(error.problem) from error
    except RuntimeFailure as error:
        raise EdgeUnavailable("nginx.unreachable", reason=error) from error
    except OSError as error:
        raise EdgeFailure("nginx.folder", path=error.filename or Problem("nginx.its_folder"),
                          reason=error.strerror or error) from error


def _ipv6() -> bool:
    """Whether nginx can listen on IPv6; it shares this machine's kernel, as it shares the folder."""
    return Path("/proc/net/if_inet6").exists()


def _trusted() -> bytes:
    """The certificate authorities that this machine trusts (PEM)."""
    return Path(ssl.get_default_verify_paths().cafile or certifi.where()).read_bytes()
