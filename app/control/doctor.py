"""Looks at everything that can be looked at from here, and says what helps."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.checks import outside
from app.checks.addresses import LookupFailed
from app.checks.tls import check_all
from app.commands import command_line
from app.config.values import is_ip
from app.control import passes, views
from app.control.errors import Refused
from app.control.probing import try_link
from app.control.records import DoorView, Status, UserView
from app.control.system import System
from app.lib.public import is_public
from app.messages import Problem, coded
from app.mtproto.probe import ProbeError

OK, NOTE, PROBLEM = "ok", "note", "problem"
#: What needs somebody comes first.
RANKS = (PROBLEM, NOTE, OK)

#: Bytes below which something soon fails: the ledger grows by megabytes, an image is hundreds of them.
_LITTLE_DISK, _LITTLE_MEMORY = 500 * 1000**2, 64 * 1024**2
_AT_ONCE = 8

#: Words of the command line -> the command, as it is typed on this installation.
Typed = Callable[[str], str]


@dataclass(frozen=True)
class Finding:
    """about: the part that was looked at. state: ok, note or problem. told: what was found. command: what mends it, or
    says more, as it is typed on this server; "" where no command does."""

    about: str
    state: str
    told: Problem
    command: str = ""

    @property
    def rank(self) -> int:
        return RANKS.index(self.state)

    def to_json(self) -> dict[str, Any]:
        return {"about": self.about, "state": self.state, "text": self.told, "text_coded": coded(self.told),
                "command": self.command}


def examine(system: System, with_domains: bool = False) -> list[Finding]:
    """Everything, in the order in which one thing needs another. Changes nothing; takes seconds.

    with_domains: also whether each user's domain answers with TLS 1.3, for which sites elsewhere are asked.
    """
    passes.look_at_server(system)
    passes.look_at_clock(system)
    status = views.status(system)
    typed = partial(command_line, system.data_dir, anywhere=True)
    found = [*_machine(system.data_dir), *_configuration(system, typed), *_whole(status, typed)]
    found += _links(system, status.users, typed)
    found += _from_outside(system, status, typed)
    if with_domains:
        names = sorted({user.domain for user in status.users if user.enabled and user.domain})
        found += [Finding("domains", OK if one.ok else PROBLEM,
                          Problem("doctor.domain", {"domain": one.domain}) if one.ok else
                          Problem("doctor.domain_bad", {"domain": one.domain, "reason": one.reason}),
                          "" if one.ok else typed(f"domains check {shlex.quote(one.domain)}"))
                  for one in check_all(names)]
    return found


def examine_address(system: System) -> list[Finding]:
    """What examine() tells of the server's address: where it leads as seen from here, and from the helper elsewhere."""
    passes.look_at_server(system)
    status = views.status(system)
    typed = partial(command_line, system.data_dir, anywhere=True)
    found = [*_address(status, typed)] or [_leads(system, status.server)]
    return [*found, *_from_outside(system, status, typed)]


def _leads(system: System, server: str) -> Finding:
    """An address that nothing is wrong with, but that a private network may be all that knows it."""
    found = _leads_to(system, server)
    shown = ", ".join(sorted(found))
    if found and not any(map(is_public, found)):
        return Finding("address", NOTE, Problem("doctor.address_private", {"server": server, "found": shown}))
    if is_ip(server) or not found:
        return Finding("address", OK, Problem("doctor.address", {"server": server}))
    return Finding("address", OK, Problem("doctor.address_name", {"server": server, "found": shown}))


def _address(status: Status, typed: Typed) -> Iterator[Finding]:
    if status.server_note:
        yield Finding("address", PROBLEM, status.server_note, typed("settings set server_domain=NAME"))


def _door(door: DoorView) -> Finding:
    """The panel at the bare address. Why an authority refuses is among the problems already."""
    if not door.self_signed:
        return Finding("panel", OK, Problem("doctor.door", {"url": door.url, "until": door.expires_at}))
    return Finding("panel", NOTE, Problem("doctor.door_own", {"url": door.url, "until": door.expires_at,
                                                             "fingerprint": door.fingerprint}))


