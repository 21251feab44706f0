"""The words of the edge: what it should serve, and what can go wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from app.config.model import Config
from app.engines.base import IngressSpec
from app.messages.errors import Coded
from app.runtimes.base import Devices


class EdgeFailure(Coded):
    """nginx was not changed. It says what is wrong, and what stays as it was."""


class EdgeUnavailable(EdgeFailure):
    """nginx does not run, or does not answer. What is declared is applied when it is back."""


@dataclass(frozen=True)
class Certificate:
    """One certificate of certbot's, with what nginx needs of it.

    name: certbot's name of it. domains: the host names and IP addresses that it is good for. chain: PEM, the
    server's own certificate first. key: PEM. not_before, not_after: with a time zone.
    """

    name: str
    domains: tuple[str, ...]
    chain: str
    key: str = field(repr=False)
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class Door:
    """The panel by HTTPS at the bare address. path: the one step under which it is, without slashes; whoever asks
    for another one is a stranger. certificate: what is shown there."""

    path: str
    certificate: Certificate


@dataclass(frozen=True)
class EdgeConfig:
    """Everything that decides what nginx serves; the same EdgeConfig makes the same files.

    routes: SNI domain -> "host:port" of the engine that serves it, by its name in the proxies' network.
    own_names: those domains, and others, whose visitors see the cover site: sni_base_domain and what is
    under it. door: None where the panel is not served at the bare address. share_pages: the tokens of users' own pages,
    which are served under share_hostname, and at the bare address: nginx knows them, so whoever asks for another one
    does not reach the panel. device_limits: SNI domain -> from how many addresses it may be used at a time (an IPv6
    one counts as its /64), for those that have a limit which their engine does not keep itself. The other fields are
    the settings of the same names.
    """

    routes: Mapping[str, str] = field(default_factory=dict)
    own_names: tuple[str, ...] = ()
    panel_domain: str = ""
    door: Door | None = None
    share_hostname: str = ""
    share_pages: tuple[str, ...] = ()
    device_limits: Mapping[str, int] = field(default_factory=dict)
    unknown_sni: str = "cover"
    cover_site: str = "builtin"
    cover_url: str = ""
    nginx_worker_hours: int = 6
    nginx_connections_per_address: int = 1024
    names_refused: bool = False
    certificates: tuple[Certificate, ...] = ()


class Edge(Protocol):
    """What takes the connections on port 443, as control sees it: `Nginx`, or `Traefik` with nginx behind it."""

    @property
    def name(self) -> str:
        """Who does: "nginx" or "traefik"."""

    def apply(self, site: EdgeConfig) -> bool:
        """Make nginx serve this; True if that changed anything. Returns once it is served.

        Raises EdgeFailure when nginx refuses it, and what it served before is served on;
        EdgeUnavailable when nginx does not answer.
        """

    def turned_away(self) -> int:
        """How many connections on port 443 were closed since the last call, because their address had its share.

        Raises EdgeFailure.
        """

    def flooders(self) -> Mapping[str, int]:
        """The same by IP address, while the site names_refused; not all where they are many.

        Raises EdgeFailure.
        """

    def devices(self) -> Mapping[str, Devices]:
        """The device_limits that are kept, read back, by SNI domain; without those that can't be kept here.

        Raises EdgeFailure.
        """

    def front(self, config: Config, domain: str) -> IngressSpec:
        """What the engine of a user with this SNI domain is told of nginx. Needs no nginx that runs."""
