"""The images that the installer would pull, on a disk of their own: the virtual machine reaches no registry.

They go by the names that Dockerfile, Dockerfile.mtg and docker-compose.yml give them, so an installer that looks
whether an image is there finds it, and builds ours on them as everywhere, with nothing fetched.

The disk holds them as Docker keeps them (FOLDER), loaded on this side, and so with the first steps of our own images
built on them (AHEAD). Inside the machine, loading takes ten minutes, and mounting nothing.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docker import images
from tests.docker.images import ROOT
from tests.server.cache import MachineFailure, command, complete, kept, one_at_a_time
from tests.server.image import ensure_bases

FOLDER, AHEAD = "docker", "docker-ahead"


def names() -> dict[str, str]:
    """The variable -> the image that it stands for, unless somebody sets it."""
    found = {}
    for file in ("Dockerfile", "Dockerfile.mtg", "docker-compose.yml"):
        found |= dict(re.findall(r"\b((?:PYTHON|MTG|BASE|NGINX|CERTBOT)_IMAGE)(?:=|:-)([^\s}]+)",
                                 (ROOT / file).read_text()))
    return found


def ensure_image() -> str:
    """The tag of the image that stands in for each of names()."""
    pinned = re.search(r"^cryptography==\S+", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[0]
    files = {"requirements.txt": (ROOT / "requirements.txt").read_bytes(),
             "ca-certificates.crt": images.trusted_certificates(), **images.engine_files()}
    return images.build("server", (Path(__file__).parent / "Dockerfile").read_text(), files,
                        {"BASE": images.ensure_base(), "CRYPTOGRAPHY": pinned}, executable=("mtg",))


def ensure_folder() -> Path:
    """A folder with the folders FOLDER and AHEAD. The first time it takes some two minutes."""
    baked, wanted = ensure_bases()[1], sorted(set(names().values()))
    # Not the engine that stands in for mtg: a disk with that of an earlier commit is as good.
    recipes = [path.read_text() for path in (
        Path(__file__), Path(__file__).parent / "Dockerfile", ROOT / "requirements.txt", images.BASES / "mtg")]
    with one_at_a_time("carried"):
        folder, there = kept("carried", repr((baked.disk, wanted, ahead(), recipes)))
        if not there:
            images.ensure_engine()
            tag = ensure_image()
            with tempfile.TemporaryDirectory(prefix="mtproto-carried-", dir="/var/tmp") as work:
                archive, client = Path(work) / "images.tar", Path(work) / "client"
                _save(tag, wanted, archive)
                _load(archive, folder / FOLDER)
                command("cp", "-a", str(folder / FOLDER), str(folder / AHEAD))
                shutil.copy(baked.root / "usr/bin/docker", client)
                _build_ahead(folder / AHEAD, client)
            complete(folder)
    return folder


def ensure_disk() -> Path:
    """The same as a disk of ext4, for a virtual machine."""
    source = ensure_folder()
    with one_at_a_time("disk"):
        folder, there = kept("disk", str(source))
        if not there:
            # A sparse file: it takes what is in it.
            command("mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", str(source), str(folder / "disk.ext4"), "8G")
            complete(folder)
    return folder / "disk.ext4"


def _save(tag: str, wanted: list[str], archive: Path) -> None:
    """`docker save` of the image, which has the names `wanted` in it instead of its own."""
    process = subprocess.Popen(["docker", "save", tag], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=process.stdout, mode="r|") as source, tarfile.open(archive, "w") as target:
        for entry in source:
            if entry.name == "repositories":
                continue  # the older list of names
            content = source.extractfile(entry) if entry.isfile() else None
            if entry.name == "manifest.json":
                manifest = json.load(content)
                manifest[0]["RepoTags"] = wanted
                data = json.dumps(manifest).encode()
                entry.size, content = len(data), io.BytesIO(data)
            target.addfile(entry, content)
    if process.wait():
        raise MachineFailure("the images could not be saved: docker save failed")


@contextmanager
def _engine(folder: Path) -> Iterator[str]:
    """The address of a Docker engine of its own, which keeps everything in `folder` and runs as long as this."""
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if not program:
        raise MachineFailure("the images are loaded by an engine of their own: apt-get install docker.io")
    with tempfile.TemporaryDirectory(prefix="mtproto-load-") as running:
        address = f"unix://{running}/socket"
        with (Path(running) / "log").open("wb") as log:
            # In a network of its own: at its start, an engine without a bridge removes the docker0 that it finds.
            engine = subprocess.Popen(
                ["unshare", "--net", program, "--data-root", str(folder), "--exec-root", f"{running}/exec",
                 "--pidfile", f"{running}/pid", "--host", address, "--storage-driver", "overlay2", "--bridge", "none",
                 "--iptables=false", "--ip-forward=false", "--ip-masq=false"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 60
            while subprocess.run(["docker", "--host", address, "version"], capture_output=True).returncode:
                if engine.poll() is not None or time.monotonic() > end:
                    raise MachineFailure(f"the engine that loads images did not start:\n"
                                         f"{(Path(running) / 'log').read_text()[-2000:]}")
                time.sleep(0.3)
            yield address
        finally:
            engine.terminate()
            engine.wait()
    for other in folder.iterdir():
        if other.name not in ("image", "overlay2"):
            shutil.rmtree(other) if other.is_dir() else other.unlink()


def _load(archive: Path, folder: Path) -> None:
    """What an engine keeps in its folder after `docker load`."""
    with _engine(folder) as address:
        command("docker", "--host", address, "load", "--input", str(archive))


def _build_ahead(folder: Path, client: Path) -> None:
    """The longest steps of Dockerfile and Dockerfile.mtg, for the engine inside to find in its cache. client: the
    guest's own, as those of different versions write the modes of files differently, and what one has built is not
    found by another."""
    with _engine(folder) as address, tempfile.TemporaryDirectory(prefix="mtproto-ahead-") as context:
        # From a folder, as the installer builds.
        shutil.copyfile(ROOT / "requirements.txt", Path(context) / "requirements.txt")
        (Path(context) / "requirements.txt").chmod(0o644)
        for number, (dockerfile, options) in enumerate(ahead()):
            (Path(context) / "Dockerfile").write_text(dockerfile)
            command(str(client), "--host", address, "build", "--network", "none", "--tag", f"ahead:{number}", *options,
                    context, env={**os.environ, "DOCKER_BUILDKIT": "0"})


def ahead() -> list[tuple[str, list[str]]]:
    """Our own Dockerfiles, each up to where the source comes into it: what is the same for every commit. With the
    options of the build: no stage may be left without a name."""
    panel, proxy = (ROOT / "Dockerfile").read_text(), (ROOT / "Dockerfile.mtg").read_text()
    panel = panel[:panel.index("COPY app ./app")]
    return [(panel, ["--target", "packages"]), (panel, []),
            (proxy[:proxy.index("ARG MTG_IMAGE", proxy.index("COPY"))], [])]
