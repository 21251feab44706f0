"""What to run for links: the protocol every engine fulfils."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from app.config.model import Config, User
from app.ledger.bad_connections import ADDRESSES as ADDRESSES
from app.ledger.refusals import Refused
from app.messages import Problem
from app.messages.errors import Coded
from app.rules.links import Together, UserLink
from app.runtimes.base import Observed, Place, Workload


class EngineRefusal(Coded):
    """This engine can't serve anybody here; it says why and what would help."""


#: Who does something for a link: the engine itself, as its live files say; the runtime, around the engine; nobody.
ENGINE, RUNTIME, NOBODY = "engine", "runtime", ""


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do, as data: what follows from it is decided, and said, elsewhere.

    secrets: the kinds (Secret.kind) that it serves. speed: who limits the speed of a link; devices: who limits how
    many use it. lists_addresses: whether it tells from which ones it is used, see Engine.ask_addresses. shared: the
    name of the one workload that serves all its links, on one port; "" if each link has one of its own. several:
    whether that one is the first of some, as each serves only so many (config/containers). direct: whether clients
    come straight to it on port 443, too, as it does not understand nginx's PROXY header. counts: whether it counts
    what each link moves. most_links: how many it serves at a time, 0 for any number. restarts: whether a change of a
    link's secret restarts what serves it. logs_visitors: whether its log, with a setting for that, has the addresses
    of clients, see Engine.visits. ignores: settings that it does not use. cautions: settings that it uses, with a
    catch. debug_log: whether it can write a more detailed log for a while, see Engine.debugging.
    """

    secrets: frozenset[str]
    speed: str = RUNTIME
    devices: str = NOBODY
    lists_addresses: bool = False
    shared: str = ""
    several: bool = False
    direct: bool = False
    counts: bool = True
    restarts: bool = True
    most_links: int = 0
    ignores: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    debug_log: bool = False
    logs_visitors: bool = False


@dataclass(frozen=True)
class IngressSpec:
    """What nginx is to an engine: the way in, the site that probes are shown, the timing it imitates.

    proxy_protocol: whether every connection begins with a PROXY header, which names the client.
    cover: "ip:port" that probes go to, with a PROXY header before them; "" is the site of that name.
    timing: https addresses from which mtg learns how fast a real site sends; none for its own default.
    trusted: PEM certificates that `timing` may need, beside those that everybody trusts.
    addresses: of nginx and the router before it, as engines see them: the only ones whose PROXY header may be
    believed. None if unknown.
    """

    proxy_protocol: bool = False
    cover: str = ""
    timing: tuple[str, ...] = ()
    trusted: str = ""
    addresses: tuple[str, ...] = ()


#: No nginx: clients come straight to the engine.
NO_INGRESS = IngressSpec()


@dataclass(frozen=True)
class Question:
    """What a workload is to be asked by HTTP, at this port of its own. headers: of the request."""

    port: int
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Counters:
    """What an engine has counted since its start.

    down, up: payload bytes relayed to and from the user: the bill.
    connections: sessions open now. clients: sockets open now, probes included.
    fronted: connections passed to the cover host (probes); fronted_bytes: their
    bytes, both directions, never billed. replays: replayed handshakes turned away.
    refused: tries with the right key that were refused, which are no probes; None if the engine does not tell.
    bits_per_second: the speed limit that the engine itself keeps the link to, None for none.
    addresses: from which the link is used now; None if the engine does not tell. estimated: whether down and up are
    an estimate, from what the network's counters tell.
    """

    down: int = 0
    up: int = 0
    connections: int = 0
    clients: int = 0
    fronted: int = 0
    fronted_bytes: int = 0
    replays: int = 0
    refused: Refused | None = None
    bits_per_second: int | None = None
    addresses: int | None = None
    estimated: bool = False


@dataclass(frozen=True)
class Visitors:
    """Addresses from which a workload was visited in this run. turned_away: how many connections, by address and
    reason (bans/offences); it may forget one after a while, and begin with it anew. good: that had a session."""

    turned_away: Mapping[tuple[str, str], int] = field(default_factory=dict)
    good: Collection[str] = ()


@dataclass(frozen=True)
class Visit:
    """One connection, as a log tells. at: Unix seconds of the line that tells. reason: why it was turned away
    (bans/offences); "" for a session."""

    at: float
    address: str
    reason: str = ""


#: Where a link with this port is served.
PlaceOf = Callable[[int], Place]
#: What stands before the engine of a link with this domain.
FrontOf = Callable[[str], IngressSpec]


class Engine(Protocol):
    name: str

    @property
    def capabilities(self) -> Capabilities:
        """What it can do. Pure."""

    def workloads(self, links: Sequence[UserLink], config: Config, place: PlaceOf, front: FrontOf) -> list[Workload]:
        """What serves these links: one workload for each, or one for all. Each says which links it serves, and has
        live files if those may change while it runs. Pure. Raises EngineRefusal.

        Whoever serves several counts each apart, and tells the counters of one that it served in this run and does
        not serve any more, too: what it moved last is still to be read.
        """

    def missing(self) -> Problem | None:
        """What has to be installed on this machine before it can serve anybody; None if nothing has to. Pure."""

    def debugging(self, workload: Workload) -> Workload:
        """The same workload, with a more detailed log; nothing is restarted for it. Pure."""

    def at_start(self, live_files: Mapping[str, str]) -> Mapping[str, str]:
        """What a program goes by that has just started with these live files, where it takes over a part of them only
        when they change: other texts than these, or the same. Pure."""

    def refuses_unheard(self, metrics: str) -> bool:
        """Whether a limit on addresses is in force whose refusals bad() does not count, but the log tells. Raises
        ValueError as readings() does."""

    def refused(self, log: str) -> Sequence[tuple[float, str]]:
        """These refusals, oldest first: Unix seconds, link id. Pure."""

    def ask_addresses(self, config: Config) -> Question | None:
        """How a workload is asked from which addresses its links are used now; None if it does not tell. Pure."""

    def addresses(self, answer: str) -> Mapping[str, Sequence[str]]:
        """They, by link id. Raises ValueError for an answer that is none."""

    def ask_visitors(self, config: Config) -> Question | None:
        """How a workload is asked from which addresses it was visited, while the setting `bans` is on; None if it does
        not tell. Pure."""

    def visitors(self, answer: str) -> Visitors:
        """They. Raises ValueError for an answer that is none."""

    def visits(self, log: str) -> Sequence[Visit]:
        """What its log tells of them, oldest first, where capabilities.logs_visitors. Pure."""

    def explain(self, line: str) -> tuple[Problem, Problem] | None:
        """What a line of its log that tells of a connection which was turned away means, and what to do about it; None
        for any other line. Pure."""

    def readings(self, links: Sequence[str], metrics: str) -> Mapping[str, Counters]:
        """Read the Prometheus text of one workload: counters by link id. links: the one that it serves, or () where
        the text tells. Unknown names are ignored. Raises ValueError for text that is no whole one."""

    def bad(self, metrics: str) -> Mapping[str, int]:
        """How many connections were turned away since the start, by the engine's own name for the reason, ADDRESSES for
        those that were refused for max_unique_ips; none if it does not tell. Raises ValueError as readings() does."""

    def cause(self, reason: str) -> tuple[Problem, Problem]:
        """What connections that bad() tells under this name, or that others refuse for the engine, were, and what to
        do about them. Pure."""

    def steps(self, held: Mapping[str, str], wanted: Mapping[str, str], metrics: str) -> Sequence[Mapping[str, str]]:
        """What to write into a workload's live files, one after the other, each once the one before is taken over, so
        that in the end they hold what is wanted, and sessions that must end have ended. Pure.

        held: what they hold now. metrics: as in readings(), "" if the workload does not answer.
        """

    def holds(self, live_files: Mapping[str, str], metrics: str) -> bool:
        """Whether the workload that tells these metrics goes by such live files, and serves nobody else any more. Pure;
        True if it does not tell."""

    def findings(self, log: str, started_at: float = 0.0, now: float = 0.0) -> list[Problem]:
        """What keeps this start from serving as well as it could, by what it wrote in its log, such as why it sends
        slower; none if all is well. Pure.

        started_at, now: Unix seconds. With them it is seen that an engine which failed at first has
        learned since, and lines of an earlier start are left out; without them, every line counts.
        """


def by_name(*engines: Engine) -> dict[str, Engine]:
    """Engines by their names. The first one serves users who have no choice of their own, if the settings have none."""
    return {engine.name: engine for engine in engines}


def default_engine(config: Config, engines: Mapping[str, Engine]) -> str:
    """The name of the engine of users who have no choice of their own."""
    return config.engine or next(iter(engines))


def engine_name(user: User, config: Config, engines: Mapping[str, Engine]) -> str:
    """The name of the engine that this user is to be served by; it need not be among these."""
    return user.engine or default_engine(config, engines)


def together(user: User, config: Config, engine: Engine | None) -> Together | None:
    """What serves this user and others, if the engine serves users together."""
    if not engine or not engine.capabilities.shared:
        return None
    can = engine.capabilities
    return container(can.shared, user.mtproxy_container, config) if can.several else \
        Together(can.shared, config.shared_port, can.direct)


def container(shared: str, number: int, config: Config) -> Together:
    """One of an engine's several workloads. shared: the name of the first one. number: from 1 on."""
    return Together(shared if number <= 1 else f"{shared}-{number}",
                    min(65535, config.mtproxy_first_port + max(number, 1) - 1), direct=True)


