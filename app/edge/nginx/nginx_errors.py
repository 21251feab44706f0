"""What nginx says of a configuration that it refuses, for people. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LINE = re.compile(r"\[(?:emerg|alert|crit)\] (?:\d+#\d+: )?(.+)")
_PLACE = re.compile(r"^(?P<said>.*) in (?P<path>/\S+?):(?P<line>\d+)$")
_TREE = re.compile(r"/(?:run/check|etc/nginx)/edge/(?:current|staged)/")

#: What nginx says -> what it means; {0}: the file, {1}: nginx's own words.
_MEANINGS = (
    (re.compile(r"key values mismatch"), "the key {0} does not belong to its certificate"),
    (re.compile(r"cannot load certificate key"), "the key {0} can't be read"),
    (re.compile(r"cannot load certificate|PEM_read_bio_X509"), "the certificate {0} can't be read"),
    (re.compile(r"Permission denied"), "nginx may not read {0}; its account needs the panel's group (group_add)"),
    (re.compile(r"Address (?:already )?in use"), "the port is taken"),
)


def refusal(printed: str, files: Mapping[str, bytes]) -> str:
    """Where and why, from what `nginx -t` printed, or what nginx logged. files: what was checked."""
    lines = [found[1].strip() for found in _LINE.finditer(printed)]
    if not lines:
        return printed.strip().splitlines()[-1] if printed.strip() else "it says no more"
    placed = _PLACE.match(lines[0])
    said = _TREE.sub("", placed["said"] if placed else lines[0])
    where = _where(placed["path"], int(placed["line"]), files) if placed else ""
    quoted = re.search(r'"([^"]+)"', said)
    for pattern, meaning in _MEANINGS:
        if pattern.search(said):
            return f"{where}{meaning.format(quoted[1] if quoted else 'a file')} (nginx: {said})"
    return f"{where}{said}"


def _where(path: str, line: int, files: Mapping[str, bytes]) -> str:
    name = _TREE.sub("", path).removeprefix("/run/check/").removeprefix("/etc/nginx/")
    text = files.get(name, b"").decode(errors="replace").splitlines()
    shown = f" ({text[line - 1].strip()[:80]})" if 0 < line <= len(text) and text[line - 1].strip() else ""
    own = "your own file " if name.startswith("custom.d/") else ""
    return f"{own}{name}, line {line}{shown}: "
