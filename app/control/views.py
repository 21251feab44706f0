"""How it is, for people and programs: every read of the panel and the command line is a function here."""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress

from app.certificates.renewal import ADDRESS
from app.config import data_folder, schema
from app.config.model import SETTINGS, User
from app.control import certificates as certificate_views
from app.control import channels, log_views, move_notes, passes, roster, snapshot, strangers, telegram_files
from app.control.edge import NGINX
from app.control.engine_limits import engine_notes
from app.control.errors import refusing
from app.control.outcome import BACKUPS, MTPROXY_EXPORT
from app.control.records import (
    AddressView,
    BadView,
    CertificateView,
    DeletedView,
    EdgeStatus,
    OldLinkView,
    Row,
    Status,
    UserView,
    moment,
)
from app.control.snapshot import Snapshot
from app.control.system import System
from app.engines.base import Capabilities, default_engine
from app.ledger.events import About, Event
from app.ledger.history import Point
from app.ledger.traffic import Total
from app.lib.zone import server_zone, zone_problem
from app.messages import Problem
from app.mtproto.links import tg_link, tme_link
from app.rules import limits, trash
from app.rules.links import Together, UserLink, link_port, links, listened_port, workload_name
from app.rules.users import find

#: How many users are named whose proxies have the same trouble.
_NAMED = 3
#: How many hints of users stand among the notes of the whole.
_HINTS = 5


def users(system: System, secrets: bool = True) -> list[UserView]:
    """Everybody, in the order of the declaration. secrets: with what lets somebody in."""
    return _users(snapshot.take(system), secrets)


def _users(now: Snapshot, secrets: bool) -> list[UserView]:
    found = [user_view(user, now) for user in now.config.users]
    return found if secrets else [view.without_secrets() for view in found]


def user(system: System, ref: str) -> UserView:
    """The user with this id or name. Refused when there is none, or several."""
    now = snapshot.take(system)
    return user_view(find(now.config, ref), now)


def user_of_id(system: System, user_id: str, secrets: bool) -> UserView | None:
    """The user with this id; None if there is none. A name is no id, whatever it looks like. secrets: whether whoever
    asks may see what lets somebody in."""
    now = snapshot.take(system)
    found = next((user for user in now.config.users if user.id == user_id), None)
    if found is None:
        return None
    return user_view(found, now) if secrets else user_view(found, now).without_secrets()


def unavailable(system: System) -> Problem | None:
    """Why it can't be seen what runs; None if it can."""
    return snapshot.look(system)[1]


def status(system: System, max_age: float = 3.0, whole: bool = True, secrets: bool = True) -> Status:
    """The whole, with counters no older than `max_age` seconds. whole: with everybody's view, which takes its time
    for thousands; the rows alone tell what a page needs. secrets: with what lets somebody in."""
    problems: list[Problem | None] = [*system.declaration.problems(), system.clock.problem(), *refresh(system, max_age)]
    now = snapshot.take(system)
    rows = roster.rows(now)
    problems += [*now.config.problems(), zone_problem(), data_folder.owner_problem(system.data_dir)]
    running = sum(row.state == "running" for row in rows)
    edge = _edge(system, now, running)
    problems += [system.reconciler.sampler.trouble, *(edge.problems if edge else ()), *troubles(rows, now),
                 now.problems.get(BACKUPS), telegram_files.problem(system, now.config),
                 now.problems.get(MTPROXY_EXPORT), *channels.problems(system)]
    return Status(
        runtime=system.runtime.name, engine=default_engine(now.config, system.engines), running=running,
        total=sum(row.state not in ("disabled", "expired", "blocked") for row in rows),
        rows=rows if secrets else roster.rows(now, secrets),
        users=_users(now, secrets) if whole else [],
        stopped=now.config.proxies_stopped, outdated=now.outdated,
        problems=list(dict.fromkeys(filter(None, problems))),
        notes=[*engine_notes(system.engines, now.config), *system.runtime.notes(), *hint_notes(rows)],
        server=now.server, server_note=system.server.note(now.config), edge=edge, bad=_bad(system, now),
        debug_logs=log_views.debug_logs(system),
        bytes_down=sum(row.down for row in rows), bytes_up=sum(row.up for row in rows),
        period_down=sum(row.used_down for row in rows), period_up=sum(row.used_up for row in rows),
        now_down=sum(row.now_down for row in rows), now_up=sum(row.now_up for row in rows),
        connections=sum(row.connections for row in rows), probes=sum(row.probes for row in rows))


