"""Secrets in text that others have written, such as an engine's log: hidden before it is shown or kept."""

from __future__ import annotations

import re

#: Anything that is called a secret: in a link, in a file, in JSON. Keys in hex, with what may follow them, and secrets
#: in base64, which begin with ee or dd, but no host names. Some that are none are hidden, too, such as fingerprints.
_SECRET = re.compile(
    r"""(?P<named>\bsecret["']?\s{0,3}(?:=|:|%3[dD])\s{0,3}["']?)[\w+/=%-]{16,}
    |(?<![0-9A-Za-z])[0-9A-Fa-f]{32,}(?![G-Zg-z])
    |(?<![\w+/-])(?![\w-]+\.[a-z])(?:7[g-v]|3[Q-Za-f])[\w+/-]{20,}={0,2}""", re.VERBOSE)
HIDDEN = "…"


def mask(text: str) -> str:
    """The text with "…" for every secret, whosever it is."""
    return _SECRET.sub(lambda found: f"{found['named'] or ''}{HIDDEN}", text)
