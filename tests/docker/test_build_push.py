"""scripts/docker-build-push.sh: the commands it gives to docker, which a recorder stands in for here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "dckr_pat_not-for-anybodys-eyes"
RECORDER = f"""#!{sys.executable}
import json, os, sys
stdin = sys.stdin.read() if "--password-stdin" in sys.argv else ""
with open(os.environ["RECORD"], "a") as record:
    record.write(json.dumps({{"argv": sys.argv[1:], "stdin": stdin, "env": dict(os.environ)}}) + "\\n")
sys.exit(1 if os.environ.get("FAIL") in sys.argv[1:] else 0)
"""


class Script:
    """Runs the script with a `docker` that notes what it is asked; calls: its argument lists."""

    def __init__(self, folder: Path):
        self.record = folder / "record"
        self.record.touch()
        (folder / "docker").write_text(RECORDER)
        (folder / "docker").chmod(0o755)
        self.path = f"{folder}:{os.environ['PATH']}"

    def run(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        settings = {"DOCKERHUB_USERNAME": "ada", "VERSION": "v1.2.3", **env}
        return subprocess.run(
            ["bash", str(ROOT / "scripts/docker-build-push.sh"), *options], text=True, capture_output=True,
            cwd="/", env={"PATH": self.path, "HOME": "/nonexistent", "RECORD": str(self.record), **settings})

    @property
    def notes(self) -> list[dict]:
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    @property
    def calls(self) -> list[list[str]]:
        return [note["argv"] for note in self.notes]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def test_a_release_is_built_and_pushed_under_its_version_and_as_latest(script: Script) -> None:
    done = script.run()
    assert done.returncode == 0, done.stderr
    expected = []
    for image, dockerfile in (("ada/mtproto-panel", "Dockerfile"), ("ada/mtg-custom", "Dockerfile.mtg"),
                              ("ada/telemt", "Dockerfile.telemt"), ("ada/mtproxy", "Dockerfile.mtproxy")):
        expected += [
            ["build", "--file", dockerfile, "--build-arg", "VERSION=v1.2.3",
             "--tag", f"{image}:v1.2.3", "--tag", f"{image}:latest", "."],
            ["push", f"{image}:v1.2.3"],
            ["push", f"{image}:latest"],
        ]
    assert script.calls == expected


def test_what_is_no_release_never_becomes_latest(script: Script) -> None:
    assert script.run("--panel-only", VERSION="v1.2.3-4-gabcdef0-dirty").returncode == 0
    assert [call[1] for call in script.calls if call[0] == "push"] == [
        "ada/mtproto-panel:v1.2.3-4-gabcdef0-dirty"]


def test_without_a_version_the_tag_is_what_git_describes(script: Script) -> None:
    described = subprocess.run(["git", "describe", "--tags", "--always", "--dirty"], cwd=ROOT,
                               capture_output=True, text=True, check=True).stdout.strip()
    assert script.run("--mtg-only", VERSION="").returncode == 0
    assert script.calls[-1] == ["push", f"ada/mtg-custom:{described}"]


@pytest.mark.parametrize(("option", "image"), [
    ("--panel-only", "mtproto-panel"), ("--mtg-only", "mtg-custom"), ("--telemt-only", "telemt"),
    ("--mtproxy-only", "mtproxy")])
def test_one_of_them_can_be_had_alone(script: Script, option: str, image: str) -> None:
    assert script.run(option).returncode == 0
    pushed = [call[1] for call in script.calls if call[0] == "push"]
    assert pushed == [f"ada/{image}:v1.2.3", f"ada/{image}:latest"]


def test_multiarch_builds_both_kinds_of_machine_into_one_image(script: Script) -> None:
    assert script.run("--multiarch", "--panel-only").returncode == 0
    asked, built = script.calls
    assert asked == ["buildx", "version"]
    assert built[:4] == ["buildx", "build", "--platform", "linux/amd64,linux/arm64"]
    assert built[-2:] == ["--push", "."]


def test_multiarch_without_buildx_says_what_to_install(script: Script) -> None:
    done = script.run("--multiarch", FAIL="buildx")
    assert done.returncode == 1 and "docker-buildx-plugin" in done.stderr
    assert script.calls == [["buildx", "version"]]


def test_the_token_goes_to_the_login_by_a_pipe_and_nowhere_else(script: Script) -> None:
    done = script.run(DOCKERHUB_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    login = script.notes[0]
    assert login["argv"] == ["login", "--username", "ada", "--password-stdin"] and login["stdin"] == TOKEN
    assert script.calls[-1] == ["logout"]
    assert TOKEN not in done.stdout + done.stderr
    for note in script.notes:
        assert TOKEN not in json.dumps([note["argv"], note["env"]])


def test_a_refused_login_ends_it_before_anything_is_built(script: Script) -> None:
    done = script.run(DOCKERHUB_TOKEN=TOKEN, FAIL="login")
    assert done.returncode == 1 and "did not accept the name and the token" in done.stderr
    assert script.calls == [["login", "--username", "ada", "--password-stdin"]]


@pytest.mark.parametrize(("verb", "said"), [
    ("build", "could not be built"), ("push", "could not be pushed")])
def test_what_fails_is_named_and_nothing_follows_it(script: Script, verb: str, said: str) -> None:
    done = script.run(FAIL=verb)
    assert done.returncode == 1 and "ada/mtproto-panel:v1.2.3 " + said in done.stderr
    assert script.calls[-1][0] == verb and "Done" not in done.stdout


def test_sources_of_ones_own_are_passed_on_to_the_image_that_has_them(script: Script) -> None:
    mirrors = {"PYTHON_IMAGE": "mirror.example/python:3.12", "MTG_IMAGE": "mirror.example/mtg:2.2.8",
               "TELEMT": "telemt.tar.gz", "MTPROXY_SOURCE": "mtproxy.tar.gz"}
    assert script.run(**mirrors).returncode == 0
    panel, mtg, telemt, mtproxy = [call for call in script.calls if call[0] == "build"]
    assert "PYTHON_IMAGE=mirror.example/python:3.12" in panel and "MTG_IMAGE=" not in " ".join(panel)
    assert "MTG_IMAGE=mirror.example/mtg:2.2.8" in mtg and "PYTHON_IMAGE=" not in " ".join(mtg)
    assert "TELEMT=telemt.tar.gz" in telemt and "TELEMT=" not in " ".join(mtg)
    assert "MTPROXY_SOURCE=mtproxy.tar.gz" in mtproxy and "MTPROXY_SHA256=any" in mtproxy


def test_mtproxys_own_source_is_held_against_the_checksum_in_its_dockerfile(script: Script) -> None:
    assert script.run("--mtproxy-only").returncode == 0
    assert "MTPROXY_" not in " ".join(script.calls[0])


def test_a_dry_run_prints_the_commands_and_runs_none(script: Script) -> None:
    done = script.run("--dry-run", DOCKERHUB_TOKEN=TOKEN)
    assert done.returncode == 0 and script.calls == []
    lines = [line for line in done.stdout.splitlines() if line.startswith("+ ")]
    assert lines[0] == "+ docker login --username ada --password-stdin"
    assert "+ docker push ada/mtg-custom:v1.2.3" in lines and len(lines) == 13
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize(("options", "env", "code", "said"), [
    (["--fast"], {}, 2, "unknown option: --fast"),
    (["--panel-only", "--mtg-only"], {}, 2, "leave nothing to build"),
    (["--telemt-only", "--mtg-only"], {}, 2, "leave nothing to build"),
    ([], {"DOCKERHUB_USERNAME": ""}, 2, "DOCKERHUB_USERNAME is not set"),
    ([], {"VERSION": "v1 beta"}, 1, "VERSION is 'v1 beta'"),
    ([], {"VERSION": "-x"}, 1, "VERSION is '-x'"),
])
def test_misuse_is_explained_before_anything_is_done(
        script: Script, options: list[str], env: dict[str, str], code: int, said: str) -> None:
    done = script.run(*options, **env)
    assert done.returncode == code and said in done.stderr
    assert script.calls == []
