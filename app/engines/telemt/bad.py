"""Causes of connections that telemt turned away, by its class in telemt_connections_bad_by_class_total (3.4.25)."""

from __future__ import annotations

from app.engines.base import ADDRESSES
from app.messages import Problem

#: What it was, and what to do, by class. Several classes have one cause.
_CAUSES = {
    "tls_handshake_bad_client": ("bad.no_key", "bad.no_key.do"),
    "tls_mtproto_bad_client": ("bad.no_mtproto", "bad.no_mtproto.do"),
    "tls_clienthello_read_error": ("bad.cut_hello", "bad.cut_hello.do"),
    "tls_clienthello_truncated": ("bad.cut_hello", "bad.cut_hello.do"),
    "tls_clienthello_len_out_of_bounds": ("bad.odd_hello", "bad.odd_hello.do"),
    "unknown_tls_sni": ("bad.unknown_name", "bad.unknown_name.do"),
    "proxy_protocol_untrusted": ("bad.past_nginx", "bad.past_nginx.do"),
    "proxy_protocol_invalid_header": ("bad.no_header", "bad.no_header.do"),
    "proxy_protocol_header_timeout": ("bad.no_header", "bad.no_header.do"),
    "direct_modes_disabled": ("bad.no_tls", "bad.no_tls.do"),
    "direct_mtproto_bad_client": ("bad.noise", "bad.noise.do"),
    # No class of telemt's: its log alone tells.
    ADDRESSES: ("bad.too_many_addresses", "bad.too_many_addresses.do"),
}


def cause(reason: str) -> tuple[Problem, Problem]:
    """What connections of this class were, and what to do about them."""
    if reason in _CAUSES:
        what, todo = _CAUSES[reason]
        return Problem(what), Problem(todo)
    return Problem("bad.other", {"reason": reason}), Problem("bad.other.do")
