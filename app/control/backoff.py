"""How long what has failed is left alone, by what it was done to."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.control.plan import pause
from app.lib.clock import Clock


@dataclass
class Failure:
    """Actions on one thing that failed in a row, for one spec."""

    spec: str
    count: int = 0
    retry_at: float = 0.0


@dataclass
class BackOff:
    """Leaves alone for a while what has failed; with another spec it is tried at once. clock: Unix seconds. longest:
    the longest pause in seconds. failures: by name of what was acted on."""

    clock: Clock
    longest: float
    failures: dict[str, Failure] = field(default_factory=dict)

    def failed(self, name: str, spec: str) -> None:
        """It failed once more."""
        failure = self.failures.get(name)
        if failure is None or failure.spec != spec:
            failure = self.failures[name] = Failure(spec)
        failure.count += 1
        failure.retry_at = self.clock() + min(max(1.0, pause(failure.count)), self.longest)

    def succeeded(self, name: str) -> None:
        self.failures.pop(name, None)

    def resting(self, name: str, spec: str) -> bool:
        """Whether it is to be left alone now."""
        failure = self.failures.get(name)
        # A pause that seems to be longer was begun by a clock that has been set back since.
        return (failure is not None and failure.spec == spec
                and 0 < failure.retry_at - self.clock() <= max(1.0, self.longest))
