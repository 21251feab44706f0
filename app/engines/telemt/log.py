"""What telemt's log says of trouble. A line: 2026-11-28T00:28:00.541573Z  WARN telemt::module: text key=value"""

from __future__ import annotations

import re
from datetime import datetime

from app.messages import Problem

_LINE = re.compile(r"^(\d{4}-\d\d-\d\dT[\d:.]+Z) +(?:ERROR|WARN) telemt::[\w:]+: (.*)$", re.MULTILINE)
_REFUSED = re.compile(r'config reload: (?:failed to parse "[^"]*"|validation failed): (.*)')
_NOT_FETCHED = re.compile(r"TLS-front fetch not ready within timeout.* domain=(\S+)")

_LONGEST = 200  # characters of a reason that are shown
#: Docker may note a start later than the first line that was logged (seconds).
_SLACK = 1.0


def findings(log: str, started_at: float = 0.0) -> list[Problem]:
    """See Engine.findings(). Only the first line of what telemt says of a file: the next may have a key in it."""
    said = [text for at, text in _LINE.findall(log) if datetime.fromisoformat(at).timestamp() >= started_at - _SLACK]
    refused = [match[1] for text in said if (match := _REFUSED.match(text))]
    names = dict.fromkeys(match[1] for text in said if (match := _NOT_FETCHED.match(text)))
    found = [Problem("telemt.file_refused", {"reason": refused[-1][:_LONGEST]})] if refused else []
    if names:
        found.append(Problem("telemt.not_imitated", {"domain": next(iter(names)), "count": len(names)}))
    return found
