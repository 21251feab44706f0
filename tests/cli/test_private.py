"""What a data folder holds is for the panel's account alone, whoever made the folder and whatever the umask is."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from app.config import data_folder
from app.config.file import ConfigError, ConfigFile
from app.ledger.ledger import Ledger
from app.messages import sentence
from tests.cli.conftest import ROOT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def open_to_others(folder: Path) -> list[str]:
    """What others could read, write or look into, but for what nginx reads as another account."""
    return sorted(f"{path} {mode(path):o}" for path in (folder, *folder.rglob("*"))
                  if mode(path) & 0o077 and not path.is_symlink() and "nginx" not in path.parts)


def call(data: Path, *words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "app.cli", "--data", str(data), *words], cwd=ROOT, umask=0o002,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_day_of_use_leaves_nothing_open_to_others(tmp_path: Path, free_port: Callable[[], int]) -> None:
    data, port = tmp_path / "data", free_port()
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    panel = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--data", str(data)], cwd=ROOT, umask=0o002,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "MTPROTO_TIME_SITES": "none"})
    try:
        for _ in range(600):
            try:
                assert urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).status == 200
                break
            except OSError:
                assert panel.poll() is None
                time.sleep(0.1)
        call(data, "settings", "set", "proxy_bind=127.0.0.1", f"proxy_port={free_port()}", "server_ip=127.0.0.1",
             "monitor_seconds=1")
        call(data, "user", "add", "Anna", "--domain", "www.example.com")
        for path in ("config.lock", "monitor.lock", "panel.pid", "panel.db", "panel.db-wal", "backups"):
            assert (data / path).exists(), path
        assert open_to_others(data) == []
    finally:
        panel.terminate()
        panel.wait(60)
        call(data, "panel", "stop")
    assert open_to_others(data) == []


def test_an_older_versions_folder_is_closed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    ConfigFile(data).prepare()
    ledger = Ledger(data)  # as long as it is open, SQLite keeps its two files beside
    for name in ("", "config.lock", "panel.db", "panel.db-wal", "panel.db-shm"):
        (data / name).chmod(0o755 if not name else 0o644)
    ConfigFile(data).prepare()
    again = Ledger(data)
    assert again and ledger and open_to_others(data) == []


@pytest.mark.parametrize("also", ["photos", "www", "config", ".bashrc"])
def test_a_folder_with_other_uses_keeps_its_rights(also: str, tmp_path: Path) -> None:
    """Somebody's home, or /srv: what else is in it may be for others to read. Our own files are closed all the same."""
    (tmp_path / also).mkdir()
    tmp_path.chmod(0o755)
    for _ in range(2):
        ConfigFile(tmp_path).prepare()
        assert mode(tmp_path) == 0o755
        assert mode(tmp_path / "config.lock") == 0o600
        (tmp_path / "config.lock").chmod(0o644)  # as an older version left it
    ConfigFile(tmp_path).prepare()
    (tmp_path / also).rmdir()
    inside = [each for each in open_to_others(tmp_path) if each != f"{tmp_path} 755"]
    assert inside == []


def test_files_of_another_account_are_told_with_the_command_that_gives_them_back(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a command that was run as root on the folder of another account."""
    data = tmp_path / "my data"
    ConfigFile(data).prepare()
    assert data_folder.owner_problem(data) is None
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(os, "getegid", lambda: 4712)
    assert f"sudo chown -R 4711:4712 '{data}'" in sentence(data_folder.owner_problem(data))

    def denied(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(ConfigError, match="sudo chown -R 4711:4712"):
        ConfigFile(data).read()


def test_an_engines_files_are_closed_too(tmp_path: Path) -> None:
    """The engine is a program of its own, which mtg's folder may start with any umask."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    config = tmp_path / "config.toml"
    config.write_text(f'secret = "ee{"0" * 32}{b"www.example.com".hex()}"\nbind-to = "127.0.0.1:{port}"\n'
                      "[defense.anti-replay]\nenabled = true\n")
    config.chmod(0o600)
    engine = subprocess.Popen([sys.executable, "-m", "app.builtin.server", "run", str(config)], cwd=ROOT, umask=0,
                              stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if (tmp_path / "replays.db").exists():
                break
            time.sleep(0.1)
        files = [path for path in tmp_path.iterdir() if path.is_file()]
        assert len(files) > 1 and [path.name for path in files if mode(path) & 0o077] == []
    finally:
        engine.terminate()
        engine.wait(60)
