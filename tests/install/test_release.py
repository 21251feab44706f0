"""scripts/release.sh: an archive that servers fetch, the same bytes from the same commit."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.install.conftest import ROOT, Answer, Tree

#: The stylesheet is built, and what it is built with comes from a registry.
pytestmark = pytest.mark.timeout(900)
URL = "https://releases.example/mtproto"


class Checkout:
    """A repository with one commit, as its maintainer has it."""

    def __init__(self, tree: Tree) -> None:
        self.folder = tree.folder
        self.git("init", "-q")
        self.commit()

    def git(self, *words: str) -> None:
        subprocess.run(["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", *words], cwd=self.folder,
                       check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "all of it")

    def release(self, *options: str, umask: int = 0o022) -> Answer:
        done = subprocess.run(
            ["bash", "scripts/release.sh", "--venv", str(ROOT / "tests/.venv"), *options], cwd=self.folder, umask=umask,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
        return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def checkout(new_tree: Callable[[], Tree]) -> Checkout:
    return Checkout(new_tree())


@pytest.fixture(scope="module")
def released(checkout: Checkout) -> Path:
    """OUT of a release v1.2.3."""
    done = checkout.release("--version", "v1.2.3", "--url", f"{URL}/", "--out", f"{checkout.folder}-out")
    assert done.code == 0, done.told
    return Path(f"{checkout.folder}-out")


def test_it_holds_what_a_server_needs_and_the_stylesheet(released: Path) -> None:
    place = released / "download/v1.2.3"
    with tarfile.open(place / "mtproto-v1.2.3.tar.gz") as archive:
        names = {name.removeprefix("mtproto-v1.2.3/") for name in archive.getnames()}
        read = {name: archive.extractfile(f"mtproto-v1.2.3/{name}").read().decode()
                for name in ("VERSION", "RELEASE_URL")}
        documents = {name: archive.extractfile(f"mtproto-v1.2.3/{name}").read().decode()
                     for name in names if name.endswith(".md")}
        assert all(entry.uid == entry.gid == 0 and not entry.mode & 0o022 for entry in archive)
        css = archive.extractfile("mtproto-v1.2.3/app/web/static/build/panel.css").read()
    assert {"app/web/static/build/vendor/uplot.js", "app/web/static/build/vendor/inter-latin.woff2"} <= names
    assert {"install.sh", "update.sh", "docker-compose.yml", "Dockerfile", "Dockerfile.mtg", "requirements.txt",
            "host/mtproto", "host/prepare-release.sh", "host/lib/stack.sh", "nginx/nginx.conf",
            ".dockerignore"} <= names
    assert not [name for name in names if name.startswith(("tests", ".git", ".ci")) or "node_modules" in name
                or "__pycache__" in name]
    assert read == {"VERSION": "v1.2.3\n", "RELEASE_URL": f"{URL}\n"} and len(css) > 1000
    assert f"RELEASES={URL} " in documents["README.md"]
    assert not [name for name, text in documents.items() if "releases.example.com" in text]


def test_its_checksum_and_its_installer_belong_to_it(released: Path) -> None:
    place = released / "download/v1.2.3"
    sum_ = hashlib.sha256((place / "mtproto-v1.2.3.tar.gz").read_bytes()).hexdigest()
    assert (place / "SHA256SUMS").read_text() == f"{sum_}  mtproto-v1.2.3.tar.gz\n"
    installer = (place / "install.sh").read_text()
    assert f'RELEASE_URL="{URL}/download/v1.2.3/mtproto-v1.2.3.tar.gz"\nRELEASE_SHA256="{sum_}"\n' in installer
    for name in ("SHA256SUMS", "install.sh"):
        assert (released / "latest/download" / name).read_bytes() == (place / name).read_bytes()


def test_the_same_commit_gives_the_same_bytes(checkout: Checkout, released: Path, tmp_path: Path) -> None:
    for path in (checkout.folder / "README.md", checkout.folder / "app"):
        path.touch()
    done = checkout.release("--version", "v1.2.3", "--url", URL, "--out", str(tmp_path), umask=0o077)
    assert done.code == 0, done.told
    name = "download/v1.2.3/mtproto-v1.2.3.tar.gz"
    assert (tmp_path / name).read_bytes() == (released / name).read_bytes()


def test_what_is_not_committed_and_an_odd_version_are_refused(checkout: Checkout, tmp_path: Path) -> None:
    odd = checkout.release("--version", "v1/2", "--out", str(tmp_path))
    assert odd.code == 1 and "letters, digits" in odd.stderr
    (checkout.folder / "more.txt").write_text("")
    dirty = checkout.release("--version", "v1.2.4", "--out", str(tmp_path))
    (checkout.folder / "more.txt").unlink()
    assert dirty.code == 1 and "not everything is committed" in dirty.stderr and list(tmp_path.iterdir()) == []
