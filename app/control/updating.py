"""Live files: written step by step, each once the engine says that it goes by the one before."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.engines.base import Engine
from app.runtimes.base import Runtime, RuntimeFailure, Workload

_LINES = 100


class Heard(Protocol):
    def by(self, engine: str) -> str: ...

    def note(self, engine: str, run_id: str) -> None: ...


@dataclass
class Updating:
    """engine: the one of a workload. heard: which run of an engine's workload has heard, by a change of its live files
    while it ran, what it does not take from them when it starts; "" for none."""

    taken_over_in = 10.0  # seconds; telemt notices a file after three, where the kernel does not tell it

    engine: Callable[[Workload], Engine]
    runtime: Runtime
    heard: Heard

    def update(self, workload: Workload) -> None:
        """Let the workload, which runs, go by its live files, and end the sessions that must end with them.

        A step that is not taken over is left there, and none follows it: telemt would write into its log what the
        first one keeps out of it. The next pass goes on from there. Raises RuntimeFailure.
        """
        engine, (run_id, metrics) = self.engine(workload), self._now(workload)
        steps = [*engine.steps(self.runtime.held(workload.name), workload.live_files, metrics)]
        unheard = self._is_unheard(workload, run_id)
        if unheard:
            steps = [*map(engine.at_start, steps), workload.live_files]
        began = time.time()
        for step in steps:
            self.runtime.update(workload.name, step)
            if not self._taken_over(workload, step):
                raise self._failure(workload, began)
        if unheard:
            self.heard.note(workload.engine, run_id)

    def is_stale(self, workload: Workload) -> bool:
        """Whether the workload runs, and says that it goes by other live files than it has, or serves somebody else; or
        has started anew since it was told what it does not take from them then."""
        run_id, metrics = self._now(workload)
        return bool(metrics) and (not self._holds(workload, workload.live_files, metrics)
                                  or self._is_unheard(workload, run_id))

    def _is_unheard(self, workload: Workload, run_id: str) -> bool:
        """run_id: "" if it does not answer, and can't be told anything."""
        by_itself = self.engine(workload).at_start(workload.live_files)
        return bool(run_id) and by_itself != workload.live_files and self.heard.by(workload.engine) != run_id

    def _failure(self, workload: Workload, began: float) -> RuntimeFailure:
        """Why it did not, as its log says. began: Unix seconds."""
        said = self.engine(workload).findings(self.runtime.logs(workload.name, _LINES), began, time.time())
        if said:
            return RuntimeFailure("engine.refuses", engine=workload.engine, name=workload.name, problems=said)
        return RuntimeFailure("engine.not_taken_over", engine=workload.engine, name=workload.name,
                              seconds=self.taken_over_in)

    def _taken_over(self, workload: Workload, live_files: Mapping[str, str]) -> bool:
        deadline = time.monotonic() + self.taken_over_in
        while not self._holds(workload, live_files, self._now(workload)[1]):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _holds(self, workload: Workload, live_files: Mapping[str, str], metrics: str) -> bool:
        try:
            return self.engine(workload).holds(live_files, metrics)
        except ValueError:
            return False

    def _now(self, workload: Workload) -> tuple[str, str]:
        """The run id and the metrics; both "" if it does not answer."""
        sample = self.runtime.sample(workload.name)
        return (sample.run_id, sample.text) if sample else ("", "")
