"""How it is, for people and programs: every read of the panel and the command line is a function here."""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from app.certificates.renewal import ADDRESS
from app.config import data_folder, schema
from app.config.model import SETTINGS, User
from app.control import certificates as certificate_views
from app.control import log_views, passes, snapshot, strangers
from app.control.edge import NGINX
from app.control.engine_limits import engine_notes, user_notes
from app.control.errors import refusing
from app.control.outcome import BACKUPS
from app.control.records import AddressView, BadView, CertificateView, EdgeStatus, OldLinkView, Status, UserView, moment
from app.control.snapshot import Snapshot
from app.control.system import System
from app.engines.base import default_engine, engine_name
from app.ledger.devices import EDGE_RUN, Kept
from app.ledger.events import Event
from app.ledger.history import Point
from app.ledger.traffic import Total
from app.lib.zone import server_zone, zone_problem
from app.messages import Problem
from app.mtproto.links import tg_link, tme_link
from app.rules import limits
from app.rules.hints import hints
from app.rules.links import UserLink, link_port, links, listened_port, workload_name
from app.rules.users import find
from app.runtimes.base import RUNNING, STOPPED

#: How many users are named whose proxies have the same trouble.
_NAMED = 3
#: How many hints of users stand among the notes of the whole.
_HINTS = 5


def users(system: System) -> list[UserView]:
    """Everybody, in the order of the declaration."""
    now = snapshot.take(system)
    return [user_view(user, now) for user in now.config.users]


def user(system: System, ref: str) -> UserView:
    """The user with this id or name. Refused when there is none, or several."""
    now = snapshot.take(system)
    return user_view(find(now.config, ref), now)


def status(system: System, max_age: float = 3.0) -> Status:
    """The whole, with counters no older than `max_age` seconds."""
    problems: list[Problem | None] = [*system.declaration.problems(), system.clock.problem()]
    if time.monotonic() - system.sampled_at > max_age:
        problems += passes.attempt(lambda: passes.sample(system))
    now = snapshot.take(system)
    views = [user_view(user, now) for user in now.config.users]
    problems += [*now.config.problems(), zone_problem(), data_folder.owner_problem(system.data_dir)]
    running = sum(v.state == "running" for v in views)
    edge = _edge(system, now, running)
    problems += [system.reconciler.sampler.trouble, *(edge.problems if edge else ()), *troubles(views, now),
                 now.problems.get(BACKUPS)]
    return Status(
        runtime=system.runtime.name, engine=default_engine(now.config, system.engines), running=running,
        total=sum(v.state not in ("disabled", "expired", "blocked") for v in views), users=views,
        stopped=now.config.proxies_stopped, outdated=now.outdated,
        problems=list(dict.fromkeys(filter(None, problems))),
        notes=[*engine_notes(system.engines, now.config), *system.runtime.notes(), *hint_notes(views)],
        server=now.server, server_note=system.server.note(now.config), edge=edge, bad=_bad(system, now),
        debug_logs=log_views.debug_logs(system),
        **{field: sum(getattr(v, field) for v in views) for field in (
            "bytes_down", "bytes_up", "period_down", "period_up", "now_down", "now_up", "connections",
            "probes")})


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


def events(system: System, subject: str = "", limit: int = 50) -> list[Event]:
    """What was done, and what happened by itself, newest first: all, or what is noted under a user's name."""
    with refusing():
        return system.ledger.events.recent(limit, subject)


def settings(system: System) -> dict[str, object]:
    """Every setting, as it is declared."""
    config = system.declaration.last_good()
    return {key: getattr(config, key) for key in SETTINGS}


def certificates(system: System) -> list[CertificateView]:
    """The certificates that were asked for, and how it went."""
    with refusing():
        return certificate_views.views(system.ledger, server_zone(), system.reconciler.now())


