"""A backup: one file with everything that makes an installation, for this server or another one.

It is a tar.gz with `manifest.json` (format, version, time, and the SHA-256 of each file) before config.json, panel.db,
the certificates and the cover site's files. With a passphrase, or for a public key, all of it is in the age format
(age-encryption.org/v1), which the program `age` reads, too.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from app.config.file import without_initial_password
from app.lib.clock import STEADY
from app.lib.version import version
from app.messages.refused import Refused

#: Of the file's own layout; a program refuses what it does not know.
FORMAT = 1
MANIFEST, CONFIG, LEDGER = "manifest.json", "config.json", "panel.db"
#: Folders whose files belong to the installation: keys that certificates belong to, and the cover site's pages.
FOLDERS = ("certificates", "nginx/cover")

#: How a secret key of age begins; it stands where a passphrase does.
SECRET_KEY = "AGE-SECRET-KEY-1"

_AGE = b"age-encryption.org/v1"
_MANIFEST_BYTES, _FILES = 4 * 1024**2, 10_000
_PIECE = 1024**2
#: Seconds that a data base which somebody holds is waited for.
_PATIENCE = 10.0


class ArchiveError(Refused):
    """The backup can't be made, or read. Nothing was changed."""


@dataclass(frozen=True)
class Contents:
    """A backup that was read and checked. folder: where its files lie. made_at: ISO 8601, UTC. names: of its files."""

    folder: Path
    version: str
    made_at: str
    names: tuple[str, ...]

    def bytes_of(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


def pack(data_dir: Path, path: Path, passphrase: str = "", recipient: str = "", first_password: bool = True) -> Path:
    """Write the backup of this data folder to `path`, beside a panel that goes on writing. Mode 0600.

    passphrase: "" for a file that whoever has it can read. recipient: a public key of age, for whose owner it is
    encrypted. first_password: whether a password that the panel still shows is in it; its hash is in any case.
    Raises ArchiveError; what stood at `path` is then kept.
    """
    _refuse_what_is_no_file(path)
    beside = path.with_name(f".{path.name}.new")
    try:
        with _scratch(data_dir) as folder:
            _copy_ledger(data_dir / LEDGER, folder / LEDGER)
            files = {name: _copied(where, folder / name) for name, where in _sources(data_dir) if where.is_file()}
            if (folder / LEDGER).exists():
                files[LEDGER] = folder / LEDGER
            if CONFIG not in files:
                raise ArchiveError("backup.nothing", path=str(data_dir))
            if not first_password:
                files[CONFIG].write_bytes(without_initial_password(files[CONFIG].read_bytes()))
            with open(os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w+b") as out:
                os.fchmod(out.fileno(), 0o600)
                _write(out, files)
                if passphrase:
                    _encrypt(out, passphrase)
                elif recipient:
                    _encrypt_for(out, recipient, folder / "sealed")
                out.flush()
                os.fsync(out.fileno())
        os.replace(beside, path)
    except (OSError, sqlite3.Error, ValueError, RecursionError) as error:
        raise ArchiveError("backup.failed", path=str(path), reason=_reason(error)) from None
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    return path


def size(data_dir: Path) -> int:
    """Bytes of everything that a backup of this folder holds, before it is packed. Raises OSError."""
    ledger = (data_dir / LEDGER, data_dir / f"{LEDGER}-wal")
    return sum(path.stat().st_size for path in (*(where for _, where in _sources(data_dir)), *ledger) if path.is_file())


@contextmanager
def unpacked(path: Path, data_dir: Path, passphrase: str = "") -> Iterator[Contents]:
    """The files of this backup, checked, in a folder below `data_dir` that is gone afterwards. Raises ArchiveError."""
    _refuse_what_is_no_file(path)
    with _scratch(data_dir) as folder:
        try:
            with open(path, "rb") as packed:
                contents = _read(_decrypted(packed, path, passphrase), path, folder)
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise ArchiveError("backup.unreadable", path=str(path), reason=_reason(error)) from None
        yield contents


def copy_database(source: Path, target: Path) -> None:
    """By SQLite itself, beside whoever uses either; what the target held is gone. Raises sqlite3.Error, ArchiveError.

    Python's backup() waits for a locked file without end, but asks `progress` before each new try.
    """
    until = STEADY() + _PATIENCE

    def progress(status: int, remaining: int, total: int) -> None:
        held = status & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        if held and STEADY() > until:
            raise ArchiveError("backup.held", name=target.name, seconds=_PATIENCE)

    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target, timeout=1.0)) as written:
        read.backup(written, progress=progress)


def is_encrypted(path: Path) -> bool:
    """Whether a passphrase is asked for. Raises ArchiveError."""
    _refuse_what_is_no_file(path)
    try:
        with open(path, "rb") as file:
            return file.read(len(_AGE)) == _AGE
    except OSError as error:
        raise ArchiveError("backup.unreadable", path=str(path), reason=_reason(error)) from None


def _refuse_what_is_no_file(path: Path) -> None:
    """A device would be replaced by the backup, and a pipe may be waited for without end."""
    if path.exists() and not path.is_file():
        raise ArchiveError("backup.no_file", path=str(path))


