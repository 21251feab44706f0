"""Logs that root writes on a server: bounded by logrotate, and by whoever writes them where there is no logrotate."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import ROOT
from tests.install.server_lab import ServerLab

pytestmark = pytest.mark.timeout(300)

#: Writes numbered lines as the host's scripts do: `log`, which opens the file for each, and a program that has it open.
WRITER = """
. "$ROOT/host/lib/log.sh"; LOG=$1
exec 5>>"$LOG"
for number in $(seq 300); do
    log "line $number"; echo "held $number" >&5; [ $number != 100 ] || touch "$LOG.begun"; sleep 0.002
done
"""


def lines(log: Path) -> list[str]:
    """Of the log and all that it was before, oldest first."""
    parts = [log.with_name(f"{log.name}.{number}") for number in range(9, 0, -1)] + [log]
    text = "".join(gzip.decompress(Path(f"{part}.gz").read_bytes()).decode() if Path(f"{part}.gz").exists() else
                   part.read_text() if part.exists() else "" for part in parts)
    return text.splitlines()


def rotate(configuration: Path) -> None:
    done = subprocess.run(["logrotate", "-f", "-s", str(configuration.with_name("state")), str(configuration)],
                          capture_output=True, text=True, env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"})
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_logrotate_takes_what_is_installed_and_loses_no_line_of_a_writer_that_goes_on(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    rotated = tmp_path / "etc/logrotate.d"
    rotated.mkdir()
    assert server.install("--tunnel").code == 0
    configuration, = rotated.iterdir()
    for name in ("install.log", "update.log", "move.log"):
        assert f'"{server.home}/{name}"' in configuration.read_text()

    log = server.home / "install.log"
    log.write_text("")
    with subprocess.Popen(["bash", "-c", WRITER, "-", str(log)], env={**os.environ, "ROOT": str(ROOT)}) as writer:
        while not (server.home / "install.log.begun").exists():
            assert writer.poll() is None
        rotate(configuration)
    # A week later, what was open is packed.
    for _ in range(2):
        rotate(configuration)
    assert sorted(lines(log)) == sorted(f"{kind} {number}" for kind in ("line", "held") for number in range(1, 301))
    (server.home / "install.log.begun").unlink()
    assert {path.stat().st_mode & 0o777 for path in server.home.glob("install.log*")} == {0o600}

    assert server.install("--uninstall", "--yes").code == 0
    assert [path.name for path in rotated.iterdir()] == ["state"]


def test_an_update_writes_the_rotation_again_and_without_logrotate_there_is_none(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    assert server.install("--tunnel").code == 0 and not (tmp_path / "etc/logrotate.d").exists()
    (tmp_path / "etc/logrotate.d").mkdir()
    done = subprocess.run(["bash", str(server.home / "current/host/outside.sh"), str(server.home)], capture_output=True,
                          text=True, env=server.environment())
    assert done.returncode == 0 and len(list((tmp_path / "etc/logrotate.d").iterdir())) == 1, done.stdout + done.stderr


def test_a_log_that_has_grown_is_put_aside_by_the_next_run_itself(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    assert server.install("--tunnel").code == 0
    log = server.home / "install.log"
    for _ in range(3):
        log.write_bytes(b"x" * 1_000_001)
        assert server.install("--tunnel").code == 0
    assert {path.name for path in server.home.glob("install.log*")} == {"install.log", "install.log.1"}
    assert log.stat().st_size < 1_000_000


def test_every_file_that_the_hosts_scripts_log_into_is_rotated_and_bounded() -> None:
    scripts = [*ROOT.glob("*.sh"), *ROOT.glob("host/*"), *ROOT.glob("host/lib/*.sh"), *ROOT.glob("scripts/*.sh")]
    texts = {path: path.read_text() for path in scripts if path.is_file()}
    named = {name for text in texts.values() for name in re.findall(r"\$MTPROTO_HOME/([a-z-]+\.log)\b", text)}
    rotation = texts[ROOT / "host/lib/rotation.sh"]
    assert named == set(re.findall(r'"\$MTPROTO_HOME/([a-z-]+\.log)"', rotation))
    for path, text in texts.items():
        if re.search(r"LOG=\$MTPROTO_HOME/", text):
            assert 'bound_log "$LOG"' in text, path
