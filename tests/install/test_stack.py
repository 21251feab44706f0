"""host/lib/stack.sh: the settings of an installation, its lock, and compose called for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import ROOT


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "my proxies"
    home.mkdir()
    return home


def shell(home: Path, script: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; . host/lib/log.sh; . host/lib/stack.sh; {script}"],
        cwd=ROOT, env={**os.environ, "MTPROTO_HOME": str(home), **env}, capture_output=True, text=True, timeout=60,
    )


def test_settings_are_written_all_or_none_and_for_their_owner_only(home: Path) -> None:
    assert shell(home, "set_setting A=1 'B=two words' A=2").returncode == 0
    assert shell(home, "set_setting AA=3 B=x=y").returncode == 0
    assert (home / ".env").read_text() == "A=2\nAA=3\nB=x=y\n"
    assert (home / ".env").stat().st_mode & 0o777 == 0o600
    assert shell(home, "setting B; setting AA; setting NONE").stdout == "x=y\n3\n"
    (home / ".env.new.part").mkdir()
    refused = shell(home, "set_setting A=9 B=9")
    assert refused.returncode == 1 and "it is as it was" in refused.stderr
    assert (home / ".env").read_text() == "A=2\nAA=3\nB=x=y\n"


def test_the_lock_is_held_by_one_at_a_time_and_ends_with_it(home: Path) -> None:
    inner = f"MTPROTO_HOME='{home}'; . host/lib/log.sh; . host/lib/stack.sh; lock_home"
    both = shell(home, f'lock_home; bash -c "{inner}" 9>&- || echo refused')
    assert "refused" in both.stdout and "another installation, update or removal is under way" in both.stderr
    assert shell(home, "lock_home").returncode == 0


def test_compose_is_told_where_this_installation_is_and_nothing_of_the_callers_environment(home: Path) -> None:
    programs = home / "bin"
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text('#!/bin/bash\n[ "$*" = "compose version" ] || { printf "%s\\n" "$@"; env; }\n')
    docker.chmod(0o755)
    told = shell(home, "stack up -d", PATH=f"{programs}:{os.environ['PATH']}", TZ="Mars", DATA_DIR="/elsewhere",
                 https_proxy="http://proxy:1").stdout.splitlines()
    assert told[:10] == [
        "compose", "--project-name", "mtproto", "--project-directory", f"{home}/current",
        "--env-file", f"{home}/.env", "--file", f"{home}/current/docker-compose.yml", "up"]
    assert "https_proxy=http://proxy:1" in told
    assert not [line for line in told if line.startswith(("TZ=", "DATA_DIR=", "MTPROTO_"))]


def test_current_is_switched_by_one_rename(home: Path) -> None:
    (home / "current.new").symlink_to("left-behind")
    for version in ("v1", "v2"):
        assert shell(home, f"point_current {version}").returncode == 0
        assert os.readlink(home / "current") == f"releases/{version}"
    assert sorted(path.name for path in home.iterdir()) == ["current"]
