"""What lines of telemt's log tell of a connection that it turned away (3.4.25)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from app.engines.base import ADDRESSES
from app.engines.telemt.bad import cause
from app.messages import Problem

#: How lines begin, and the class of what they tell. Most stand in the more detailed log only.
_LINES = {
    "Invalid PROXY protocol header": "proxy_protocol_invalid_header",
    "PROXY protocol header timeout": "proxy_protocol_header_timeout",
    "Rejecting PROXY protocol header from untrusted source": "proxy_protocol_untrusted",
    "TLS handshake too short": "tls_clienthello_len_out_of_bounds",
    "TLS handshake length out of bounds": "tls_clienthello_len_out_of_bounds",
    "TLS ClientHello body read failed": "tls_clienthello_read_error",
    "Truncated in-range TLS ClientHello": "tls_clienthello_truncated",
    "TLS handshake rejected by unknown SNI policy": "unknown_tls_sni",
    "TLS handshake validation failed": "tls_handshake_bad_client",
    "Valid TLS but invalid MTProto handshake": "tls_mtproto_bad_client",  # older than 3.4.25
    "Authenticated TLS session failed MTProto validation": "tls_mtproto_bad_client",
    "MTProto handshake: no matching user found": "tls_mtproto_bad_client",
    "handshake validation failed": "tls_mtproto_bad_client",
    "Non-TLS modes disabled": "direct_modes_disabled",
    "IP limit exceeded": ADDRESSES,
}
_REPLAYS = ("TLS replay attack detected", "MTProto replay attack detected")
_REFUSED = re.compile(r"^(\S+Z) +WARN telemt[\w:]*: IP limit exceeded user=([0-9a-f]{12}) ", re.MULTILINE)
_TEXT = re.compile(r"^\S+Z +[A-Z]+ telemt[\w:]*: (.*)")


def explain(line: str) -> tuple[Problem, Problem] | None:
    """See Engine.explain()."""
    found = _TEXT.match(line)
    if not found:
        return None
    if found[1].startswith(_REPLAYS):
        return Problem("bad.replay"), Problem("bad.replay.do")
    reason = next((reason for text, reason in _LINES.items() if found[1].startswith(text)), "")
    return cause(reason) if reason else None


def refused(log: str) -> Sequence[tuple[float, str]]:
    """See Engine.refused()."""
    found = []
    for at, link in _REFUSED.findall(log):
        with suppress(ValueError):
            found.append((datetime.fromisoformat(at).timestamp(), link))
    return found
