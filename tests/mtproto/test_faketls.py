"""Handshake and records, both sides against each other and against hand-made input."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mtproto import faketls, obfuscated2
from app.mtproto.faketls import NotAHello, Refused, answer, check_hello, flight_bytes, read_hello
from app.mtproto.faketls_client import AnswerError, check_answer, client_hello, sign_hello
from app.mtproto.records import MAX_INCOMING, RecordError, RecordReader, StreamEnd, frame
from app.mtproto.secret import Secret

SECRET = Secret.generate("cover.example.com")
NOW = 1_800_000_000


def hello_with(ciphers: list[int], shares: list[int], sni: bytes = b"cover.example.com") -> bytes:
    """A small ClientHello made by hand, signed."""

    def vector(width: int, data: bytes) -> bytes:
        return len(data).to_bytes(width, "big") + data

    entries = b"".join(group.to_bytes(2, "big") + vector(2, b"k" * 32) for group in shares)
    extensions = b"\x00\x00" + vector(2, vector(2, b"\x00" + vector(2, sni)))
    extensions += b"\x00\x33" + vector(2, vector(2, entries))
    offered = b"".join(cipher.to_bytes(2, "big") for cipher in ciphers)
    body = b"\x03\x03" + bytes(32) + vector(1, b"s" * 32) + vector(2, offered) + b"\x01\x00"
    record = b"\x16\x03\x01" + vector(2, b"\x01" + vector(3, body + vector(2, extensions)))
    return sign_hello(record, SECRET.key, NOW)


def split(record: bytes, size: int) -> bytes:
    """The same hello in TLS records of `size` bytes of payload."""
    body = record[5:]
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(record[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def server_hello(data: bytes) -> tuple[bytes, int, int, int]:
    """Session id, cipher, key share group and its length of an answer."""
    at = 5 + 4 + 2 + 32
    session = data[at + 1 : at + 1 + data[at]]
    at += 1 + data[at]
    share = data.index(b"\x00\x33", at + 5)
    numbers = [int.from_bytes(data[i : i + 2], "big") for i in (at, share + 4, share + 6)]
    return session, *numbers


@pytest.mark.parametrize("post_quantum", [True, False])
def test_client_and_server_agree(post_quantum: bool) -> None:
    record = client_hello(SECRET, NOW, post_quantum)
    assert (len(record) > 1700) == post_quantum
    hello = read_hello(record + b"more")
    check_hello(hello, SECRET, NOW, 3)
    assert hello.wire_bytes == len(record)
    reply = answer(hello, SECRET.key, flight_bytes(SECRET.domain))
    assert check_answer(reply + b"rest", record, SECRET.key) == len(reply)
    session, cipher, group, length = server_hello(reply)
    assert session == hello.session_id and cipher == 0x1301
    assert (group, length) == ((0x11EC, 1120) if post_quantum else (0x001D, 32))


def test_every_part_of_a_handshake_is_waited_for() -> None:
    record = client_hello(SECRET, NOW)
    reply = answer(read_hello(record), SECRET.key, 2500)
    assert all(read_hello(record[:end]) is None for end in range(len(record)))
    assert all(check_answer(reply[:end], record, SECRET.key) is None for end in range(len(reply)))


@pytest.mark.parametrize("size", [1, 3, 100, 1000, 1400])
def test_a_hello_in_several_records_counts_as_one(size: int) -> None:
    record = client_hello(SECRET, NOW)
    wire = split(record, size)
    hello = read_hello(wire + b"rest")
    assert hello.record == record and hello.wire_bytes == len(wire)
    check_hello(hello, SECRET, NOW, 3)
    assert all(read_hello(wire[:end]) is None for end in range(0, len(wire), 7))


@pytest.mark.parametrize("offset", [-21, 21, -100_000, 2**31])
def test_a_clock_that_is_off_is_refused(offset: int) -> None:
    hello = read_hello(client_hello(SECRET, NOW))
    for within in (-20, 20):
        check_hello(hello, SECRET, NOW + within, 20)
    with pytest.raises(Refused, match="clock"):
        check_hello(hello, SECRET, NOW + offset, 20)


def test_another_key_or_name_is_refused_and_case_does_not_matter() -> None:
    hello = read_hello(client_hello(SECRET, NOW))
    with pytest.raises(Refused, match="wrong secret"):
        check_hello(hello, SECRET.rotated(), NOW, 3)
    with pytest.raises(Refused, match="unknown SNI"):
        check_hello(hello, SECRET.with_domain("other.example.com"), NOW, 3)
    shouting = Secret("faketls", SECRET.key, "COVER.example.COM")
    check_hello(read_hello(client_hello(shouting, NOW)), SECRET, NOW, 3)


@pytest.mark.parametrize("at", [11, 20, 38, 44, 300, -1])
def test_one_changed_bit_of_a_hello_is_refused(at: int) -> None:
    record = bytearray(client_hello(SECRET, NOW))
    record[at] ^= 1
    with pytest.raises((Refused, NotAHello)):
        check_hello(read_hello(record), SECRET, NOW, 3)


@given(st.lists(st.sampled_from([0x0A0A, 0x1A1A, 0xFAFA, 0x1303, 0x1302, 0xC02B]), min_size=1, max_size=8))
def test_the_answer_never_has_a_grease_cipher_and_prefers_one_that_was_offered(ciphers: list[int]) -> None:
    hello = read_hello(hello_with(ciphers, [0x1A1A, 0x1D]))
    cipher = server_hello(answer(hello, SECRET.key, 2500))[1]
    modern = [one for one in ciphers if one in (0x1301, 0x1302, 0x1303)]
    assert cipher == (modern[0] if modern else 0x1301)
    assert not faketls.is_grease(cipher)


def test_the_answer_keeps_its_size_for_one_host_name() -> None:
    sizes = set()
    for _ in range(20):
        hello = read_hello(client_hello(SECRET, NOW))
        sizes.add(len(answer(hello, SECRET.key, flight_bytes(SECRET.domain))))
    assert len(sizes) == 1
    flights = {flight_bytes(f"{number}.example.com") for number in range(300)}
    assert min(flights) >= 2300 and max(flights) < 4400 and len(flights) > 100


def test_the_replay_mark_does_not_hang_on_the_part_that_can_be_forged() -> None:
    first = read_hello(client_hello(SECRET, NOW))
    moved = bytearray(first.record)
    for index in range(39, 43):
        moved[index] ^= 0x55
    assert read_hello(moved).random[: faketls.PROOF_BYTES] == first.random[: faketls.PROOF_BYTES]


@pytest.mark.parametrize(
    "start",
    [b"GET / HTTP/1.1\r\n", b"\x16\x02", b"\x17\x03\x03", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\xff\xff",
     b"\x16\x03\x01\x00\x10\x02", b"\x16\x03\x01\x40\x00\x01\x01\x00\x00", b"\x00",
     b"\x16\x03\x01\x00\x01\x01\x15\x03"],
)  # fmt: skip
def test_what_cannot_become_a_hello_is_known_at_once(start: bytes) -> None:
    with pytest.raises(NotAHello):
        read_hello(start)


def test_an_answer_of_a_stranger_is_not_believed() -> None:
    record = client_hello(SECRET, NOW)
    reply = answer(read_hello(record), SECRET.rotated().key, 2500)
    with pytest.raises(AnswerError, match="does not know the secret"):
        check_answer(reply, record, SECRET.key)
    for start in (b"HTTP/1.1 400", b"\x15\x03\x03\x00\x02\x02\x28"):
        with pytest.raises(AnswerError):
            check_answer(start, record, SECRET.key)


@given(st.binary(max_size=60_000), st.lists(st.integers(1, 9000), max_size=40))
def test_records_give_back_what_was_framed_however_it_arrives(data: bytes, cuts: list[int]) -> None:
    stream = b"\x14\x03\x03\x00\x01\x01" + frame(data)
    reader, got, at = RecordReader(), b"", 0
    for cut in [*cuts, len(stream)]:
        got += reader.feed(memoryview(stream)[at : at + cut])
        at += cut
    assert got == data


@pytest.mark.parametrize("header", [b"\x16\x03\x03\x00\x01", b"\x17\x03\x01\x00\x01", b"GET /"])
def test_a_stream_of_anything_else_is_an_error(header: bytes) -> None:
    with pytest.raises(RecordError):
        RecordReader().feed(memoryview(header))


def test_records_may_be_as_long_as_tls_allows_and_an_alert_ends_them() -> None:
    longest = b"\x17\x03\x03" + MAX_INCOMING.to_bytes(2, "big") + b"x" * MAX_INCOMING
    assert len(RecordReader().feed(memoryview(longest))) == MAX_INCOMING
    with pytest.raises(RecordError):
        RecordReader().feed(memoryview(b"\x17\x03\x03" + (MAX_INCOMING + 1).to_bytes(2, "big")))
    with pytest.raises(StreamEnd):
        RecordReader().feed(memoryview(b"\x15\x03\x03\x00\x02\x01\x00"))


@pytest.mark.parametrize("tag", sorted(obfuscated2.TAGS))
@pytest.mark.parametrize("dc", [1, 2, 5, 203, -4, -203, 0, 10002])
@pytest.mark.parametrize("key", [b"", SECRET.key], ids=["no key", "key"])
def test_both_sides_of_obfuscated2_agree(tag: bytes, dc: int, key: bytes) -> None:
    header, near = obfuscated2.connect(tag, dc, key)
    far = obfuscated2.accept(header, key)
    assert (far.tag, far.dc, len(header)) == (tag, dc, 64)
    for length in (1, 15, 4096):
        data = bytes(range(256)) * 16
        assert far.incoming.update(near.outgoing.update(data[:length])) == data[:length]
        assert near.incoming.update(far.outgoing.update(data[:length])) == data[:length]


def test_a_header_for_another_key_is_refused() -> None:
    header, _ = obfuscated2.connect(obfuscated2.PADDED, 2, SECRET.key)
    for key in (b"", SECRET.rotated().key):
        with pytest.raises(obfuscated2.HeaderError):
            obfuscated2.accept(header, key)
    with pytest.raises(obfuscated2.HeaderError, match="64 bytes"):
        obfuscated2.accept(header[:63], SECRET.key)


def test_headers_never_start_like_another_protocol() -> None:
    for _ in range(500):
        header, _ = obfuscated2.connect(obfuscated2.ABRIDGED, 2)
        assert header[0] != 0xEF and header[:4] not in (b"GET ", b"POST", b"HEAD") and any(header[4:8])


def test_the_clock_is_read_as_little_endian_unix_time() -> None:
    record = client_hello(SECRET, time.time())
    digest = faketls.hello_digest(record, SECRET.key)
    stamp = bytes(a ^ b for a, b in zip(digest[28:], record[39:43], strict=True))
    assert abs(int.from_bytes(stamp, "little") - time.time()) < 5
