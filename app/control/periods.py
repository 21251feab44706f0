"""Periods and clocks: resets by hand and by cycle, expiry from the first use, an older panel's figures."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app.config import times
from app.config.file import ConfigFile
from app.config.model import Config, User
from app.ledger.ledger import Ledger
from app.ledger.traffic import Total
from app.lib.zone import server_zone
from app.messages import Problem
from app.mtproto.secret import Secret
from app.rules import cycles, trash
from app.rules.limits import GB, reset_cycle
from app.rules.links import all_links, link_id

log = logging.getLogger(__name__)

OLD_FILE = "traffic.json"


def reset(ledger: Ledger, users: Iterable[User], now: datetime, actor: str) -> None:
    """Begin a new period for these users, and say so in the audit log. Raises sqlite3.OperationalError."""
    users = list(users)
    before = ledger.traffic.totals()
    ledger.traffic.reset([u.id for u in users], now.timestamp())
    for user in users:
        ledger.events.record(actor, "traffic.reset", user.name, _amount(before.get(user.id, Total())),
                             users=[user.id])


def forget_use_elsewhere(ledger: Ledger, before: User, after: User, by_name: bool) -> None:
    """With another port, a link is one that nobody has used yet, though it is known by the same id.

    by_name: on port 443, where the user's own port is not in the link. To be called when the change is carried out, as
    the last use is read when a workload is replaced.
    """
    if before.port != after.port and not by_name:
        with ledger.database.best_effort("the last use of a link"):
            ledger.traffic.forget_use(link_id(after, Secret.parse(after.secret)))


def forget(ledger: Ledger, user_ids: Iterable[str]) -> None:
    """What was counted of users who can't be restored any more."""
    with ledger.database.best_effort("the end of a user's traffic"):
        for user_id in user_ids:
            ledger.traffic.forget(user_id)


def forget_deleted(file: ConfigFile, ledger: Ledger, now: datetime) -> None:
    """Forget who was deleted long ago. Raises ConfigError."""
    if not trash.due(file.read(), now):
        return
    with file.edit() as config:
        gone = trash.due(config, now)
        trash.forget(config, gone)
    forget(ledger, [user.id for user in gone])
    for user in gone:
        ledger.events.record("panel", "user.forgotten", user.name, users=[user.id])


def name_links(config: Config, ledger: Ledger) -> None:
    """Take over what an older version has noted by workload."""
    ledger.traffic.name_links(lambda: {link.name: (link.id, link.user.id) for link in all_links(config)})


def carry_out_resets(ledger: Ledger, config: Config, now: datetime) -> list[str]:
    """Reset whoever's cycle is due, each once; the ids of those users."""
    before = ledger.traffic.totals()
    wanted = {u.id: reset_cycle(u, config) for u in config.users}
    dues = cycles.dues(wanted, before, now, server_zone())
    if not dues:
        return []
    ended = ledger.traffic.carry_out(dues, now.timestamp())
    names = {u.id: u.name for u in config.users}
    for user_id in ended:
        ledger.events.record("panel", "traffic.reset", names[user_id],
                             Problem("event.traffic_cycle", {"amount": _amount(before[user_id]),
                                                             "cycle": wanted[user_id]}), users=[user_id])
    return ended


def start_clocks(file: ConfigFile, ledger: Ledger, active: Collection[str], now: datetime) -> None:
    """Those of the active users (ids) who wait for their first use expire so many days from now.
    Raises ConfigError, and then the next use is the first."""

    def waiting(config: Config) -> list[User]:
        return [u for u in config.users if u.id in active and u.expires_after_days and not u.expires_at]

    if not waiting(file.read()):
        return
    with file.edit() as config:
        started = [(user, now.replace(microsecond=0) + timedelta(days=user.expires_after_days))
                   for user in waiting(config)]
        for user, end in started:
            user.expires_at, user.expires_after_days = end, 0
    for user, end in started:
        ledger.events.record("panel", "user.first_use", user.name,
                             Problem("event.expires", {"at": end.astimezone().isoformat()}), users=[user.id])


def import_old_file(data_dir: Path, config: Config, ledger: Ledger) -> None:
    """Take over the totals of an older panel's traffic.json, once; the file is put aside.

    That panel added up what a container received and what it sent, in which each byte is
    twice: half of it is what the user moved. In which direction can't be told any more; what the
    container sent is taken for the download.
    """
    path = data_dir / OLD_FILE
    try:
        read = json.loads(path.read_bytes())["per_user"]
        per_port = {int(port): (_bytes(entry, "tx_bytes") // 2, _bytes(entry, "rx_bytes") // 2)
                    for port, entry in read.items()}
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("%s was not imported, as it can't be read: %s", path, error.strerror)
        return
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        _put_aside(path, "unreadable")
        ledger.events.record("panel", "traffic.not_imported", "", Problem("event.unreadable", {
            "file": OLD_FILE, "reason": repr(error), "kept": f"{OLD_FILE}.unreadable"}))
        return
    users = {u.port: u for u in config.users}
    known = {users[port].id: moved for port, moved in per_port.items() if port in users}
    # First the ledger, which remembers it: whoever is interrupted here only has to put the file aside.
    if ledger.traffic.import_once(OLD_FILE, known):
        params = {"gb": sum(down + up for down, up in known.values()) / GB, "count": len(known),
                  "kept": f"{OLD_FILE}.imported"}
        others = sorted(per_port.keys() - users.keys())
        ledger.events.record("panel", "traffic.imported", "", Problem("event.imported_without", {
            **params, "ports": others}) if others else Problem("event.imported", params))
    _put_aside(path, "imported")


def _put_aside(path: Path, ending: str) -> None:
    try:
        path.rename(path.with_name(f"{OLD_FILE}.{ending}"))
    except OSError as error:
        log.warning("%s could not be put aside: %s", path, error.strerror)


def _bytes(entry: Any, key: str) -> int:
    value = int(entry.get(key, 0))
    if not 0 <= value < 2 ** 62:
        raise ValueError(f"{key} is {value}")
    return value


def _amount(total: Total) -> Problem:
    if not total.reset_at:
        return Problem("event.traffic_ever", {"gb": total.period / GB})
    return Problem("event.traffic", {"gb": total.period / GB, "since": times.at(int(total.reset_at)).isoformat()})
