"""How an action changes the declaration: under the lock, or, where checks take time, if nobody saved meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from app.config import containers
from app.config.file import ConfigFile
from app.config.model import Config
from app.control.errors import refusing
from app.control.system import System
from app.messages.refused import Refused

T = TypeVar("T")

#: How often a change is looked at anew because somebody else has saved theirs in the meantime.
TRIES = 20


@contextmanager
def edit(system: System) -> Iterator[Config]:
    """The declaration, locked and to be changed; saved at the end. Raises Refused, and then nothing is saved."""
    with refusing(), system.file.edit() as config:
        yield config


def declare(system: System, change: Callable[[Config], T]) -> T:
    """Make a change whose checks take time, as look-ups do, to a copy of the declaration, without a lock, and save it.

    If somebody else has saved meanwhile, it is made again to what stands there then: so what `change` checks holds
    for what is saved. Raises what `change` raises, and Refused; nothing is saved then.
    """
    with refusing():
        return _declare(system.file, change)


def _declare(file: ConfigFile, change: Callable[[Config], T]) -> T:
    for _ in range(TRIES):
        before = file.read()
        after = before.model_copy(deep=True)
        result = change(after)
        if containers.meets_telemt(after) and not after.port_443_mode and not containers.meets_telemt(before):
            raise Refused("mtproxy.port_of_telemt", port=after.shared_port)
        if file.replace(before, after):
            return result
    raise Refused("config.busy")
