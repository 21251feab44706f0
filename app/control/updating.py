"""Live files: written step by step, each once the engine says that it goes by the one before."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.engines.base import Engine
from app.runtimes.base import Runtime, RuntimeFailure, Workload

_LINES = 100


@dataclass
class Updating:
    """engine: the one of a workload."""

    taken_over_in = 10.0  # seconds; telemt notices a file after three, where the kernel does not tell it

    engine: Callable[[Workload], Engine]
    runtime: Runtime

    def update(self, workload: Workload) -> None:
        """Let the workload, which runs, go by its live files, and end the sessions that must end with them.

        Whatever fails, the files hold in the end what they should. Raises RuntimeFailure.
        """
        steps = self.engine(workload).steps(self.runtime.held(workload.name), workload.live_files,
                                            self._metrics(workload))
        began = time.time()
        for index, step in enumerate(steps):
            self.runtime.update(workload.name, step)
            if not self._taken_over(workload, step):
                if index + 1 < len(steps):
                    self.runtime.update(workload.name, workload.live_files)
                raise self._failure(workload, began)

    def is_stale(self, workload: Workload) -> bool:
        """Whether the workload runs, and says that it goes by other live files than it has, or serves somebody else."""
        metrics = self._metrics(workload)
        return bool(metrics) and not self._holds(workload, workload.live_files, metrics)

    def _failure(self, workload: Workload, began: float) -> RuntimeFailure:
        """Why it did not, as its log says. began: Unix seconds."""
        said = self.engine(workload).findings(self.runtime.logs(workload.name, _LINES), began, time.time())
        if said:
            return RuntimeFailure("engine.refuses", engine=workload.engine, name=workload.name, problems=said)
        return RuntimeFailure("engine.not_taken_over", engine=workload.engine, name=workload.name,
                              seconds=self.taken_over_in)

    def _taken_over(self, workload: Workload, live_files: Mapping[str, str]) -> bool:
        deadline = time.monotonic() + self.taken_over_in
        while not self._holds(workload, live_files, self._metrics(workload)):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _holds(self, workload: Workload, live_files: Mapping[str, str], metrics: str) -> bool:
        try:
            return self.engine(workload).holds(live_files, metrics)
        except ValueError:
            return False

    def _metrics(self, workload: Workload) -> str:
        sample = self.runtime.sample(workload.name)
        return sample.text if sample else ""
