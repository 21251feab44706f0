"""Which version of the program this is."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


@cache
def version() -> str:
    """"v1.2.3": of the image, of the release's archive, or of the commit that is checked out; else "unknown"."""
    return os.environ.get("MTPROTO_VERSION") or _of_release() or _of_commit() or "unknown"


def _of_release() -> str:
    try:
        return (_ROOT / "VERSION").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _of_commit() -> str:
    if not (_ROOT / ".git").exists():
        return ""
    try:
        asked = subprocess.run(["git", "-C", str(_ROOT), "describe", "--tags", "--always", "--dirty"],
                               capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
