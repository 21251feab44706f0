"""An installation in a temporary folder, whose update.sh is the real one and whose Docker engine is made of files."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.install.conftest import ROOT, Answer

STUBS = Path(__file__).parent / "stubs"
#: What dies in the middle of its work if the test says so, beside docker. None of them is called twice at a time.
COUNTED = ("curl", "mv", "ln", "cp")
#: What release v1 has in its data folder.
DATA = {"config.json": '{"users": "Alice, Bob"}', "panel.db": "measured by v1"}


def tree(folder: Path, version: str, proxy: str = "mtg 1", nginx: str = "events {}") -> Path:
    """A release's tree, as far as update.sh looks at it: this repository's scripts, and little else."""
    for name in ("host", "update.sh"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    for name, text in {
        "VERSION": f"{version}\n", "docker-compose.yml": "services: {}\n", "Dockerfile": "FROM x\n",
        "Dockerfile.mtg": f"FROM {proxy}\n", "requirements.txt": "flask\n", "wsgi.py": "", "install.sh": "",
        "app/version.txt": version, "app/web/static/build/panel.css": "a {}",
        "nginx/nginx.conf": nginx, "nginx/panel.conf": "", "nginx/templates/x": "",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


class Server:
    """A home with release v1 in it, and a place of releases beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "my proxies"
        self.stubs = folder / "stubs"
        self.bin = folder / "bin"
        self.site = folder / "site"
        for path in (self.home / "data", self.home / "releases", self.stubs / "images", self.bin, self.site):
            path.mkdir(parents=True)
        tree(self.home / "releases/v1", "v1")
        (self.home / "current").symlink_to("releases/v1")
        (self.home / ".env").write_text(
            "VERSION=v1\nPANEL_IMAGE=mtproto-panel:v1\nNGINX_IMAGE=mirror.example/library/nginx:1.30\n"
            "MTG_IMAGE=my/own:mtg\nPANEL_PORT=8080\nTZ=Europe/Berlin\n")
        for name, text in DATA.items():
            (self.home / "data" / name).write_text(text)
        (self.stubs / "data").symlink_to(self.home / "data")
        for name in ("docker", "systemctl"):
            shutil.copy(STUBS / name, self.bin / name)
        (self.bin / "sync").symlink_to("/bin/true")
        for name in COUNTED:
            (self.bin / name).symlink_to(STUBS / "counted")
        self.say("container", "mtproto-panel:v1")
        self.say("running", "yes")
        for version in ("v1", "v2", "v3"):
            self.say(f"ledger.{version}", "7 5")
        self.image("mtproto-panel:v1", "id-v1 whatever")
        source = self.source_of(self.home / "releases/v1")
        self.image("mtg-custom:latest", f"id-{source} {source}")

    def source_of(self, folder: Path) -> str:
        """The label of the proxies' image that this tree's Dockerfile.mtg makes."""
        done = subprocess.run(
            ["bash", "-c", '. host/lib/images.sh; source_hash "$1" Dockerfile.mtg', "-", str(folder)],
            cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def say(self, name: str, text: str) -> None:
        (self.stubs / name).write_text(text + "\n")

    def image(self, name: str, text: str | None = None) -> str:
        path = self.stubs / "images" / name
        if text is not None:
            path.write_text(text + "\n")
        return path.read_text() if path.exists() else ""

    def publish(self, version: str, **of_tree: str) -> Path:
        """A release at the place of releases; the newest, from now on."""
        made = tree(self.folder / f"made-{version}/mtproto-{version}", version, **of_tree)
        place = self.site / "download" / version
        place.mkdir(parents=True)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(made, arcname=made.name)
        (place / f"mtproto-{version}.tar.gz").write_bytes(packed.getvalue())
        sums = f"{hashlib.sha256(packed.getvalue()).hexdigest()}  mtproto-{version}.tar.gz\n"
        (place / "SHA256SUMS").write_text(sums)
        (self.site / "latest/download").mkdir(parents=True, exist_ok=True)
        (self.site / "latest/download/SHA256SUMS").write_text(sums)
        return made

    def update(self, *options: str, kill_at: int = 0, **env: str) -> Answer:
        """update.sh of the release that serves. kill_at: the number of the call before which all of it is killed."""
        for name in ("log", "trace", "calls", "kill-at"):
            (self.stubs / name).unlink(missing_ok=True)
        if kill_at:
            self.say("kill-at", str(kill_at))
        done = subprocess.run(
            ["bash", str(self.home / "current/update.sh"), "--home", str(self.home), *options],
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.folder),
                 "MTPROTO_RELEASE_URL": f"file://{self.site}", "MTPROTO_WAIT": "2", "MTPROTO_POLL_SECONDS": "0",
                 "MTPROTO_PROBES": "2", "MTPROTO_LEAST_DISK": "1", "MTPROTO_UNITS": str(self.folder / "units"),
                 "MTPROTO_ROOT": str(self.folder / "root"), "MTPROTO_BIN": str(self.folder / "nothing"), **env},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, start_new_session=True)
        return Answer(done.returncode, done.stdout, done.stderr)

    @property
    def calls(self) -> list[str]:
        """What was asked of Docker, systemd and the panel's address."""
        log = self.stubs / "log"
        return log.read_text().splitlines() if log.exists() else []

    def number_of(self, words: str) -> int:
        """Of the first call in the last run that has these words in it."""
        return int(next(line for line in (self.stubs / "trace").read_text().splitlines() if words in line).split()[0])

    @property
    def version(self) -> str:
        """What serves: by current, .env, and the container, which must be of one mind."""
        assert (self.stubs / "running").read_text() == "yes\n"
        told = {Path(os.readlink(self.home / "current")).name, self.setting("VERSION"),
                self.setting("PANEL_IMAGE").split(":")[1], (self.stubs / "container").read_text().strip().split(":")[1]}
        assert len(told) == 1, told
        return told.pop()

    def setting(self, name: str) -> str:
        return dict(line.split("=", 1) for line in (self.home / ".env").read_text().splitlines())[name]

    def data(self) -> dict[str, str]:
        return {name: (self.home / "data" / name).read_text() for name in DATA}

    def backups(self) -> list[Path]:
        return sorted((self.home / "backups").iterdir())
