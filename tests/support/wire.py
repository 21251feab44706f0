"""What the test DC and the streaming client say to each other inside ordinary MTProto frames.

A proxy relays frames without understanding them, so a test may put its own
commands into frames whose first eight bytes (the auth_key_id of a real message)
are not zero. A command is HEADER followed by `length` bytes; the three transport
framings of Telegram (abridged, intermediate, padded intermediate) carry it.
Facts: https://core.telegram.org/mtproto/mtproto-transports
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator

ABRIDGED = b"\xef\xef\xef\xef"
INTERMEDIATE = b"\xee\xee\xee\xee"
PADDED = b"\xdd\xdd\xdd\xdd"
TAGS = (ABRIDGED, INTERMEDIATE, PADDED)

MAGIC = b"MTPMTEST"
#: magic, operation, length of the bytes that follow, a 64-bit value.
HEADER = struct.Struct("<8sIIQ")

SEND = 1  #: value = how many bytes the DC shall send, as DATA
DATA = 2  #: value = offset of the following bytes in the stream; either way
END = 3  #: asks for an ACK
ACK = 4  #: value = how many bytes arrived; length 4: their CRC-32, then counting starts afresh
ECHO = 5  #: the DC sends the very same frame back
CLOSE = 6  #: the DC closes the connection

#: Bytes of an encrypted message, at least.
SHORTEST = 64

#: Length of the repeating pattern: a prime, so that no power-of-two slip goes unseen.
PERIOD = 1_048_573
_PATTERN = hashlib.shake_256(b"mtproto proxy manager test pattern").digest(PERIOD) * 2


class WireError(Exception):
    """The other side sent something that is no frame, or not the frame expected."""


def pattern(offset: int, size: int) -> bytes:
    """The `size` bytes (at most PERIOD) that belong at `offset` of every test stream."""
    start = offset % PERIOD
    return _PATTERN[start : start + size]


def pattern_crc(size: int) -> int:
    """CRC-32 of the first `size` bytes of the pattern."""
    crc = 0
    for offset in range(0, size, PERIOD):
        crc = zlib.crc32(pattern(offset, min(PERIOD, size - offset)), crc)
    return crc


def command(operation: int, value: int = 0, data: bytes = b"") -> bytes:
    """One command, padded with zeros to a multiple of four bytes as abridged frames need, and to as many as the
    shortest real message has: MTProxy passes on none that is shorter."""
    packed = HEADER.pack(MAGIC, operation, len(data), value) + data
    return packed + bytes(max(-len(packed) % 4, SHORTEST - len(packed)))


def frame(tag: bytes, payload: bytes, noise: bool = True) -> bytes:
    """`payload` in the framing named by `tag`; `noise` adds the random tail of the padded one."""
    size = len(payload)
    if tag == ABRIDGED:
        if size % 4:
            raise WireError(f"an abridged frame holds a multiple of 4 bytes, not {size}")
        words = size // 4
        if words < 0x7F:
            return bytes([words]) + payload
        return b"\x7f" + words.to_bytes(3, "little") + payload
    if tag == PADDED and noise:
        tail = os.urandom(os.urandom(1)[0] % 16)
        return struct.pack("<I", size + len(tail)) + payload + tail
    return struct.pack("<I", size) + payload


class Frames:
    """Cuts a byte stream into frames. `feed` yields each whole payload (padding included)."""

    def __init__(self, tag: bytes, limit: int = 1 << 24):
        self._abridged = tag == ABRIDGED
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while True:
                start, size = self._head(buffer, position)
                if not start or len(buffer) < start + size:
                    return
                yield bytes(memoryview(buffer)[start : start + size])
                position = start + size
        finally:
            del buffer[:position]

    def _head(self, buffer: bytearray, position: int) -> tuple[int, int]:
        """Where the payload starts and how long it is; (0, 0) while that is not known yet."""
        available = len(buffer) - position
        if self._abridged:
            if not available:
                return 0, 0
            words = buffer[position] & 0x7F  # the high bit asks for a quick acknowledgement
            if words < 0x7F:
                start, size = position + 1, words * 4
            elif available < 4:
                return 0, 0
            else:
                start = position + 4
                size = int.from_bytes(buffer[position + 1 : start], "little") * 4
        elif available < 4:
            return 0, 0
        else:
            start = position + 4
            size = int.from_bytes(buffer[position:start], "little") & 0x7FFFFFFF
        if size > self._limit:
            raise WireError(f"a frame of {size} bytes, more than the {self._limit} allowed")
        return start, size