def serving(observed: Observed, engines: Mapping[str, Engine]) -> Engine | None:
    """The engine of a workload; None for one that this installation does not have (any more)."""
    return engines.get(observed.engine) if observed.engine else next(iter(engines.values()))


class Basics:
    """The part of an engine that has nothing special to tell."""

    def missing(self) -> Problem | None:
        """As in Engine."""
        return None

    def debugging(self, workload: Workload) -> Workload:
        """As in Engine."""
        return workload

    def at_start(self, live_files: Mapping[str, str]) -> Mapping[str, str]:
        """As in Engine."""
        return live_files

    def refuses_unheard(self, metrics: str) -> bool:
        """As in Engine."""
        return False

    def refused(self, log: str) -> Sequence[tuple[float, str]]:
        """As in Engine."""
        return ()

    def ask_addresses(self, config: Config) -> Question | None:
        """As in Engine."""
        return None

    def addresses(self, answer: str) -> Mapping[str, Sequence[str]]:
        """As in Engine."""
        return {}

    def ask_visitors(self, config: Config) -> Question | None:
        """As in Engine."""
        return None

    def visitors(self, answer: str) -> Visitors:
        """As in Engine."""
        return Visitors()

    def visits(self, log: str) -> Sequence[Visit]:
        """As in Engine."""
        return ()

    def explain(self, line: str) -> tuple[Problem, Problem] | None:
        """As in Engine."""
        return None

    def bad(self, metrics: str) -> Mapping[str, int]:
        """As in Engine."""
        return {}

    def cause(self, reason: str) -> tuple[Problem, Problem]:
        """As in Engine."""
        if reason == ADDRESSES:
            return Problem("bad.too_many_addresses"), Problem("bad.too_many_addresses.do")
        return Problem("bad.other", {"reason": reason}), Problem("bad.other.do")

    def steps(self, held: Mapping[str, str], wanted: Mapping[str, str], metrics: str) -> Sequence[Mapping[str, str]]:
        """As in Engine."""
        return [wanted]

    def holds(self, live_files: Mapping[str, str], metrics: str) -> bool:
        """As in Engine."""
        return True


class OneEach(Basics):
    """The part of an engine whose workloads serve one link each."""

    def workload(self, user: User, config: Config, place: Place, front: IngressSpec = NO_INGRESS) -> Workload:
        """The workload that serves this user's link. Pure. Raises EngineRefusal."""
        raise NotImplementedError

    def counters(self, metrics: str) -> Counters:
        """Read the Prometheus text of one workload. Raises ValueError."""
        raise NotImplementedError

    def workloads(self, links: Sequence[UserLink], config: Config, place: PlaceOf, front: FrontOf) -> list[Workload]:
        """As in Engine."""
        return [replace(self.workload(_as_user(link), config, place(link.user.port), front(link.domain)),
                        name=link.name, links=(link.id,)) for link in links]

    def readings(self, links: Sequence[str], metrics: str) -> Mapping[str, Counters]:
        """As in Engine."""
        return dict.fromkeys(links, self.counters(metrics))


def _as_user(link: UserLink) -> User:
    """The user, with this link as the only one."""
    return link.user.model_copy(update={"secret": link.secret.hex, "fake_tls_domain": link.domain})