def _machine(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    yield _finding("disk", "doctor.disk", free < _LITTLE_DISK, "df -h", free=round(free / 1000**2))
    memory = _available_memory()
    if memory is not None:
        yield _finding("memory", "doctor.memory", memory < _LITTLE_MEMORY, "free -m",
                       free=round(memory / 1024**2))


def _configuration(system: System, typed: Typed) -> Iterator[Finding]:
    """What config.json says that has no effect, or works oddly; what is wrong with it is among the whole's problems."""
    if problems := system.declaration.problems():
        yield from (Finding("configuration", PROBLEM, problem, typed("config check")) for problem in problems)
        return
    notes = system.file.check()
    yield from (Finding("configuration", NOTE, note, typed("config check")) for note in notes)
    if not notes:
        yield _finding("configuration", "doctor.configuration", False)


def _whole(status: Status, typed: Typed) -> Iterator[Finding]:
    yield from (Finding("installation", PROBLEM, problem, typed("status")) for problem in status.problems)
    if status.edge and (door := status.edge.by_address):
        yield _door(door)
    yield from _address(status, typed)
    yield from (Finding("installation", NOTE, note) for note in status.notes)
    if status.outdated:
        yield _finding("images", "doctor.outdated", True, typed("update-proxies"), count=status.outdated)
    if status.stopped:
        yield Finding("proxies", NOTE, Problem("doctor.stopped"), typed("start"))
    else:
        yield _finding("proxies", "doctor.running", status.running < status.total, typed("reconcile"),
                       running=status.running, total=status.total)


def _links(system: System, users: list[UserView], typed: Typed) -> list[Finding]:
    def tried(user: UserView) -> Finding | None:
        try:
            try_link(system, user)
        except (ProbeError, Refused) as error:
            return Finding("links", PROBLEM, Problem("doctor.link_bad", {"name": user.name, "reason": error}),
                           typed(f"logs {shlex.quote(user.name)}"))
        return None

    running = [user for user in users if user.state == "running"]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        bad = [finding for finding in pool.map(tried, running) if finding]
    if running and not bad:
        bad = [_finding("links", "doctor.links", False, count=len(running))]
    return bad


def _from_outside(system: System, status: Status, typed: Typed) -> Iterator[Finding]:
    """What a helper on another machine sees, if one is declared: this server's address, and which ports let it in."""
    config = system.declaration.last_good()
    if not config.helper_url:
        return
    running = sorted({user.link_port for user in status.users if user.state == "running"})
    try:
        seen = outside.look(config.helper_url, running[:outside.MOST])
    except outside.OutsideFailed as failure:
        yield Finding("from outside", NOTE, failure.problem)
        return
    # One kind of address says nothing about the other.
    leads = {address for address in _leads_to(system, status.server) if (":" in address) == (":" in seen.address)}
    if leads and seen.address not in leads:
        yield _finding("from outside", "doctor.outside_other", True, typed("settings get server_ip"),
                       address=seen.address, server=status.server, found=", ".join(sorted(leads)))
    else:
        yield _finding("from outside", "doctor.outside_address", False, address=seen.address)
    closed = [port for port in running[:outside.MOST] if port not in seen.open]
    yield from (_finding("from outside", "doctor.outside_closed", True, typed("doctor"), port=port)
                for port in closed)
    if seen.open:
        yield _finding("from outside", "doctor.outside_open", False, ports=", ".join(map(str, sorted(seen.open))))


def _leads_to(system: System, server: str) -> frozenset[str]:
    """The addresses of the server in links; none where nobody knows them."""
    if is_ip(server):
        return frozenset({server})
    try:
        return system.port443.addresses.of(server) if system.port443.addresses and server else frozenset()
    except LookupFailed:
        return frozenset()


def _finding(about: str, code: str, is_problem: bool, command: str = "", **params: object) -> Finding:
    """command: of a problem; what is right needs none."""
    return Finding(about, PROBLEM if is_problem else OK, Problem(code, params), command if is_problem else "")


def _available_memory() -> int | None:
    """Bytes, as the kernel estimates them; None where it does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
