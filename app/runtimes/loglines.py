"""The logs of many workloads as one: each line with its workload's name, ordered by time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass(frozen=True)
class Line:
    """stamp: when it was written, "2026-11-21T08:24:00.123456789Z", which sorts as text; "" if unknown."""

    stamp: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"[{self.name}] {self.text}"


def merge(logs: Mapping[str, Iterable[Line]], tail: int) -> list[Line]:
    """The last `tail` lines of all, oldest first; lines of one workload keep their order."""
    if tail <= 0:
        return []
    # By time alone: the sort is stable, and two lines of one moment stay as they were written.
    return sorted((line for name in sorted(logs) for line in logs[name]), key=lambda line: line.stamp)[-tail:]


def stamped(name: str, text: Iterable[str], last: str = "") -> list[Line]:
    """Lines of an engine's own log, which tell their time themselves: ours first thing in the
    line, mtg's as "timestamp" (milliseconds) in a JSON object. One that tells none belongs to
    the line before it; `last` is the stamp of the line before the first one.
    """
    lines = []
    for each in text:
        last = _stamp(each) or last
        lines.append(Line(last, name, each))
    return lines


def _stamp(line: str) -> str:
    if line[:1] == "{":
        try:
            moment = datetime.fromtimestamp(json.loads(line)["timestamp"] / 1000, timezone.utc)
        except (ValueError, KeyError, TypeError, OverflowError, OSError):
            return ""
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    first = line.partition(" ")[0]
    return first if first.endswith("Z") and first[:1].isdigit() and "T" in first else ""
