"""data/nginx: the folder that the panel writes and nginx reads.

A configuration is a folder of its own, never changed once it has its name; what nginx reads is where the
symlink `current` leads. Each step leaves a folder with which nginx starts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.lib import private
from app.lib.filelock import locked
from app.lib.files import sync_folder

#: current: what nginx reads. served: what it was last seen to serve. staged: what is being checked.
LINKS = ("current", "served", "staged")

#: What people look for beside them: links into `current`.
_SHOWN = ("conf.d", "stream.d")

#: Unix seconds of 1 January 2025, and of a year: when the files of the cover site were last changed.
_OLDEST, _YEAR = 1735689600, 31536000

#: Files that only the panel and its group, which nginx is in, may read.
_SECRET = ".key"


class Folder:
    """The folder at `path`; it is made when something is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.versions = path / "versions"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time changes what nginx serves. Raises OSError."""
        _make(self.path)
        with locked(self.path / "lock"):
            yield

    def prepare(self) -> None:
        """Make what people look for: the folders of theirs, and the links to what is generated."""
        for name in ("versions", "custom.d", "cover"):
            _make(self.path / name)
        for name in _SHOWN:
            if not os.path.lexists(self.path / name):
                self.link(name, f"current/{name}")

    def target(self, link: str) -> str:
        """The version that one of LINKS leads to; "" if there is none."""
        try:
            name = Path(os.readlink(self.path / link)).name
        except OSError:
            return ""
        return name if (self.versions / name).is_dir() else ""

    def holds(self, version: str, files: Mapping[str, bytes]) -> bool:
        """Whether this version is there with exactly these files."""
        root = self.versions / version
        if not version or not root.is_dir():
            return False
        try:
            present = {str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()}
            return present == set(files) and all((root / p).read_bytes() == files[p] for p in files)
        except OSError:
            return False

    def write(self, name: str, files: Mapping[str, bytes]) -> str:
        """Lay out a version; the name that it got, which begins with `name`. Raises OSError."""
        fresh = self.versions / f".new-{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            for path in sorted(files):
                _write(fresh, fresh / path, files[path])
            for folder in (fresh, *(p for p in fresh.rglob("*") if p.is_dir())):
                sync_folder(folder)
            got, number = name, 1
            while (self.versions / got).exists():
                got, number = f"{name}-{number}", number + 1
            fresh.rename(self.versions / got)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        sync_folder(self.versions)
        return got

    def link(self, name: str, target: str) -> None:
        """Make the symlink `name` lead to `target`, in one step. Raises OSError."""
        fresh = self.path / f".{name}-{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        try:
            os.replace(fresh, self.path / name)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        sync_folder(self.path)

    def point(self, name: str, version: str) -> None:
        """Make one of LINKS lead to a version; "" removes the link. Raises OSError."""
        if version:
            self.link(name, f"versions/{version}")
        else:
            (self.path / name).unlink(missing_ok=True)

    def clean(self) -> None:
        """Remove what a write left that was cut off, and every version but those in use and the one before."""
        used = {self.target(link) for link in LINKS}
        others = [p for p in self.versions.iterdir() if p.name not in used]
        kept = max((p for p in others if not p.name.startswith(".")), key=lambda p: p.stat().st_mtime, default=None)
        for version in others:
            if version != kept:
                shutil.rmtree(version, ignore_errors=True)
        for name in (*LINKS, *_SHOWN):
            for left in self.path.glob(f".{name}-[0-9]*"):
                left.unlink(missing_ok=True)

    def custom(self) -> dict[str, bytes]:
        """The operator's own server blocks: file name -> content. Raises OSError."""
        return {path.name: path.read_bytes() for path in sorted((self.path / "custom.d").glob("*.conf"))
                if not path.name.startswith(".")}


def _make(folder: Path) -> None:
    """A folder that nginx can look into, whatever the umask is; one that is there stays as it is."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _write(root: Path, path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with open(path, "xb", opener=private.opener) as file:
        # Not left to the umask: nginx's workers are another account, its master is in this one's group.
        os.fchmod(file.fileno(), 0o640 if path.name.endswith(_SECRET) else 0o644)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if path.parent != root and path.relative_to(root).parts[0] == "cover":
            # The cover site does not look changed whenever a user is.
            day = _OLDEST + int.from_bytes(hashlib.sha256(content).digest()[:4], "big") % _YEAR
            os.utime(file.fileno(), (day, day))
    for folder in path.parents:
        if folder == root.parent:
            break
        folder.chmod(0o755)