def refresh(system: System, max_age: float = 3.0) -> list[Problem]:
    """Read the counters, if they are older than so many seconds. Returns what was wrong with that."""
    if time.monotonic() - system.sampled_at <= max_age:
        return []
    return passes.attempt(lambda: passes.sample(system))


def port_443_trouble(system: System) -> Problem | None:
    """Why port 443 does not serve users as it should; None if it does, and where they are not there."""
    if system.port443.edge is None or not system.declaration.last_good().port_443_mode:
        return None
    return system.ledger.workloads.problems().get(NGINX)


def _bad(system: System, now: Snapshot) -> list[BadView]:
    """None while the ledger can't be read: it is about the past, and no reason to show nothing."""
    with suppress(sqlite3.OperationalError):
        return [BadView(bad.engine, bad.reason, bad.day, bad.month, *system.engines[bad.engine].cause(bad.reason))
                for bad in system.ledger.bad_connections.recent(now.now.timestamp()) if bad.engine in system.engines]
    return []


def history(system: System, ref: str, since: float, step: int) -> list[Point]:
    """A user's traffic from `since` (Unix seconds) on, or everybody's; see ledger.history.points."""
    user_id = find(system.declaration.last_good(), ref).id if ref else None
    return system.ledger.traffic.history(user_id, since, step)


def logs(system: System, ref: str = "", tail: int = 200) -> list[str]:
    """The last lines of all proxies, or of one user's, by time: "[mtg-proxy-2443] …"."""
    with refusing():
        return system.runtime.merged_logs(_ids(system, ref), tail)


def follow_logs(system: System, ref: str = "", tail: int = 200) -> Iterator[str]:
    """The same, and then every line as it is written, for ever."""
    with refusing():
        yield from system.runtime.followed_logs(_ids(system, ref), tail)


def deleted(system: System) -> list[DeletedView]:
    """Who can be restored, the last one first."""
    zone = server_zone()
    return [DeletedView(id=user.id, name=user.name, port=user.port, domain=user.fake_tls_domain, note=user.note,
                        deleted_at=user.deleted_at.astimezone(zone).isoformat(),
                        until=(user.deleted_at + trash.KEPT).astimezone(zone).isoformat())
            for user in reversed(system.declaration.last_good().deleted_users)]


def events(system: System, subject: str = "", limit: int = 50, actor: str = "", kinds: Sequence[str] = (),
           before: float | None = None, user_id: str = "") -> list[Event]:
    """What was done, and what happened by itself, newest first; see Events.recent. user_id: the history of one user,
    there or gone, whatever they were called. subject: the same for whoever is called so now, who may be deleted; and
    what stands under this name of all others."""
    config = system.declaration.last_good()
    theirs = [user for user in (*config.users, *config.deleted_users) if user.id == user_id] if user_id else [
        user for user in (*config.users, *config.deleted_users) if subject and subject in (user.name, user.id)]
    about = [About(user.id, user.name, user.created_at.timestamp()) for user in theirs]
    if user_id and not about:
        about = [About(user_id)]
    with refusing():
        return system.ledger.events.recent(limit, subject, actor, kinds, before, about)


def actors(system: System) -> list[str]:
    """Who did something, as events name them."""
    with refusing():
        return system.ledger.events.actors()


