"""What was worked out once is good until something that it is made of changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Kept:
    """One value a name. Who asks for one that is being made waits for it, and makes no second one."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._values: dict[str, tuple[Any, Any]] = {}

    def get(self, name: str, make: Callable[[], T], made_of: object = None) -> T:
        """The value of this name: what `make` returned while `made_of` was equal to what it is now."""
        with self._lock:
            found = self._values.get(name)
            if found is None or found[0] != made_of:
                found = self._values[name] = (made_of, make())
            value: T = found[1]
            return value
