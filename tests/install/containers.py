"""Stand-ins for what is asked of containers: the panel's own, and those of an older panel (see programs)."""

from __future__ import annotations

import sys


def fail(message: str, code: int = 1) -> None:
    """Ends this program."""
    print(message, file=sys.stderr)
    raise SystemExit(code)


def read_settings(path: str) -> dict[str, str]:
    """What is in a file .env."""
    with open(path) as file:
        return dict(line.split("=", 1) for line in file.read().splitlines())


class Containers:
    """folder, state: of the lab; see programs.Server, which is one of these."""

    folder: str
    state: dict

    def docker_exec(self, words: list[str]) -> None:
        """A command of the panel in its container, called as the command mtproto does."""
        if not self.state["up"]:
            fail("Error: No such container: app")
        if "sh" in words:  # only host/doctor.sh writes a file there
            with open(f"{self.folder}/opt/mtproto/data/host.json", "w") as file:
                file.write(sys.stdin.read())
            return
        settings = read_settings(f"{self.folder}/opt/mtproto/.env")
        self.panel(settings, words[words.index("app.cli") + 1:])

    def docker_inspect(self, words: list[str]) -> None:
        older = self.state["older"][words[-1]]
        print(f"/{older['name']}" if "Name" in words[1] else "\n".join(older["mounts"]))

    def docker_update(self, words: list[str]) -> None: ...

    def docker_stop(self, words: list[str]) -> None:
        self.state["older"][words[0]]["runs"] = False
