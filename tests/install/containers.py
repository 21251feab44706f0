"""Stand-ins for what is asked of containers: the panel's own, and those of an older panel (see programs)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn


def fail(message: str, code: int = 1) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(code)


class Containers:
    """folder, state: of the lab; see programs.Server, which is one of these."""

    folder: Path
    state: dict[str, Any]

    def docker_exec(self, words: list[str]) -> None:
        """A command of the panel in its container, called as the command mtproto does."""
        if not self.state["up"]:
            fail("Error: No such container: app")
        if "sh" in words:  # only host/doctor.sh writes a file there
            (self.folder / "opt/mtproto/data/host.json").write_text(sys.stdin.read())
            return
        env = self.folder / "opt/mtproto/.env"
        settings = dict(line.split("=", 1) for line in env.read_text().splitlines())
        self.panel(settings, words[words.index("app.cli") + 1:])

    def docker_inspect(self, words: list[str]) -> None:
        older = self.state["older"][words[-1]]
        print(f"/{older['name']}" if "Name" in words[1] else "\n".join(older["mounts"]))

    def docker_update(self, words: list[str]) -> None: ...

    def docker_stop(self, words: list[str]) -> None:
        self.state["older"][words[0]]["runs"] = False
