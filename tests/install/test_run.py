"""tests/run.sh: what it promises CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.install.conftest import ROOT


@pytest.mark.parametrize(
    "test",
    ["import pytest\ndef test_it():\n    pytest.skip('no browser')\n",
     "import pytest\npytest.importorskip('no_such_module')\ndef test_it():\n    pass\n",
     "import pytest\n@pytest.mark.skip(reason='no browser')\ndef test_it():\n    pass\n"],
)
def test_a_skipped_test_fails_in_ci(tmp_path: Path, test: str) -> None:
    (tmp_path / "test_it.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.no_skips", "-c", os.devnull, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=150,
    )
    assert done.returncode != 0, done.stdout
    assert "counts as a failure in CI" in done.stdout


def test_ci_runs_it_from_any_folder_and_passes_its_arguments_on() -> None:
    run = (ROOT / ".ci/run").read_text()
    assert "../tests/run.sh" in run and '"$@"' in run


def functions(then: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A script that has run.sh's functions, and runs none of them but those that `then` does."""
    script = (ROOT / "tests/run.sh").read_text().replace('\nmain "$@"\n', "\n")
    return subprocess.run(["bash", "-c", f'{script}\ncd "{ROOT}"\n{then}'], env={**os.environ, **env},
                          capture_output=True, text=True, timeout=150)


def test_every_test_is_in_exactly_one_group() -> None:
    found: list[Path] = []
    for group in functions("SERVER=yes MACHINE=yes; groups").stdout.splitlines():
        folders = [ROOT / word for word in group.split() if not word.startswith("-")]
        ignored = [ROOT / word.removeprefix("--ignore=") for word in group.split() if word.startswith("-")]
        found += [file for folder in folders for file in (folder, *folder.rglob("*")) if file.match("test_*.py")
                  and not any(file.is_relative_to(each) for each in ignored)]
    there = [file for folder in (ROOT / "tests").iterdir() if folder.name not in (".venv", "support", "bench")
             for file in (folder, *folder.rglob("*")) if file.match("test_*.py")]
    assert sorted(found) == sorted(there)


@pytest.mark.parametrize(("words", "runs"), [("", "no no"), ("tests/web", "no no"), ("tests/server", "yes yes")])
def test_servers_are_for_whoever_asks_for_them(words: str, runs: str) -> None:
    nothing = "install_system_packages() { echo $SERVER $MACHINE; exit; }"
    assert functions(f"{nothing}\nmain {words}").stdout.strip() == runs


def test_a_machine_that_can_have_no_servers_is_told_so_at_once() -> None:
    broken = "id() { echo 0; }; systemd-nspawn() { echo 'Operation not permitted'; return 1; }"
    done = functions(f"{broken}\ninstall_system_packages() {{ :; }}\nmain tests/server")
    assert done.returncode == 1 and "tests/server can't run here" in done.stderr and "not permitted" in done.stderr
    assert functions("id() { echo 1000; }; require_nspawn").stderr.strip().endswith("needs root")


@pytest.mark.parametrize(("fails", "code"), [("nothing", 0), ("tests/web", 1)])
def test_all_groups_run_and_one_that_fails_is_named(tmp_path: Path, fails: str, code: int) -> None:
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\necho "asked: $*" | tee -a "{tmp_path}/asked"\n[ "$5" != {fails} ]\n')
    python.chmod(0o755)
    done = functions(f'VENV="{tmp_path}"; logs=$(mktemp -d); trap end_all EXIT; run_pytest', CI="false",
                     TMPDIR=str(tmp_path))
    assert done.returncode == code, done
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == len(functions("groups").stdout.splitlines()) and "-c tests/pytest.ini tests/web" in str(asked)
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("asked")) == sorted(asked)
    assert ("a test has failed in tests/web;" in done.stderr) == bool(code)
    assert "LEFT OUT: tests/server" in done.stdout and "tests/server" not in str(asked), "it was not asked for"
    assert list(tmp_path.glob("tmp.*")) == [], "nothing is left of what they printed"
