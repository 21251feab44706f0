"""TLS records after the handshake: taking the payload out, and putting it in."""

from __future__ import annotations

from app.mtproto.faketls import APPLICATION_DATA, CHANGE_CIPHER_SPEC

#: What a record's length field may say: 2^14 plus what TLS 1.3 allows encryption to add.
MAX_INCOMING = 16384 + 256
#: Payload of a full record that we send.
FULL_RECORD = 16384
#: Servers start with records that fit a packet, so that the first one can be used at once.
FIRST_RECORD = 1369
FIRST_RECORDS = 16
HEADER_BYTES = 5
_ALERT = 0x15


class RecordError(ValueError):
    """The stream is not made of TLS application-data records any more."""


class StreamEnd(Exception):
    """The other side ended the stream with a TLS alert."""


class RecordReader:
    """Takes the payload out of a stream of records, as it comes, without waiting for whole records."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self._skip = False

    def feed(self, data: memoryview) -> bytes | memoryview:
        """The payload bytes in this piece of the stream: a view into `data` if they lie together.

        Raises RecordError for what is no record, StreamEnd at an alert.
        """
        pieces: list[memoryview] = []
        position, size = 0, len(data)
        while position < size:
            if self._left:
                end = min(position + self._left, size)
                if not self._skip:
                    pieces.append(data[position:end])
                self._left -= end - position
                position = end
                continue
            end = position + HEADER_BYTES - len(self._header)
            header = self._header + bytes(data[position:end])
            position = min(end, size)
            if len(header) < HEADER_BYTES:
                self._header = header
                break
            self._header = b""
            self._open(header)
        if len(pieces) == 1:
            return pieces[0]
        return b"".join(pieces)

    def _open(self, header: bytes) -> None:
        kind, length = header[0], header[3] << 8 | header[4]
        if kind == _ALERT:
            raise StreamEnd
        if kind not in (APPLICATION_DATA, CHANGE_CIPHER_SPEC) or header[1] != 3 or header[2] != 3:
            raise RecordError(f"a record that starts with {header[:3].hex()}")
        if length > MAX_INCOMING:
            raise RecordError(f"a record of {length} bytes")
        self._left = length
        self._skip = kind != APPLICATION_DATA


def record_header(length: int) -> bytes:
    """Header of an application-data record with this many bytes of payload."""
    return b"\x17\x03\x03" + length.to_bytes(2, "big")


def frame(payload: bytes | memoryview) -> bytes:
    """The payload as application-data records, full ones first."""
    view = memoryview(payload)
    parts: list[bytes | memoryview] = []
    for start in range(0, len(view), FULL_RECORD):
        piece = view[start : start + FULL_RECORD]
        parts += (record_header(len(piece)), piece)
    return b"".join(parts)
