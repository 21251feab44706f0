"""What fail2ban on this server is to go by, what it does, and what it is asked for (app/bans)."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass

from app.bans.folder import BansFolder, Rules, Verb
from app.bans.log import OffendersLog
from app.bans.offences import Offence
from app.checks.addresses import interfaces
from app.config import times
from app.config.model import Config
from app.config.values import is_ip
from app.control.records import document, moment
from app.control.system import System
from app.engines.base import engine_name, serving, together
from app.lib.place import place, shown
from app.lib.public import Network
from app.lib.zone import server_zone
from app.runtimes.base import Observed

#: The web's ports, which nginx has where it stands beside the panel.
_HTTP = 80


def rules(system: System, config: Config) -> Rules:
    """What the jail goes by. The ports are those that clients use, and not the panel's own: who is locked out by
    mistake gets to the panel, and SSH is none of ours."""
    ports = {link.user.port for link in system.declaration.links().values()}
    for user in config.users:
        engine = system.engines.get(engine_name(user, config, system.engines))
        if shared := together(user, config, engine):
            ports.add(shared.port)
    if system.port443.edge:
        ports |= {system.port443.public_port, _HTTP}
    return Rules(config.bans, config.ban_after, config.ban_window * 60, config.ban_length * 60,
                 tuple(sorted(ports)))


def keep(system: System, config: Config) -> None:
    """Let the server know what it is to go by, if that has changed. Where bans never were wanted, nothing is written.
    Raises OSError."""
    folder = BansFolder(system.data_dir)
    if not (config.bans or folder.path.exists()):
        return
    wanted = rules(system, config)
    folder.want(wanted)
    active = folder.active()
    if active and active.bans and (gone := used_for_the_panel(system).intersection(ban.place for ban in active.bans)):
        folder.ask(wanted, "unban", sorted(gone))


def used_for_the_panel(system: System) -> set[str]:
    """Places where somebody is logged in to the panel."""
    with system.ledger.database.best_effort("where the panel is used"):
        return {place(address) for address in system.ledger.sessions.addresses() if is_ip(address)}
    return set()


def spared(system: System, config: Config) -> list[Network]:
    """Networks from which nobody is written down: this server's own addresses, Docker's networks, and those of the
    setting ban_never. All that are not the internet's are spared without it."""
    own = [address for address in (config.server_ip, config.server_domain) if is_ip(address)]
    own += own_addresses(system, config)
    return [ipaddress.ip_network(each, strict=False) for each in (*own, *config.ban_never)] + list(
        system.port443.networks)


def port_of(system: System, config: Config, there: Observed) -> int:
    """The port that clients of this workload connect to."""
    engine = serving(there, system.engines)
    direct = bool(engine and engine.capabilities.direct)
    if config.port_443_mode and system.port443.edge and not direct:
        return system.port443.public_port
    return listened(system, config, there)


def listened(system: System, config: Config, there: Observed) -> int:
    """The port of its own that it was given."""
    link = system.declaration.links().get(there.name)
    return config.shared_port if there.shared or not link else link.user.port


def own_addresses(system: System, config: Config) -> list[str]:
    """As far as they can be seen from here; fail2ban itself spares those of the server's interfaces."""
    found = set(interfaces())
    if system.port443.addresses:
        found |= system.port443.addresses.own(config)
    return sorted(found)


@dataclass(frozen=True)
class BanView:
    """An address that is banned. address: an IPv4 one, or an IPv6 /64. since, until: ISO 8601; until is None for one
    without an end. reason: of its last offence ("" if that is not known, as of one banned by hand). offences: how many
    are known; ports: at which. ending: whether fail2ban was asked to end it."""

    address: str
    since: str
    until: str | None
    reason: str
    offences: int
    ports: list[int]
    ending: bool

    def to_json(self) -> dict[str, object]:
        return document(self)


@dataclass(frozen=True)
class BansView:
    """wanted: whether bans are switched on. state: of fail2ban: "running", "stopped", "missing", or "unknown" where the
    server has never said, as where our jail was not installed. bans: the newest first. asked: addresses for which a ban
    was asked for that is not there yet. offences_day: how many were written down in the last day."""

    wanted: bool
    state: str
    bans: list[BanView]
    asked: list[str]
    offences_day: int

    def to_json(self) -> dict[str, object]:
        return {**document(self), "bans": [ban.to_json() for ban in self.bans]}


def view(system: System) -> BansView:
    """What is banned now, as fail2ban has told the server's script, and why."""
    config, folder = system.declaration.last_good(), BansFolder(system.data_dir)
    active, now = folder.active(), time.time()
    zone = server_zone()
    known: dict[str, list[Offence]] = {}
    day = 0
    for offence in OffendersLog(system.data_dir / "logs").read():
        known.setdefault(offence.place, []).append(offence)
        day += offence.at > now - 86400
    asked = folder.requests()
    ending = {each.place for each in asked if each.verb == "unban"}
    bans = [ban for ban in (active.bans if active else ()) if not ban.until or ban.until > now]
    views = []
    for ban in sorted(bans, key=lambda each: (-each.since, each.place)):
        offences = known.get(ban.place, [])
        views.append(BanView(shown(ban.place), times.at(ban.since, zone).isoformat(), moment(ban.until, zone),
                             max(offences, key=lambda each: each.at).reason if offences else "", len(offences),
                             sorted({each.port for each in offences}), ban.place in ending))
    banned = {ban.place for ban in bans}
    return BansView(config.bans, active.state if active else "unknown", views,
                    sorted(shown(each.place) for each in asked if each.verb == "ban" and each.place not in banned), day)


def ask(system: System, verb: Verb, places: list[str]) -> None:
    """Ask fail2ban for these. Raises OSError."""
    BansFolder(system.data_dir).ask(rules(system, system.declaration.last_good()), verb, places)
