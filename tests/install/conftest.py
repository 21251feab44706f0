"""install.sh, run from copies of the tree in empty folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: An account without rights and without a home folder, for root to become.
NOBODY = 65534


@dataclass
class Answer:
    code: int
    stdout: str
    stderr: str

    @property
    def told(self) -> str:
        return self.stdout + self.stderr


class Tree:
    """One copy of the repository, as a person has it after unpacking it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True,
        ).stdout
        for name in os.fsdecode(listed).split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)

    def run(self, *words: str, prefix: tuple[str, ...] = (), env: Mapping[str, str] = os.environ,
            cwd: Path | None = None) -> Answer:
        done = subprocess.run(
            [*prefix, *words], cwd=cwd or self.folder, env=dict(env), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=600,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def install(self, *options: str, **how: object) -> Answer:
        return self.run("bash", str(self.folder / "install.sh"), "--local", *options, **how)

    def manage(self, *words: str, **how: object) -> Answer:
        """The command line of the installed panel."""
        return self.run(".venv/bin/python", "-m", "app.cli", *words, **how)

    def processes(self) -> list[int]:
        """Everything that runs out of this folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if os.fsencode(self.folder) in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found


@pytest.fixture(scope="module")
def new_tree() -> Iterator[Callable[[], Tree]]:
    """Call it for a fresh copy, in a folder that every account may enter; what runs there is stopped."""
    trees: list[Tree] = []

    def make() -> Tree:
        folder = Path(tempfile.mkdtemp(prefix="mtproto-install-"))
        folder.chmod(0o755)
        trees.append(Tree(folder))
        return trees[-1]

    yield make
    for tree in trees:
        if (tree.folder / "data/config.json").exists():
            stopped = tree.install("--stop")
            assert stopped.code == 0, stopped.told
        assert tree.processes() == []
        shutil.rmtree(tree.folder)
