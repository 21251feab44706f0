"""Traefik in its container, with nginx behind it: one file is written, and Traefik is asked what it made of it."""

from __future__ import annotations

import http.client
import ipaddress
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.commands import compose
from app.config.model import Config
from app.edge.base import EdgeConfig, EdgeFailure, EdgeUnavailable
from app.edge.nginx.edge import Nginx
from app.edge.nginx.render import refuse_names
from app.edge.traefik import routes
from app.engines.base import IngressSpec
from app.lib import portmap
from app.lib.filelock import locked
from app.lib.files import put, sync_folder
from app.messages import Problem
from app.runtimes.base import Devices

#: Seconds for Traefik to serve a new file. It notices one in a third of a second.
RELOAD_SECONDS = 10.0

#: Seconds between two looks at whether it does: with a thousand users, each answer is half a megabyte.
_LOOK = 0.1

#: Traefik's own view of what it routes is one instant ahead of the port itself.
_SETTLE = 0.05


class Traefik:
    """The traefik of docker-compose.traefik.yml. Implements Edge.

    nginx: what stands behind it, made with `router` as below. It serves whatever is no user's: the panel, the cover
    site, unknown names. folder: data/traefik, whose `dynamic` the container watches. ip: the container's address in the
    proxies' network; panel_side: that in the panel's, where it says what it serves.
    """

    name = "traefik"

    def __init__(self, nginx: Nginx, folder: Path, ip: str, panel_side: str) -> None:
        self.nginx = nginx
        self.folder = Path(folder)
        self.ip = str(ipaddress.ip_address(ip))
        self.panel_side = str(ipaddress.ip_address(panel_side))

    @property
    def file(self) -> Path:
        return self.folder / "dynamic" / "tcp.yml"

    def apply(self, site: EdgeConfig) -> bool:
        refuse_names(site)
        wanted = routes.document(site, self.nginx.panel_side or self.nginx.ip, self.nginx.proxies)
        with _failures():
            for folder in (self.folder, self.file.parent):
                if not folder.is_dir():
                    folder.mkdir(parents=True)
                    folder.chmod(0o755)
            with locked(self.folder / "lock"):
                before = self._content()
                changed = self._serve(wanted, before)
                try:
                    return self.nginx.apply(site) or changed
                except BaseException:
                    if changed:
                        self._back(before)
                    raise

    def turned_away(self) -> int:
        return self.nginx.turned_away()  # of Traefik's own, only its log would say, with their addresses

    def flooders(self) -> Mapping[str, int]:
        return self.nginx.flooders()

    def devices(self) -> Mapping[str, Devices]:
        direct = self.served().routers
        return {name: kept for name, kept in self.nginx.devices().items() if routes.link(name) not in direct}

    def front(self, config: Config, domain: str) -> IngressSpec:
        behind = self.nginx.front(config, domain)
        return replace(behind, addresses=(self.ip, *behind.addresses))

    def served(self) -> routes.Routed:
        """What Traefik routes now. Raises EdgeUnavailable."""
        return _read(self._asked())

    def _serve(self, wanted: Mapping[str, Any], before: bytes) -> bool:
        """Have Traefik route this; whether that changed anything. Raises EdgeFailure, and then it is as before."""
        content, goal = routes.text(wanted), routes.declared(wanted)
        now = self.served()
        if content == before and now == goal:
            return False
        self._write(content)
        try:
            if refusal := self._refusal(goal):
                raise EdgeFailure("traefik.refuses", reason=refusal)
        except BaseException:
            self._back(before)
            raise
        return now != goal

    def _refusal(self, goal: routes.Routed) -> Problem | str | None:
        """Why it does not route this; None once it does."""
        end = time.monotonic() + RELOAD_SECONDS
        while True:
            answer = self._asked()
            if _read(answer) == goal:
                time.sleep(_SETTLE)
                return None
            if said := routes.objections(answer, goal):
                return said[0]
            if time.monotonic() > end:
                return Problem("traefik.silent", {"seconds": RELOAD_SECONDS, "file": self.file,
                                                  "compose": compose()})
            time.sleep(_LOOK)

    def _back(self, before: bytes) -> None:
        """Put back the file that Traefik served, for when it starts anew."""
        with suppress(OSError):
            if before:
                self._write(before)
            else:
                self.file.unlink(missing_ok=True)

    def _content(self) -> bytes:
        try:
            return self.file.read_bytes()
        except FileNotFoundError:
            return b""

    def _write(self, content: bytes) -> None:
        put(self.file, content, 0o644)  # Traefik looks at names that end in .yml only: never at half of it
        sync_folder(self.file.parent)

    def _asked(self) -> Mapping[str, Any]:
        """What Traefik says of itself. Raises EdgeUnavailable."""
        connection = http.client.HTTPConnection(self.panel_side, portmap.ROUTER_API, timeout=5.0)
        try:
            connection.request("GET", _STATE)
            said = connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            reason = error.strerror if isinstance(error, OSError) else ""
            raise EdgeUnavailable("traefik.missing", reason=reason or str(error), compose=compose()) from error
        finally:
            connection.close()
        try:
            answer = json.loads(said)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise EdgeUnavailable("traefik.answer", path=_STATE, said=said[:80].decode(errors="replace"))
        return answer


_STATE = "/api/rawdata"


def _read(answer: Mapping[str, Any]) -> routes.Routed:
    try:
        return routes.served(answer)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise EdgeUnavailable("traefik.answer", path=_STATE, said=repr(error)) from error


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EdgeFailure("traefik.folder", path=error.filename or Problem("traefik.its_folder"),
                          reason=error.strerror or error) from error