def settings(system: System) -> dict[str, object]:
    """Every setting, as it is declared."""
    config = system.declaration.last_good()
    return {key: getattr(config, key) for key in SETTINGS}


def certificates(system: System) -> list[CertificateView]:
    """The certificates that were asked for, and how it went."""
    with refusing():
        return certificate_views.views(system.ledger, server_zone(), system.reconciler.now())


def user_view(user: User, sight: Snapshot) -> UserView:
    row, name = roster.row(user, sight), workload_name(user)
    total, refused = sight.totals.get(user.id, Total()), sight.refusals.get(user.id)
    config, engine, state = sight.config, row.engine, row.state
    can = sight.engines[engine].capabilities if engine in sight.engines else None
    together = roster.together(user, engine, sight)
    today, *old = links(user, config, sight.now)
    place = (user, config, sight.public_port, together)
    secret, port = today.secret, link_port(*place)
    link = (sight.server, port, secret)
    running = state == "running"
    due = limits.reset_due(user, config, total, sight.now, sight.zone)
    most, kept = limits.max_unique_ips(user, config), roster.kept_limits([each.name for each in (today, *old)], sight)
    day, month = sight.refused_addresses.get(user.id, (0, 0))
    return UserView(
        id=user.id, name=user.name, port=user.port, domain=user.fake_tls_domain, secret=secret.hex,
        masked_secret=secret.masked(), enabled=user.enabled, state=state, reason=row.reason,
        connections=row.connections,
        addresses=(sum(one.now for one in kept.values()) if kept else total.addresses) if running else None,
        most_addresses=most, addresses_verified_at=moment(kept[name].at, sight.zone)
        if running and name in kept and kept[name].limit == most else None,
        connected=_connected((today, *old), sight) if running else [],
        refused_addresses_day=day, refused_addresses_month=month,
        bytes_down=total.down, bytes_up=total.up, period_down=total.period_down, period_up=total.period_up,
        period_since=moment(total.reset_at, sight.zone),
        now_down=row.now_down, now_up=row.now_up,
        last_seen=moment(total.last_seen, sight.zone), probes=total.fronted,
        wrong_clock=refused.wrong_clock if refused else None, no_sni=refused.no_sni if refused else None,
        other_sni=refused.other_sni if refused else None,
        clock_behind_s=refused.clock_behind if refused and refused.wrong_clock else None,
        hints=[*row.hints, *_uncounted(together, can, sight)], estimated=row.estimated,
        period_estimated=row.used_estimated,
        limit_gb=row.limit_gb, speed_mbps=limits.speed_mbps(user, config),
        at_limit=limits.at_limit(user, config), reset_cycle=limits.reset_cycle(user, config),
        own_limit_gb=user.traffic_limit_gb, own_speed_mbps=user.throttle_speed_mbps,
        own_at_limit=user.at_limit, own_reset_cycle=user.reset_cycle,
        next_reset_at=due.isoformat() if due else None, warning=row.warning,
        over_limit=limits.at_the_limit(user, config, total, sight.now, sight.zone),
        throttled_bps=row.throttled,
        throttle_verified_at=moment(sight.verified.get(name, 0.0), sight.zone) if row.throttled else None,
        expires_at=user.expires_at.isoformat() if user.expires_at else None,
        expires_after_days=0 if user.expires_at else user.expires_after_days,
        note=user.note, created_at=user.created_at.isoformat(),
        slow=sight.slow.get(today.id) if running else None,
        served_by=engine, shared=bool(together), restarts=not can or can.restarts,
        listened_port=listened_port(*place), link_port=port,
        tg_link=tg_link(*link), tme_link=tme_link(*link),
        link_last_used=_last_used(today.id, sight),
        old_links=[OldLinkView(
            domain=each.domain, until=each.until.isoformat(), tg_link=tg_link(sight.server, port, each.secret),
            tme_link=tme_link(sight.server, port, each.secret),
            last_used=_last_used(each.id, sight)) for each in old if each.until],
        more={key: getattr(user, spec.attribute) for key, spec in schema.fields(User).items() if key not in _TOLD})