def user_view(user: User, sight: Snapshot) -> UserView:
    name = workload_name(user)
    total, refused = sight.totals.get(user.id, Total()), sight.refusals.get(user.id)
    config = sight.config
    engine = sight.placed.get(user.id) or engine_name(user, config, sight.engines)
    can = sight.engines[engine].capabilities if engine in sight.engines else None
    shared = can.shared if can else ""
    state, reason = _state(user, name, shared, sight)
    today, *old = links(user, config, sight.now)
    place = (user, config, sight.public_port, bool(shared))
    secret, port = today.secret, link_port(*place)
    link = (sight.server, port, secret)
    running = state == "running"
    fresh = running and abs(sight.now.timestamp() - total.sampled_at) <= max(30, 3 * config.monitor_seconds)
    due = limits.reset_due(user, config, total, sight.now, sight.zone)
    throttled = sight.throttles.get(name) if running else None
    most, kept = limits.max_unique_ips(user, config), _kept([link.name for link in (today, *old)], sight)
    day, month = sight.refused_addresses.get(user.id, (0, 0))
    return UserView(
        id=user.id, name=user.name, port=user.port, domain=user.fake_tls_domain, secret=secret.hex,
        masked_secret=secret.masked(), enabled=user.enabled, state=state, reason=reason,
        connections=total.connections if running else 0,
        addresses=(sum(one.now for one in kept.values()) if kept else total.addresses) if running else None,
        most_addresses=most, addresses_verified_at=moment(kept[name].at, sight.zone)
        if running and name in kept and kept[name].limit == most else None,
        connected=_connected((today, *old), sight) if running else [],
        refused_addresses_day=day, refused_addresses_month=month,
        bytes_down=total.down, bytes_up=total.up, period_down=total.period_down, period_up=total.period_up,
        period_since=moment(total.reset_at, sight.zone),
        now_down=round(total.down_rate) if fresh else 0, now_up=round(total.up_rate) if fresh else 0,
        last_seen=moment(total.last_seen, sight.zone), probes=total.fronted,
        wrong_clock=refused.wrong_clock if refused else None, no_sni=refused.no_sni if refused else None,
        other_sni=refused.other_sni if refused else None,
        clock_behind_s=refused.clock_behind if refused and refused.wrong_clock else None,
        hints=[*hints(refused, sight.now.astimezone(sight.zone)),
               *user_notes(user, config, sight.engines, limited=bool(kept) or not running),
               *_move_notes(user, engine, sight)],
        estimated=total.estimated_since > 0, period_estimated=bool(total.period_estimated),
        limit_gb=limits.limit_gb(user, config), speed_mbps=limits.speed_mbps(user, config),
        at_limit=limits.at_limit(user, config), reset_cycle=limits.reset_cycle(user, config),
        own_limit_gb=user.traffic_limit_gb, own_speed_mbps=user.throttle_speed_mbps,
        own_at_limit=user.at_limit, own_reset_cycle=user.reset_cycle,
        next_reset_at=due.isoformat() if due else None, warning=limits.warning(user, config, total),
        over_limit=limits.at_the_limit(user, config, total, sight.now, sight.zone),
        throttled_bps=throttled,
        throttle_verified_at=moment(sight.verified.get(name, 0.0), sight.zone) if throttled else None,
        expires_at=user.expires_at.isoformat() if user.expires_at else None,
        expires_after_days=0 if user.expires_at else user.expires_after_days,
        note=user.note, created_at=user.created_at.isoformat(),
        slow=sight.slow.get(today.id) if running else None,
        served_by=engine, shared=bool(shared), restarts=not can or can.restarts,
        listened_port=listened_port(*place), link_port=port,
        tg_link=tg_link(*link), tme_link=tme_link(*link),
        link_last_used=_last_used(today.id, sight),
        old_links=[OldLinkView(
            domain=each.domain, until=each.until.isoformat(), tg_link=tg_link(sight.server, port, each.secret),
            tme_link=tme_link(sight.server, port, each.secret),
            last_used=_last_used(each.id, sight)) for each in old if each.until],
        more={key: getattr(user, spec.attribute) for key, spec in schema.fields(User).items() if key not in _TOLD})


def _kept(names: Iterable[str], sight: Snapshot) -> dict[str, Kept]:
    """The limits on addresses that somebody keeps for the engines of these links, by name."""
    found = {name: sight.device_limits[name] for name in names if name in sight.device_limits}
    runs = {name: there.run_id for name, there in (sight.observed or {}).items()}
    return {name: one for name, one in found.items() if one.at and one.run in (runs.get(name), f"{EDGE_RUN}{name}")}


def _connected(links: Iterable[UserLink], sight: Snapshot) -> list[AddressView]:
    first: dict[str, float] = {}
    for link in links:
        for address, since in sight.connected.get(link.id, {}).items():
            first[address] = min(since, first.get(address, since))
    return [AddressView(address, moment(since, sight.zone))
            for address, since in sorted(first.items(), key=lambda seen: seen[1])]


