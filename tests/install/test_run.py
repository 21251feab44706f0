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


#: What main() does up to the tests, without doing it; then what it has made of the question whether servers run.
QUIET = """install_system_packages() { :; }; bash() { :; }; install_test_packages() { :; }; install_mtcute() { :; }
start_docker() { :; }; check_python() { :; }; check_shell_scripts() { :; }
run_pytest() { echo "$SERVER $MACHINE"; tell_what_is_left_out; }
no_servers_because() { printf %s "$BROKEN"; }"""


@pytest.mark.parametrize(("words", "ci", "runs"), [
    ("", "false", "no no"), ("tests/web", "true", "no no"), ("tests/server", "false", "yes yes"),
    ("", "true", "yes no")])
def test_servers_are_installed_in_ci_and_when_asked_for(words: str, ci: str, runs: str) -> None:
    done = functions(f"{QUIET}\nmain {words}", CI=ci, BROKEN="")
    assert runs in done.stdout.splitlines(), done
    assert ("LEFT OUT: tests/server, servers" in done.stdout) == (runs == "no no")
    assert ("LEFT OUT: the smallest server" in done.stdout) == (runs == "yes no")


def test_where_there_can_be_no_servers_who_asks_for_them_is_told_so_at_once() -> None:
    done = functions(f"{QUIET}\nmain tests/server", BROKEN="Operation not permitted")
    assert done.returncode == 1 and "tests/server can't run here: Operation not permitted" in done.stderr


def test_where_there_can_be_no_servers_ci_runs_the_rest_and_says_so_in_its_last_lines(tmp_path: Path) -> None:
    real = QUIET.replace('run_pytest() { echo "$SERVER $MACHINE"; tell_what_is_left_out; }\n', "")
    assert real != QUIET
    fake_python(tmp_path, fails="nothing")
    done = functions(f'{real}\nVENV="{tmp_path}"\nmain', CI="true", BROKEN="Operation not permitted",
                     TMPDIR=str(tmp_path))
    assert done.returncode == 0, done
    asked = (tmp_path / "asked").read_text()
    assert "tests/web" in asked and "tests/server" not in asked
    last = "TESTS/SERVER, THOUGH THIS IS CI: no server can be started on this machine: Operation not permitted"
    assert done.stdout.splitlines()[-1] == f"==> LEFT OUT: {last}"


@pytest.mark.parametrize(("broken", "reason"), [
    ("id() { echo 1000; }", "systemd-nspawn needs root"),
    ("id() { echo 0; }; systemd-nspawn() { echo 'Operation not permitted'; return 1; }", "Operation not permitted"),
    ("id() { echo 0; }; systemd-nspawn() { :; }; mount() { echo 'wrong fs type'; return 32; }", "wrong fs type")])
def test_why_there_can_be_no_servers_is_found_out(broken: str, reason: str) -> None:
    done = functions(f"umount() {{ :; }}; {broken}; no_servers_because")
    assert done.returncode == 0 and reason in done.stdout, done


def test_servers_have_a_bound_so_that_ci_has_one(tmp_path: Path) -> None:
    fake_python(tmp_path, fails="nothing", then="sleep 100")
    done = functions(f'VENV="{tmp_path}"; SERVER=yes SERVER_MINUTES=0.01; logs=$(mktemp -d); trap end_all EXIT\n'
                     f"groups() {{ echo tests/server; }}\nrun_pytest", CI="true", TMPDIR=str(tmp_path))
    assert done.returncode == 1 and "a test has failed in tests/server;" in done.stderr, done


def fake_python(folder: Path, fails: str, then: str = "true") -> None:
    """Instead of tests: what is asked of it is printed, and noted in the file `asked`."""
    python = folder / "bin/python"
    python.parent.mkdir()
    python.write_text(f"""#!/bin/sh
echo "asked: $*" | tee -a "{folder}/asked"
{then}
case " $* " in *" {fails} "*) exit 1 ;; esac
""")
    python.chmod(0o755)


@pytest.mark.parametrize(("fails", "code"), [("nothing", 0), ("tests/docs", 1)])
def test_all_groups_run_and_one_that_fails_is_named(tmp_path: Path, fails: str, code: int) -> None:
    fake_python(tmp_path, fails)
    done = functions(f'VENV="{tmp_path}"; logs=$(mktemp -d); trap end_all EXIT; run_pytest', CI="false",
                     TMPDIR=str(tmp_path))
    assert done.returncode == code, done
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == len(functions("groups").stdout.splitlines()) and "-c tests/pytest.ini tests/web" in str(asked)
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("asked")) == sorted(asked)
    assert ("a test has failed in tests/docs;" in done.stderr) == bool(code)
    assert "tests/server" not in str(asked), "it was not asked for"
    assert list(tmp_path.glob("tmp.*")) == [], "nothing is left of what they printed"