def _uncounted(others: Together | None, can: Capabilities | None, sight: Snapshot) -> list[Problem]:
    """That nobody knows what the user moves; of each user alone, as it is as it should be."""
    if not others or not can or can.counts or not sight.observed or others.name not in sight.observed:
        return []
    return [Problem("mtproxy.own_share")] if len(sight.observed[others.name].links) > 1 else []


def _connected(links: Iterable[UserLink], sight: Snapshot) -> list[AddressView]:
    first: dict[str, float] = {}
    for link in links:
        for address, since in sight.connected.get(link.id, {}).items():
            first[address] = min(since, first.get(address, since))
    return [AddressView(address, moment(since, sight.zone))
            for address, since in sorted(first.items(), key=lambda seen: seen[1])]


#: Fields of the schema that a view tells by name, some by another one.
_TOLD = frozenset(each.name for each in dataclasses.fields(UserView)) | {"expires", "public_port"}


def troubles(rows: list[Row], sight: Snapshot) -> list[Problem | None]:
    """What is wrong with the runtime, with these users' proxies, and with those of their old links."""
    return [sight.unavailable, *_by_reason(rows)] + [Problem("of_old_link", {"name": user.name, "domain": link.domain,
                                            "reason": sight.problems[link.name]})
                    for user in sight.config.users if user.old_links
                    for link in links(user, sight.config, sight.now)[1:]
                    if link.name in sight.problems]


def _by_reason(rows: Iterable[Row]) -> list[Problem]:
    """Why proxies do not run, or are troubled, each reason once: it may be that of a proxy which serves everybody."""
    found: dict[tuple[str, str], tuple[Problem, list[str]]] = {}
    for view in rows:
        if view.reason and view.state in ("failed", "running"):
            found.setdefault((view.reason.code, view.reason.kept()), (view.reason, []))[1].append(view.name)
    return [Problem("of_user", {"name": names[0], "reason": reason}) if len(names) == 1 else
            Problem("of_users", {"names": names, "reason": reason}) if len(names) <= _NAMED else
            Problem("of_many", {"names": names[:_NAMED], "count": len(names) - _NAMED, "reason": reason})
            for reason, names in found.values()]


def hint_notes(rows: list[Row]) -> list[Problem]:
    """The hints of all users; of many, the first few: a wrong clock of the server is everybody's."""
    found = [_of(row, hint) for row in rows for hint in row.hints]
    more = len(found) - _HINTS
    if more < 2:
        return found
    return [*found[:_HINTS], Problem("hint.more", {"count": more})]


def _of(view: Row, reason: Problem) -> Problem:
    return Problem("of_user", {"name": view.name, "reason": reason})


def _last_used(link: str, sight: Snapshot) -> str | None:
    return moment(sight.last_uses.get(link, 0.0), sight.zone)


def changed_links(before: Iterable[UserView], after: Collection[UserView]) -> list[Problem]:
    """What is to be done, or is still to come, after a change between these two looks that has made another link of
    any, or lets any be served by another engine."""
    old = {view.id: view.tg_link for view in before}
    changed = any(view.tg_link != old.get(view.id, view.tg_link) for view in after)
    return [*([Problem("links.changed")] if changed else []), *move_notes.of_all(after)]


def _edge(system: System, now: Snapshot, running: int) -> EdgeStatus | None:
    rows = system.ledger.certificates.all()
    door = system.port443.door_view(now.config, now.now, rows[ADDRESS].problem if ADDRESS in rows else None)
    return system.port443.status(now.config, running, now.problems.get(NGINX),
                                 [*certificate_views.problems(system.ledger, now.now),
                                  *strangers.problems(system.ledger, now.config, now.now)], door)


def _ids(system: System, ref: str) -> set[str] | None:
    return {find(system.declaration.last_good(), ref).id} if ref else None