def _move_notes(user: User, engine: str, sight: Snapshot) -> list[Problem]:
    """That somebody is served by another engine than is declared, and why still."""
    wanted = engine_name(user, sight.config, sight.engines)
    if engine == wanted or not user.enabled:
        return []
    return [sight.not_moved.get(user.id) or Problem("move.waiting", {"engine": wanted, "now": engine})]


#: Fields of the schema that a view tells by name, some by another one.
_TOLD = frozenset(each.name for each in dataclasses.fields(UserView)) | {"expires", "public_port"}


def troubles(views: list[UserView], sight: Snapshot) -> list[Problem | None]:
    """What is wrong with the runtime, with these users' proxies, and with those of their old links."""
    return [sight.unavailable, *_by_reason(views)] + [Problem("of_old_link", {"name": user.name, "domain": link.domain,
                                            "reason": sight.problems[link.name]})
                    for user in sight.config.users for link in links(user, sight.config, sight.now)[1:]
                    if link.name in sight.problems]


def _by_reason(views: Iterable[UserView]) -> list[Problem]:
    """Why proxies do not run, or are troubled, each reason once: it may be that of a proxy which serves everybody."""
    found: dict[tuple[str, str], tuple[Problem, list[str]]] = {}
    for view in views:
        if view.reason and view.state in ("failed", "running"):
            found.setdefault((view.reason.code, view.reason.kept()), (view.reason, []))[1].append(view.name)
    return [Problem("of_user", {"name": names[0], "reason": reason}) if len(names) == 1 else
            Problem("of_users", {"names": names, "reason": reason}) if len(names) <= _NAMED else
            Problem("of_many", {"names": names[:_NAMED], "count": len(names) - _NAMED, "reason": reason})
            for reason, names in found.values()]


def hint_notes(views: list[UserView]) -> list[Problem]:
    """The hints of all users; of many, the first few: a wrong clock of the server is everybody's."""
    found = [_of(view, hint) for view in views for hint in view.hints]
    more = len(found) - _HINTS
    if more < 2:
        return found
    return [*found[:_HINTS], Problem("hint.more", {"count": more})]


def _of(view: UserView, reason: Problem) -> Problem:
    return Problem("of_user", {"name": view.name, "reason": reason})


def _last_used(link: str, sight: Snapshot) -> str | None:
    return moment(sight.last_uses.get(link, 0.0), sight.zone)


def _state(user: User, name: str, shared: str, sight: Snapshot) -> tuple[str, Problem | None]:
    if not user.enabled:
        return "disabled", None
    if user.expires_at and limits.expired(user, sight.now):
        end = user.expires_at.astimezone(sight.zone)
        return "expired", Problem("user.expired", {"at": f"{end:%Y-%m-%d %H:%M}"})
    total = sight.totals.get(user.id, Total())
    if limits.blocked(user, sight.config, total):
        return "blocked", limits.at_the_limit(user, sight.config, total, sight.now, sight.zone)
    if sight.observed is None:
        return "unknown", sight.unavailable
    there, problem = sight.observed.get(shared or name), sight.problems.get(name) or sight.problems.get(shared)
    if there and there.state == RUNNING and (there.user_id == user.id or there.shared):
        return "running", problem or (Problem("user.estimated") if total.estimating else None)
    if sight.config.proxies_stopped:
        return "stopped", None
    ended = there.reason if there else None
    if problem or ended not in (None, STOPPED):
        return "failed", problem or ended
    return ("stopped" if there is None or ended == STOPPED else "starting"), None


def changed_links(before: Iterable[UserView], after: Iterable[UserView]) -> Problem | None:
    """What to do when a change between these two looks has made another link of any."""
    old = {view.id: view.tg_link for view in before}
    changed = any(view.tg_link != old.get(view.id, view.tg_link) for view in after)
    return Problem("links.changed") if changed else None


def _edge(system: System, now: Snapshot, running: int) -> EdgeStatus | None:
    rows = system.ledger.certificates.all()
    door = system.port443.door_view(now.config, now.now, rows[ADDRESS].problem if ADDRESS in rows else None)
    return system.port443.status(now.config, running, now.problems.get(NGINX),
                                 [*certificate_views.problems(system.ledger, now.now),
                                  *strangers.problems(system.ledger, now.config, now.now)], door)


def _ids(system: System, ref: str) -> set[str] | None:
    return {find(system.declaration.last_good(), ref).id} if ref else None
