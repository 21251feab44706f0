"""install.sh --local --service: the panel as a unit of systemd, played by a program that notes what it hears."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import ROOT, Answer

#: Starts what the unit says, as systemd would, once.
SYSTEMCTL = """\
#!/bin/bash
echo "$*" >>"$LAB/calls"
case $* in
    *is-active*) exit 3 ;;
esac
"""
#: In place of the environment's Python: the panel's command line, of which only this is asked.
PYTHON = """\
#!/bin/bash
case $* in
    "- "*) cat >/dev/null ;;
    *first-password*) printf 'Name:      admin\\nPassword:  secret\\n' ;;
    *) echo "python $*" >>"$LAB/calls" ;;
esac
"""


class Folder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree, self.bin, self.units = folder / "my 100% panel", folder / "bin", folder / "units"
        for path in (self.tree, self.bin, folder / "root/run/systemd/system"):
            path.mkdir(parents=True)
        shutil.copytree(ROOT / "host", self.tree / "host")
        for path, text in ((self.bin / "systemctl", SYSTEMCTL), (self.bin / "loginctl", "#!/bin/bash\nexit 0\n"),
                           (self.tree / "python", PYTHON)):
            path.write_text(text)
            path.chmod(0o755)

    def run(self, script: str, **env: str) -> Answer:
        done = subprocess.run(
            ["bash", "-c", "set -euo pipefail; SERVICE_WANTED=yes PORT=9000 BIND=127.0.0.1\n"
             f"HERE='{self.tree}' DATA='{self.tree}/data' VENV='{self.tree}/.venv'\n"
             "fail() { echo \"$1\" >&2; exit 1; }; say() { echo \"$1\"; }\n"
             '. "$HERE/host/lib/service.sh"\nmanager() { "$HERE/python" "$@"; }\n' + script],
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", "LAB": str(self.folder), "MTPROTO_UNITS": str(self.units),
                 "MTPROTO_ROOT": str(self.folder / "root"), "MTPROTO_RUNTIME": "process", "HOME": str(self.folder),
                 **env},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, **env: str) -> Answer:
        (self.tree / ".venv/bin").mkdir(parents=True, exist_ok=True)
        shutil.copy(self.tree / "python", self.tree / ".venv/bin/python")
        return self.run("start_service", **env)

    @property
    def unit(self) -> Path:
        return self.units / "mtproto-panel.service"

    @property
    def calls(self) -> str:
        return (self.folder / "calls").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_unit_starts_this_folders_panel_and_spares_its_proxies(folder: Folder) -> None:
    done = folder.start(TZ="Europe/Berlin", MTPROTO_TRUSTED_PROXIES="127.0.0.1 10.0.0.0/8")
    assert done.code == 0, done.told
    unit = folder.unit.read_text()
    tree = str(folder.tree).replace("%", "%%")
    assert f"WorkingDirectory={tree}\n" in unit and "KillMode=process" in unit and "@" not in unit
    assert (f'ExecStart="{tree}/.venv/bin/python" "-m" "app.cli" "serve" "--no-password" "--bind" "127.0.0.1" '
            f'"--port" "9000" "--data" "{tree}/data"\n') in unit
    assert 'Environment="TZ=Europe/Berlin"' in unit and 'Environment="MTPROTO_RUNTIME=process"' in unit
    assert 'Environment="MTPROTO_TRUSTED_PROXIES=127.0.0.1 10.0.0.0/8"' in unit
    assert "enable --quiet mtproto-panel.service" in folder.calls and "restart mtproto-panel" in folder.calls
    assert "http://127.0.0.1:9000" in done.stdout and "Password:  secret" in done.stdout
    assert folder.run("is_service && echo yes").stdout == "yes\n"
    if shutil.which("systemd-analyze"):
        (folder.tree / ".venv/bin/python").chmod(0o755)
        said = subprocess.run(["systemd-analyze", "verify", str(folder.unit)], capture_output=True, text=True)
        assert "mtproto-panel.service" not in said.stderr, said.stderr


def test_a_panel_in_the_background_makes_room_and_its_proxies_run_on(folder: Folder) -> None:
    (folder.tree / "data").mkdir()
    (folder.tree / "data/config.json").write_text("{}")
    assert folder.start().code == 0
    stopped = folder.calls.index("panel stop --keep-proxies")
    assert stopped < folder.calls.index("restart mtproto-panel")


def test_the_service_of_another_folder_is_left_as_it_is(folder: Folder, tmp_path: Path) -> None:
    other = Folder(tmp_path / "other")
    other.units = folder.units
    assert folder.start().code == 0
    before = folder.unit.read_text()
    done = other.start()
    assert done.code == 1 and "panel of another folder" in done.stderr and folder.unit.read_text() == before
    assert other.run("is_service || echo no; remove_service; stop_service").stdout == "no\n"


def test_it_is_stopped_and_removed(folder: Folder) -> None:
    folder.start()
    assert "--local --service --port 9000" in folder.run("stop_service").stdout
    assert "disable --now --quiet mtproto-panel" in folder.calls and folder.unit.exists()
    assert "no service any more" in folder.run("remove_service").stdout and not folder.unit.exists()
    assert folder.run("remove_service").stdout == ""


def test_without_systemd_it_says_what_does_the_same(folder: Folder) -> None:
    shutil.rmtree(folder.folder / "root")
    done = folder.start()
    assert done.code == 1 and "@reboot bash" in done.stderr and not folder.unit.exists()
