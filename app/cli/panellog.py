"""The log of a panel in the background: one file that never grows without bound."""

from __future__ import annotations

import logging
import os
import sys
import threading
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

#: At this size, `panel.log` becomes `panel.log.1`, in place of the one before.
LOG_BYTES = 5_000_000
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class PanelLog(RotatingFileHandler):
    """Writes records, and takes along what is written past `logging`: standard output and standard error."""

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        os.fchmod(stream.fileno(), 0o600)
        for standard in (1, 2):
            os.dup2(stream.fileno(), standard)
        return stream


def init(file: Path | None) -> None:
    """Log warnings and worse to this file, which standard output and error lead to from now on; to standard error
    if there is none."""
    handler = PanelLog(file, maxBytes=LOG_BYTES, backupCount=1) if file else logging.StreamHandler(sys.stderr)
    logging.basicConfig(level=logging.WARNING, format=FORMAT, handlers=[handler])
    logging.captureWarnings(True)
    # What a thread dies of is a record too, and so looked at for the file's size.
    threading.excepthook = lambda died: logging.getLogger("app").error(
        "a thread has died", exc_info=(died.exc_type, died.exc_value or died.exc_type(), died.exc_traceback))
