"""The one place that turns a problem into a sentence. Another language is another table of the same codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.lib.problem import Language, Problem
from app.messages.english import (
    accounts,
    api,
    backups,
    bans,
    checks,
    cli,
    common,
    config,
    doctor,
    edge,
    engines,
    events,
    notifications,
    port443,
    runtimes,
    states,
    users,
)
from app.mtproto.english import ENGLISH as MTPROTO

ENGLISH = Language(
    templates={**common.TEMPLATES, **config.TEMPLATES, **accounts.TEMPLATES, **users.TEMPLATES,
               **port443.TEMPLATES, **edge.TEMPLATES, **engines.TEMPLATES, **events.TEMPLATES,
               **backups.TEMPLATES, **bans.TEMPLATES, **api.TEMPLATES, **notifications.TEMPLATES,
               **doctor.TEMPLATES, **cli.TEMPLATES, **runtimes.TEMPLATES, **checks.TEMPLATES, **states.TEMPLATES,
               **MTPROTO.templates},
    plural=MTPROTO.plural,
    last=MTPROTO.last,
)


def coded(problem: Problem) -> dict[str, Any]:
    """The problem as JSON: code, params and message, the sentence."""
    return {**problem.document(), "message": sentence(problem)}


def sentence(problem: Problem | None, called: Callable[[str], str] = str) -> str:
    """The problem in English, "" for none; called: see Language.sentence()."""
    return ENGLISH.sentence(problem, called) if problem else ""
