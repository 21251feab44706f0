"""What nginx says of a configuration that it refuses, as ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.messages import Problem, text

_LINE = re.compile(r"\[(?:emerg|alert|crit)\] (?:\d+#\d+: )?(.+)")
_PLACE = re.compile(r"^(?P<said>.*) in (?P<path>/\S+?):(?P<line>\d+)$")
_TREE = re.compile(r"/(?:run/check|etc/nginx)/edge/(?:current|staged)/")

#: What nginx says -> what it means.
_MEANINGS = (
    (re.compile(r"key values mismatch"), "nginx.other_key"),
    (re.compile(r"cannot load certificate key"), "nginx.bad_key"),
    (re.compile(r"cannot load certificate|PEM_read_bio_X509"), "nginx.bad_certificate"),
    (re.compile(r"Permission denied"), "nginx.forbidden"),
    (re.compile(r"Address (?:already )?in use"), "nginx.port_taken"),
)


def refusal(printed: str, files: Mapping[str, bytes]) -> Problem:
    """Where and why, from what `nginx -t` printed, or what nginx logged. files: what was checked."""
    lines = [found[1].strip() for found in _LINE.finditer(printed)]
    if not lines:
        return text(printed.strip().splitlines()[-1]) if printed.strip() else Problem("nginx.says_no_more")
    placed = _PLACE.match(lines[0])
    said = _TREE.sub("", placed["said"] if placed else lines[0])
    quoted = re.search(r'"([^"]+)"', said)
    for pattern, meaning in _MEANINGS:
        if pattern.search(said):
            file = quoted[1] if quoted else Problem("nginx.some_file")
            why = Problem("nginx.means", {"meaning": Problem(meaning, {"file": file}), "said": said})
            break
    else:
        why = text(said)
    return Problem("nginx.at", {"place": _place(placed["path"], int(placed["line"]), files), "reason": why}) \
        if placed else why


def _place(path: str, line: int, files: Mapping[str, bytes]) -> Problem:
    name = _TREE.sub("", path).removeprefix("/run/check/").removeprefix("/etc/nginx/")
    lines = files.get(name, b"").decode(errors="replace").splitlines()
    shown = lines[line - 1].strip()[:80] if 0 < line <= len(lines) else ""
    place = Problem("nginx.line_shown", {"file": name, "line": line, "text": shown}) if shown else \
        Problem("nginx.line", {"file": name, "line": line})
    return Problem("nginx.own_file", {"place": place}) if name.startswith("custom.d/") else place
