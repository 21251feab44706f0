"""A telemt of memory: it goes by whatever users.toml it is given, and tells so."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.engines.telemt import live
from app.engines.telemt.metrics import REVISION
from app.runtimes.base import Workload
from tests.support.memory_runtime import MemoryRuntime


class Obedient(MemoryRuntime):
    def create(self, workload: Workload) -> None:
        super().create(workload)
        self._tell(workload.name)

    def update(self, name: str, live_files: Mapping[str, str]) -> None:
        super().update(name, live_files)
        self._tell(name)

    def _tell(self, name: str) -> None:
        text = self.held(name).get(live.FILE)
        if text is None:
            return
        found, (revision,) = live.parse(text), re.findall(f'^"{REVISION}([0-9a-f]+)"', text, re.MULTILINE)
        assert found
        lines = [f'telemt_user_unique_ips_current{{user="{user}"}} 0' for user in found.users]
        lines += [f'telemt_user_unique_ips_limit{{user="{user}"}} {limit}' for user, limit in found.addresses.items()]
        lines += [f'telemt_user_unique_ips_limit{{user="{REVISION}{revision}"}} 1']
        self.machine.metrics(name, "\n".join(["# telemt", *lines, "telemt_telemetry_user_series_suppressed 0", ""]))
