"""What to run for a user: the protocol every engine fulfils."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.config.model import Config, User
from app.ledger.refusals import Refused
from app.runtimes.base import Place, Workload


class EngineRefusal(Exception):
    """This engine can't serve this user; the message says why and what would help."""


@dataclass(frozen=True)
class IngressSpec:
    """What nginx is to an engine: the way in, the site that probes are shown, the timing it imitates.

    proxy_protocol: whether every connection begins with a PROXY header, which names the client.
    cover: "ip:port" that probes go to, with a PROXY header before them; "" is the site of that name.
    timing: https addresses from which mtg learns how fast a real site sends; none for its own default.
    trusted: PEM certificates that `timing` may need, beside those that everybody trusts.
    """

    proxy_protocol: bool = False
    cover: str = ""
    timing: tuple[str, ...] = ()
    trusted: str = ""


#: No nginx: clients come straight to the engine.
NO_INGRESS = IngressSpec()


@dataclass(frozen=True)
class Counters:
    """What an engine has counted since its start.

    down, up: payload bytes relayed to and from the user: the bill.
    connections: sessions open now. clients: sockets open now, probes included.
    fronted: connections passed to the cover host (probes); fronted_bytes: their
    bytes, both directions, never billed. replays: replayed handshakes turned away.
    refused: tries with the right key that were refused, which are no probes; None if the engine does not tell.
    """

    down: int = 0
    up: int = 0
    connections: int = 0
    clients: int = 0
    fronted: int = 0
    fronted_bytes: int = 0
    replays: int = 0
    refused: Refused | None = None


class Engine(Protocol):
    name: str

    def workload(self, user: User, config: Config, place: Place, front: IngressSpec = NO_INGRESS) -> Workload:
        """The workload that serves this user. Pure. Raises EngineRefusal."""

    def counters(self, metrics: str) -> Counters:
        """Read the Prometheus text of one workload. Unknown names are ignored."""

    def slow(self, log: str, started_at: float = 0.0, now: float = 0.0) -> str:
        """Why this start sends slower than it could, by what it wrote in its log; "" if it does not. Pure.

        started_at, now: Unix seconds. With them it is seen that an engine which failed at first has
        learned since, and lines of an earlier start are left out; without them, every line counts.
        """

    def notes(self, config: Config) -> list[str]:
        """What of the declaration this engine does not do, or does with a catch, one sentence each. Pure."""
