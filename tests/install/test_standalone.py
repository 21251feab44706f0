"""install.sh alone, as curl … | sudo bash has it: it fetches its release, checks it, and goes on in there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.install.conftest import ROOT, Answer
from tests.install.server_lab import VERSION, ServerLab, make_release

pytestmark = pytest.mark.timeout(300)

SCRIPT = (ROOT / "install.sh").read_bytes()


@pytest.fixture
def server(tmp_path: Path) -> ServerLab:
    """A server with nothing of ours on it, whose curl is the real one, as the release is a file."""
    server = ServerLab(tmp_path, tree=tmp_path / "nothing")
    (tmp_path / "etc/apt").mkdir()
    return server


@pytest.fixture
def release(tmp_path: Path) -> dict[str, str]:
    make_release(tmp_path / f"made/mtproto-{VERSION}")
    archive = tmp_path / f"mtproto-{VERSION}.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / f"made/mtproto-{VERSION}", f"mtproto-{VERSION}")
    return {"MTPROTO_RELEASE_URL": f"file://{archive}",
            "MTPROTO_RELEASE_SHA256": hashlib.sha256(archive.read_bytes()).hexdigest()}


def piped(server: ServerLab, script: bytes, *options: str, **variables: str) -> Answer:
    done = subprocess.run(
        ["bash", "-s", "--", *options], input=script, env=server.environment(**variables), cwd=server.folder,
        capture_output=True, timeout=200, start_new_session=True)
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


def fetchable(server: ServerLab, release: dict[str, str]) -> None:
    """curl gets the archive; the panel is asked by the stand-in."""
    curl = server.folder / "bin/curl"
    curl.write_text(curl.read_text().replace(
        "server = Server", "import os\nif any(w.startswith('file:') for w in sys.argv): "
                           "os.execv('/usr/bin/curl', ['curl', *sys.argv[1:]])\nserver = Server"))


def test_it_fetches_the_release_that_it_names_and_installs_it(server: ServerLab, release: dict[str, str]) -> None:
    fetchable(server, release)
    answer = piped(server, SCRIPT, "--base-port", "5000", **release)
    assert answer.code == 0, answer.told
    assert (server.home / "current").resolve().name == VERSION and server.declared()["users"][0]["port"] == 5000
    assert list((server.folder / "tmp").iterdir()) == []
    # What is printed can be typed: the script itself was in a pipe.
    assert f"Repair: bash '{server.home}/current/install.sh'" in answer.stdout
    assert server.install(script=server.home / "current/install.sh").code == 0
    removed = piped(server, SCRIPT, "--uninstall", "--yes")
    assert removed.code == 0 and not server.home.exists(), removed.told


def test_of_a_place_of_releases_it_takes_the_newest(server: ServerLab, release: dict[str, str], tmp_path: Path) -> None:
    fetchable(server, release)
    place, name = tmp_path / "place", f"mtproto-{VERSION}.tar.gz"
    (place / "latest/download").mkdir(parents=True)
    (place / "latest/download/SHA256SUMS").write_text(f"{release['MTPROTO_RELEASE_SHA256']}  {name}\n")
    (place / f"download/{VERSION}").mkdir(parents=True)
    (tmp_path / name).rename(place / f"download/{VERSION}" / name)
    answer = piped(server, SCRIPT, MTPROTO_RELEASE_URL=f"file://{place}")
    assert answer.code == 0 and (server.home / "current").resolve().name == VERSION, answer.told
    assert server.settings()["MTPROTO_RELEASE_URL"] == f"file://{place}"
    assert "there are no releases" in piped(server, SCRIPT, MTPROTO_RELEASE_URL="file:///nowhere").stderr


def test_a_release_with_another_checksum_or_none_is_refused(server: ServerLab, release: dict[str, str]) -> None:
    fetchable(server, release)
    for sum, message in (("0" * 64, "is not the release"), ("", "checksum of the release is missing")):
        answer = piped(server, SCRIPT, **{**release, "MTPROTO_RELEASE_SHA256": sum})
        assert answer.code == 1 and message in answer.stderr, answer.told
    assert not server.home.exists() and list((server.folder / "tmp").iterdir()) == []


def test_a_script_that_names_no_release_says_what_to_do(server: ServerLab) -> None:
    answer = piped(server, SCRIPT)
    assert answer.code == 1 and "MTPROTO_RELEASE_URL" in answer.stderr
    assert "Unpack a release" in piped(server, SCRIPT, "--local").stderr


def test_a_release_that_can_not_be_had_changes_nothing(server: ServerLab, release: dict[str, str]) -> None:
    fetchable(server, release)
    answer = piped(server, SCRIPT, **{**release, "MTPROTO_RELEASE_URL": "file:///nonexistent.tar.gz"})
    assert answer.code == 1 and "could not be fetched" in answer.stderr and not server.home.exists()


def test_a_download_that_broke_off_anywhere_does_nothing(server: ServerLab) -> None:
    """Every end of the last lines, and some of all the others."""
    lengths = [*range(0, len(SCRIPT) - 60, 997), *range(len(SCRIPT) - 60, len(SCRIPT) - 1, 2)]
    for length in lengths:
        answer = piped(server, SCRIPT[:length])
        assert answer.stdout == "", f"{length}: {answer.told}"
        # As far as it was read, it is functions only: nothing that it might have said itself.
        assert "install.sh: " not in answer.stderr, f"{length}: {answer.told}"
    assert not server.home.exists() and not os.listdir(server.folder / "tmp") and server.calls() == []
