"""The whole: status, events, engines, proxies, certificates, the look at everything, updates, logs."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import cast

from flask import current_app

from app.accounts.actor import Right
from app.actions import certificates as certificate_actions
from app.actions import debug_logs, settings, updates
from app.actions.all_proxies import AllProxies
from app.actions.renewal import Renewal, outdated
from app.api import server_answers as answers
from app.api.fields import Field
from app.api.operations import Answer, Asked, empty, nothing, operation
from app.control import outcome, roster, snapshot, views
from app.control.checkup import Checkup
from app.engines.base import NOBODY
from app.lib.version import version
from app.messages.catalogue import ENGLISH
from app.web.history import KINDS, PRIVATE

#: Events, and lines of the log, that are told at a time.
MOST_EVENTS, MOST_LINES = 200, 2000
#: Everything that happens, but for what only owners may know of.
_OPEN = tuple(start for name, (_, starts) in KINDS.items() if name != PRIVATE for start in starts)


@operation("GET", "/status", answers=answers.Status)
def status(asked: Asked) -> Answer:
    """Read how the whole is."""
    now = views.status(asked.system, whole=False, secrets=False)
    return Answer(answers.Status(
        version(), now.runtime, now.engine, len(now.rows), now.running, now.total, now.stopped, now.connections,
        now.bytes_down, now.bytes_up, now.now_down, now.now_up, now.outdated, now.problems, now.notes,
        bool(now.edge and now.edge.port_443), now.server))


@operation("GET", "/events", answers=list[answers.Event], query=(
    Field("kind", "text", "What they are about.", choices=tuple(KINDS)),
    Field("subject", "text", "To whom or what it happened, by name."),
    Field("actor", "text", "Who did it, as events name them."),
    Field("before", "number", "Unix seconds: only older ones."),
    Field("limit", "whole", "How many.", least=1, most=MOST_EVENTS, default=50)))
def events(asked: Asked) -> Answer:
    """List what was done, and what happened by itself, newest first. Logins and admins: to owners only."""
    kind = asked.query["kind"]
    if kind == PRIVATE:
        asked.actor.require(Right.SUDO)
    kinds = KINDS[kind][1] if kind else () if asked.actor.may(Right.SUDO) else _OPEN
    found = views.events(asked.system, asked.query["subject"] or "", asked.query["limit"], asked.query["actor"] or "",
                         kinds, asked.query["before"])
    return Answer([answers.Event(each.at, each.actor, each.action, each.subject,
                                 each.problem if each.detail else None, each.message) for each in found])


@operation("GET", "/codes", answers=list[answers.Code])
def codes(asked: Asked) -> Answer:
    """List every code that a problem, a note or an event may have, with its sentence in English."""
    return Answer([answers.Code(*each) for each in sorted(ENGLISH.templates.items())])


@operation("GET", "/engines", answers=list[answers.Engine])
def engines(asked: Asked) -> Answer:
    """List the engines, and what each can do."""
    serving = [row.engine for row in roster.rows(snapshot.take(asked.system))]
    return Answer([answers.Engine(
        name, engine.missing(), bool(engine.capabilities.shared), engine.capabilities.speed != NOBODY,
        engine.capabilities.devices != NOBODY, engine.capabilities.restarts, serving.count(name))
        for name, engine in asked.system.engines.items()])


def _nothing_now(asked: Asked, engine: str) -> Answer:
    return _outcomes(())


@operation("POST", "/engines/<engine>/debug-log", Right.SUDO, list[answers.Outcome], again=_nothing_now, body=(
    Field("minutes", "whole", "For how long; 0 ends it.", required=True, least=0, most=100_000),))
def debug_log(asked: Asked, engine: str) -> Answer:
    """Let an engine write a more detailed log for a while."""
    if engine not in asked.system.engines:
        raise nothing("api.no_engine", engine)
    minutes = int(asked.body["minutes"])
    return _outcomes(debug_logs.begin(asked.system, asked.actor, engine, minutes) if minutes else
                     debug_logs.end(asked.system, asked.actor, engine))


@operation("GET", "/proxies/work", Right.SUDO, answers.Work)
def work(asked: Asked) -> Answer:
    """Read how far the last start, stop or restart of all proxies is, whoever has begun it."""
    return _work()


def _begun(asked: Asked) -> Answer:
    return _work(202)


@operation("POST", "/proxies/start", Right.SUDO, answers.Work, 202, again=_begun)
def start(asked: Asked) -> Answer:
    """Begin to let all proxies run again; /proxies/work tells how far it is."""
    _of_all().begin(asked.actor, "start")
    return _work(202)


@operation("POST", "/proxies/stop", Right.SUDO, answers.Work, 202, again=_begun)
def stop(asked: Asked) -> Answer:
    """Begin to stop all proxies, until they are started again; /proxies/work tells how far it is."""
    _of_all().begin(asked.actor, "stop")
    return _work(202)


@operation("POST", "/proxies/restart", Right.SUDO, answers.Work, 202, again=_begun)
def restart(asked: Asked) -> Answer:
    """Begin to restart all proxies; /proxies/work tells how far it is."""
    _of_all().begin(asked.actor, "restart")
    return _work(202)


def _renewal_begun(asked: Asked) -> Answer:
    return Answer(answers.Renewal(False, len(outdated(asked.system))), 202)


@operation("POST", "/proxies/renew", Right.SUDO, answers.Renewal, 202, again=_renewal_begun)
def replace(asked: Asked) -> Answer:
    """Begin to replace the proxies that run an old image, one after the other; /status tells how many are left."""
    waiting = len(outdated(asked.system))
    return Answer(answers.Renewal(cast(Renewal, current_app.extensions["renewal"]).begin(asked.actor), waiting), 202)


@operation("GET", "/logs", Right.USERS, list[str], query=(
    Field("user", "text", "The id of a user; all without it."),
    Field("lines", "whole", "How many, the last ones.", least=1, most=MOST_LINES, default=200)))
def logs(asked: Asked) -> Answer:
    """Read the logs of the proxies."""
    ref = asked.query["user"] or ""
    if ref and all(user.id != ref for user in asked.config.users):
        raise nothing("user.unknown", ref)
    return Answer(views.logs(asked.system, ref, asked.query["lines"]))


@operation("GET", "/certificates", answers=list[answers.Certificate])
def certificates(asked: Asked) -> Answer:
    """List the certificates, and how asking for them went."""
    return Answer([answers.Certificate(each.name, each.domains, each.issued_at, each.expires_at, each.days_left,
                                       each.tried_at, each.reason, each.ends_soon)
                   for each in views.certificates(asked.system)])


@operation("POST", "/certificates/renew", Right.SUDO, status=202, again=empty(202))
def renew(asked: Asked) -> Answer:
    """Ask the authority for the certificates that are due; it may take minutes, and /certificates tells how it went."""
    asked.actor.require(Right.SUDO)
    if asked.system.certificate_reconciler.manager is None:
        certificate_actions.renew_certificates(asked.system, asked.actor)  # says why not
    threading.Thread(target=certificate_actions.renew_certificates, args=(asked.system, asked.actor),
                     name="renew by API", daemon=True).start()
    return Answer(status=202)


@operation("POST", "/domains/check", Right.SUDO, list[answers.DomainCheck], body=(
    Field("domains", "list", "Names of sites; without it, those of the setting domain_pool.", least=1, most=50),))
def check_domains(asked: Asked) -> Answer:
    """Ask sites elsewhere whether links could look like a visit to them."""
    return Answer([answers.DomainCheck(each.domain, each.ok, each.reason)
                   for each in settings.check_domains(asked.system, asked.actor, asked.body.get("domains"))])


@operation("GET", "/checkup", Right.SUDO, answers.Checkup)
def checkup(asked: Asked) -> Answer:
    """Read what the last look at everything found, as the command doctor does."""
    return Answer(_checkup())


@operation("POST", "/checkup", Right.SUDO, answers.Checkup, 202)
def look(asked: Asked) -> Answer:
    """Look at everything; it takes some seconds, and a GET tells what was found."""
    _of_panel().start()
    return Answer(_checkup(), 202)


@operation("GET", "/update", Right.SUDO, answers.Updates)
def update(asked: Asked) -> Answer:
    """Read whether there is a newer release."""
    told = updates.told(asked.system.data_dir)
    return Answer(answers.Updates(version(), "", False, "", False) if told is None else
                  answers.Updates(told.installed, told.newest, told.available, told.result, told.asked))


@operation("POST", "/update", Right.SUDO, status=202, again=empty(202))
def ask_for_update(asked: Asked) -> Answer:
    """Ask the server for the newest release."""
    updates.ask(asked.system, asked.actor)
    return Answer(status=202)


def _of_all() -> AllProxies:
    return cast(AllProxies, current_app.extensions["all_proxies"])


def _work(status: int = 200) -> Answer:
    found = _of_all().latest
    if found is None:
        return Answer(answers.Work("", "", "none", 0, 0, [], None), status)
    under_way = found.ended is None
    done, of = _of_all().progress if under_way else (0, 0)
    return Answer(answers.Work(found.what, found.actor, "applying" if under_way else "done", done, of,
                               [] if under_way else _records(found.outcomes), found.trouble), status)


def _of_panel() -> Checkup:
    return cast(Checkup, current_app.extensions["checkup"])


def _checkup() -> answers.Checkup:
    found = _of_panel()
    findings = found.last.findings if found.last else ()
    return answers.Checkup(found.running, found.last.at if found.last else None,
                           [answers.Finding(each.about, each.state, each.told, each.command) for each in findings],
                           found.failed)


def _outcomes(came: Iterable[outcome.Outcome]) -> Answer:
    return Answer(_records(came))


def _records(came: Iterable[outcome.Outcome]) -> list[answers.Outcome]:
    return [answers.Outcome(each.action, each.name, each.user, each.ok, each.reason) for each in came]
