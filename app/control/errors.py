"""What the panel says when it won't do what was asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from app.config.file import ConfigError
from app.edge.base import EdgeFailure
from app.messages import Problem, text
from app.messages.errors import Coded
from app.messages.refused import LoginBusy as LoginBusy
from app.messages.refused import LoginThrottled as LoginThrottled
from app.messages.refused import Refused as Refused
from app.runtimes.base import RuntimeFailure


class Unfinished(Coded):
    """The declaration is saved, but what follows from it failed. It says both."""


@contextmanager
def refusing() -> Iterator[None]:
    """What a lower room could not do is told to people as a refusal."""
    try:
        yield
    except (ConfigError, RuntimeFailure, EdgeFailure) as error:
        raise Refused.of(error.problems) from None
    except sqlite3.OperationalError as error:
        raise Refused("ledger.unusable", reason=error) from None


@contextmanager
def after_saving(what: Problem) -> Iterator[None]:
    """For everything that is done once the declaration is saved: no failure of it may read as if nothing had changed.

    what: what is saved.
    """
    try:
        yield
    except Exception as error:
        problems = [problem.without("unchanged") for problem in error.problems if problem.code != "unchanged"] \
            if isinstance(error, Coded) else [text(str(error) or type(error).__name__)]
        raise Unfinished("unfinished", what=what, reason=problems or [text(type(error).__name__)]) from error
