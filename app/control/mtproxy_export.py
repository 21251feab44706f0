"""MTProxy's secrets and links as files for other programs, under data/mtproxy. What is served is declared in
config.json: these follow it, and are read once only, by `mtproxy import`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from app.checks.server import server_address
from app.config import containers
from app.config.model import Config, User
from app.control.outcome import MTPROXY_EXPORT
from app.engines.base import container
from app.engines.mtproxy.engine import NAME
from app.ledger.ledger import Ledger
from app.lib import files
from app.lib.filelock import FileLock
from app.lib.version import version
from app.messages import Problem
from app.mtproto.links import tg_link
from app.mtproto.secret import PLAIN, Secret
from app.rules.links import link_port

SECRETS, LINKS = "mtproxy_secrets.json", "links"


class Export:
    """folder: data/mtproxy. read: the declaration as it is now. public_port: the one that nginx is published on."""

    def __init__(self, folder: Path, read: Callable[[], Config], ledger: Ledger, public_port: int) -> None:
        self.folder = folder
        self._read, self._ledger, self._public_port = read, ledger, public_port
        self._secrets_of: Config | None = None
        self._links_of: Config | None = None

    def follow_secrets(self) -> None:
        """Write mtproxy_secrets.json if the declaration is another one than last time. Quick; never raises OSError:
        that it failed is a problem that people are told."""
        config = self._read()
        if config is not self._secrets_of and self._noting(self._write_secrets):
            self._secrets_of = config

    def follow_links(self) -> None:
        """The same of the files of links, whose QR codes take a while where there are many."""
        config = self._read()
        if config is not self._links_of and self._noting(self._write_links):
            self._links_of = config

    def write(self) -> None:
        """Write all of it now. Raises OSError."""
        self._write_secrets(always=True)
        self._write_links()
        self._ledger.workloads.clear_problem(MTPROXY_EXPORT)

    def _noting(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except OSError as error:
            reason = Problem("mtproxy.not_exported", {"path": str(self.folder), "reason": error.strerror or error})
            self._ledger.workloads.set_problem(MTPROXY_EXPORT, reason)
            return False
        if MTPROXY_EXPORT in self._ledger.workloads.problems():
            self._ledger.workloads.clear_problem(MTPROXY_EXPORT)
        return True

    def _write_secrets(self, always: bool = False) -> None:
        if not always and not containers.users_of(self._read()) and not (self.folder / SECRETS).exists():
            return
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with FileLock(self.folder / "export.lock") as lock:
            lock.take()
            # Read again, now that nobody else writes: an older declaration must not come last.
            entries = [_entry(user) for user in containers.users_of(self._read())]
            if _written(self.folder / SECRETS) == entries:
                return
            metadata = {"last_modified": datetime.now(UTC).isoformat(timespec="seconds"), "version": version()}
            document = {"secrets": entries, "metadata": metadata}
            files.put(self.folder / SECRETS, json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")

    def _write_links(self) -> None:
        """For each user links/ID with mtproxy_link.txt and mtproxy_qr.png and .svg; those of users who have gone are
        removed."""
        folder = self.folder / LINKS
        if not containers.users_of(self._read()) and not folder.exists():
            return
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with FileLock(self.folder / "links.lock") as lock:
            lock.take()
            config = self._read()
            theirs = containers.users_of(config)
            folder.mkdir(mode=0o700, exist_ok=True)
            ids = {user.id for user in theirs}
            for gone in folder.iterdir():
                if gone.name not in ids and gone.is_dir() and not gone.is_symlink():
                    shutil.rmtree(gone)
            self._put_links(folder, theirs, config)

    def _put_links(self, folder: Path, users: Sequence[User], config: Config) -> None:
        # Only who has links to write pays for loading what draws QR codes.
        from app.mtproto.qr import qr_square, qr_svg

        server = server_address(config)[0]
        for user in users:
            here = container(NAME, user.mtproxy_container, config)
            link = tg_link(server, link_port(user, config, self._public_port, here), Secret.parse(user.secret))
            own = folder / user.id
            own.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):
                if (own / "mtproxy_link.txt").read_text() == f"{link}\n":
                    continue
            files.put(own / "mtproxy_qr.png", qr_square(link), sync=False)
            files.put(own / "mtproxy_qr.svg", qr_svg(link), sync=False)
            # The last one: where it is, the others are.
            files.put(own / "mtproxy_link.txt", f"{link}\n".encode())


def _entry(user: User) -> dict[str, object]:
    return {"value": user.secret, "padding_enabled": Secret.parse(user.secret).kind != PLAIN,
            "created_at": user.created_at.isoformat(), "active": user.enabled, "name": user.name}


def _written(path: Path) -> object:
    """The secrets that this file has; None if it is none."""
    with suppress(OSError, ValueError, RecursionError):
        document = json.loads(path.read_bytes())
        return document.get("secrets") if isinstance(document, dict) else None
    return None