@contextmanager
def _scratch(data_dir: Path) -> Iterator[Path]:
    # On the data folder's own disk, and as closed as that: /tmp may be small, and others may look into it.
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=".backup-") as name:
        yield Path(name)


def _copy_ledger(ledger: Path, copy: Path) -> None:
    """By SQLite's own backup: the file alone lacks what stands in its -wal."""
    if ledger.exists():
        copy_database(ledger, copy)


def _copied(path: Path, copy: Path) -> Path:
    """As it is at this moment: it may be replaced while its bytes are counted."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    return copy


def _sources(data_dir: Path) -> Iterator[tuple[str, Path]]:
    yield CONFIG, data_dir / CONFIG
    for name in FOLDERS:
        for found in sorted((data_dir / name).rglob("*")):
            if not found.is_symlink():  # what it leads to may be anything of this server
                yield found.relative_to(data_dir).as_posix(), found


def _write(out: IO[bytes], files: dict[str, Path]) -> None:
    listed = {name: {"bytes": where.stat().st_size, "sha256": _digest(where)} for name, where in files.items()}
    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    manifest = json.dumps({"format": FORMAT, "version": version(), "made_at": made, "files": listed}, indent=2).encode()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        _add(tar, MANIFEST, io.BytesIO(manifest), len(manifest))
        for name, where in files.items():
            with open(where, "rb") as file:
                _add(tar, name, file, where.stat().st_size)


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    tar.addfile(info, file)


def _encrypt(out: IO[bytes], passphrase: str) -> None:
    import pyrage

    out.seek(0)
    sealed = pyrage.passphrase.encrypt(out.read(), passphrase)
    out.seek(0)
    out.write(sealed)
    out.truncate()


def _encrypt_for(out: IO[bytes], recipient: str, sealed: Path) -> None:
    """Piece by piece: nobody need have room in memory for the whole."""
    import pyrage

    out.seek(0)
    with open(sealed, "w+b") as file:
        pyrage.encrypt_io(out, file, [pyrage.x25519.Recipient.from_str(recipient)])
        file.seek(0)
        out.seek(0)
        shutil.copyfileobj(file, out, _PIECE)
        out.truncate()


def _decrypted(packed: IO[bytes], path: Path, passphrase: str) -> IO[bytes]:
    if packed.read(len(_AGE)) != _AGE:
        packed.seek(0)
        return packed
    if not passphrase:
        raise ArchiveError("backup.encrypted", path=str(path))
    import pyrage

    packed.seek(0)
    try:
        if passphrase.startswith(SECRET_KEY):
            return io.BytesIO(pyrage.decrypt(packed.read(), [pyrage.x25519.Identity.from_str(passphrase)]))
        return io.BytesIO(pyrage.passphrase.decrypt(packed.read(), passphrase))
    except (pyrage.DecryptError, pyrage.IdentityError):
        raise ArchiveError("backup.passphrase", path=str(path)) from None


def _read(packed: IO[bytes], path: Path, folder: Path) -> Contents:
    with tarfile.open(fileobj=packed, mode="r|gz") as tar:
        first = tar.next()
        if first is None or first.name != MANIFEST or not first.isreg() or first.size > _MANIFEST_BYTES:
            raise ArchiveError("backup.foreign", path=str(path))
        manifest = _manifest(_bytes(tar, first), path)
        listed: dict[str, Any] = manifest["files"]
        if sum(told["bytes"] for told in listed.values()) > shutil.disk_usage(folder).free:
            raise ArchiveError("backup.no_room", path=str(path))
        while (member := tar.next()) is not None:
            told = listed.get(member.name)
            if not member.isreg() or told is None or not _belongs(member.name) or member.size != told["bytes"]:
                raise ArchiveError("backup.damaged", path=str(path), name=member.name)
            target = folder / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            _extract(tar, member, target)
            if _digest(target) != told["sha256"]:
                raise ArchiveError("backup.damaged", path=str(path), name=member.name)
    missing = [name for name in listed if not (folder / name).is_file()]
    if missing or CONFIG not in listed:
        raise ArchiveError("backup.damaged", path=str(path), name=(missing or [CONFIG])[0])
    return Contents(folder, str(manifest.get("version")), str(manifest.get("made_at")), tuple(listed))


def _manifest(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(raw)
        number, files = manifest["format"], manifest["files"]
        sound = isinstance(number, int) and len(files) <= _FILES and all(
            isinstance(told["bytes"], int) and isinstance(told["sha256"], str) for told in files.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise ArchiveError("backup.foreign", path=str(path))
    if number > FORMAT:
        raise ArchiveError("backup.newer", path=str(path), version=str(manifest.get("version")))
    return dict(manifest)


def _belongs(name: str) -> bool:
    """Whether a file of this name can be part of a backup: none that leads out of its folder is."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        return False
    return name in (CONFIG, LEDGER) or any(name.startswith(f"{folder}/") for folder in FOLDERS)


def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member)
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
        while source and (piece := source.read(_PIECE)):
            out.write(piece)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
