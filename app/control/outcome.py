"""What came of one action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.control.records import document
from app.messages import Problem

#: What the audit log says of an action that failed.
FAILED = {
    "create": "proxy.create_failed", "adopt": "proxy.adopt_failed", "start": "proxy.start_failed",
    "replace": "proxy.replace_failed", "update": "proxy.update_failed", "stop": "proxy.stop_failed",
    "remove": "proxy.remove_failed", "throttle": "throttle.set_failed", "unthrottle": "throttle.lift_failed",
    "limit": "addresses.limit_failed", "unlimit": "addresses.unlimit_failed", "refuse": "proxy.refused",
}

#: What stands for the backups by schedule where workloads are told by their names.
BACKUPS = "backups"
#: The same of Telegram's files for MTProxy.
TELEGRAM_FILES = "telegram-files"
#: And of the files that MTProxy's secrets are written into for other programs.
MTPROXY_EXPORT = "mtproxy-export"


@dataclass(frozen=True)
class Outcome:
    """One action that was carried out, or failed. action: create, adopt, start, replace, update, stop, remove,
    throttle, unthrottle, limit, unlimit (of addresses), refuse, serve (by nginx) or certificate. name: the workload,
    or what else was acted on. user: the user's name, "" when unknown. user_id: whose link the workload serves, "" for
    nobody's.
    reason: why it failed."""

    action: str
    name: str
    user: str
    ok: bool
    reason: Problem | None = None
    seconds: float = 0.0
    user_id: str = ""

    def to_json(self) -> dict[str, Any]:
        return document(self)
