"""The command line, twice: in this process (`run`, quick) and as people start it (`command`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.__main__ import cli
from app.config.file import ConfigFile
from app.runtimes.process.runtime import ProcessRuntime

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Answer:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """The one document on stdout; fails when there is more, or less."""
        assert self.stderr == "", self.stderr
        return json.loads(self.stdout)

    def refused(self) -> str:
        """The message of a refusal: exit code 1, nothing on stdout."""
        assert (self.code, self.stdout) == (1, ""), self
        return self.stderr


Run = Callable[..., Answer]


def arguments(data: Path, words: tuple[str, ...]) -> list[str]:
    return ["--data", str(data), *words]


@pytest.fixture
def data(tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder whose proxies listen on loopback; whatever runs there is ended afterwards."""
    for limit in ("start_timeout", "stop_timeout", "scrape_timeout", "throttle_timeout"):
        monkeypatch.setattr(ProcessRuntime, limit, 60.0)
    folder = tmp_path / "data"
    ConfigFile(folder).prepare()
    runner = CliRunner()
    made = runner.invoke(
        cli,
        arguments(folder, ("settings", "set", "proxy_bind=127.0.0.1", f"proxy_port={free_port()}")),
    )
    assert made.exit_code == 0, made.output
    yield folder
    (folder / "config.json").write_text('{"proxy_bind": "127.0.0.1", "proxy_port": 2443}')
    ended = runner.invoke(cli, arguments(folder, ("panel", "stop")))
    assert ended.exit_code == 0, ended.output


@pytest.fixture
def run(data: Path) -> Run:
    """Run a command in this process, on the data folder."""

    def call(*words: str, input: str | None = None) -> Answer:
        result = CliRunner().invoke(cli, arguments(data, words), input, catch_exceptions=False)
        return Answer(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def command(data: Path) -> Run:
    """Run `python -m app.cli …` as a process of its own, without a terminal, on the data folder."""

    def call(*words: str, prefix: tuple[str, ...] = (), **options: Any) -> Answer:
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "app.cli", *words],
            cwd=ROOT,
            env={**os.environ, "MTPROTO_DATA_DIR": str(data)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
            **options,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def unchanged(data: Path) -> Iterator[None]:
    """The declaration is byte for byte the same after the test as before it."""
    before = (data / "config.json").read_bytes()
    yield
    assert (data / "config.json").read_bytes() == before
