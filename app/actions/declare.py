"""Changes to the declaration whose checks take time, as look-ups do: saved if nobody else saved meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from app.config.file import ConfigFile
from app.config.model import Config
from app.messages.refused import Refused

T = TypeVar("T")

#: How often a change is looked at anew because somebody else has saved theirs in the meantime.
TRIES = 20


def declare(file: ConfigFile, change: Callable[[Config], T]) -> T:
    """Make a change to a copy of the declaration, without any lock, and save it.

    If somebody else has saved meanwhile, it is made again to what stands there then: so what `change` checks holds
    for what is saved. Raises what `change` raises, Refused and ConfigError; nothing is saved then.
    """
    for _ in range(TRIES):
        before = file.read()
        after = before.model_copy(deep=True)
        result = change(after)
        if file.replace(before, after):
            return result
    raise Refused("config.busy")
