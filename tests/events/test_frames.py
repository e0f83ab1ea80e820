from __future__ import annotations

from hashlib import sha256

import msgpack
import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.events import frames as frames_module
from memorygraph.events.errors import BatchTooLarge, DamagedLog, InputError, MemoryGraphError, NewerFormat
from memorygraph.events.frames import (
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    NO_CHAIN,
    chain_after,
    claimed_bytes,
    encode_frame,
    fault_of,
    frame_entries,
    require_frame,
    require_next,
    whole_frame,
)

MEMORY_ID = bytes(range(16))
RECORDS = [b"one", b"", b"three" * 100]


def encoded(records: list[bytes], *, first: int = 1, chain: bytes = NO_CHAIN) -> tuple[bytes, bytes]:
    return encode_frame(records, memory_id=MEMORY_ID, first=first, time_us=-5, epoch=3, chain=chain)


def rebuilt(frame: bytes, body: bytes, *, flags: int = 0, count: int | None = None) -> bytes:
    """Put another body under a frame's header, with a checksum that fits."""
    counted = frame[16:20] if count is None else count.to_bytes(4, "little")
    rest = len(body).to_bytes(4, "little") + flags.to_bytes(4, "little") + counted + frame[20:HEADER_BYTES] + body
    return frame[:4] + crc32c(rest).to_bytes(4, "little") + rest


def test_the_header_is_laid_out_as_decided():
    frame, _ = encoded(RECORDS, first=7, chain=b"c" * 32)
    body = msgpack.packb(b"one") + msgpack.packb(b"") + msgpack.packb(b"three" * 100)
    fields = [
        (0, b"MGF1"),
        (4, crc32c(frame[8:]).to_bytes(4, "little")),
        (8, len(body).to_bytes(4, "little")),
        (12, bytes(4)),
        (16, b"\3\0\0\0"),
        (20, b"\3\0\0\0"),
        (24, MEMORY_ID),
        (40, b"\7" + bytes(7)),
        (48, (-5).to_bytes(8, "little", signed=True)),
        (56, b"c" * 32),
        (88, bytes(8)),
        (96, body),
    ]
    assert frame == b"".join(value for _, value in fields)
    assert all(frame.startswith(value, offset) for offset, value in fields)


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=40), st.integers(1, 2**60), st.binary(max_size=20))
def test_what_is_encoded_is_decoded(records, first, before):
    frame, chain = encoded(records, first=first)
    header = whole_frame(before + frame + b"\0\1\2", len(before), MEMORY_ID)
    assert header is not None
    assert (header.first, header.last, header.size_bytes) == (first, first + len(records) - 1, len(frame))
    assert header == require_frame(frame, MEMORY_ID)
    entries = frame_entries(frame, header)
    assert [(entry.position, entry.data) for entry in entries] == list(enumerate(records, first))
    assert {entry.digest for entry in entries} == {None}
    digests = [entry.digest for entry in frame_entries(memoryview(frame), header, digests=True)]
    assert digests == [sha256(record).digest() for record in records]
    assert chain_after(frame, header) == chain


@pytest.mark.parametrize("count", [15, 16, 255, 256, 65_535, 65_536])
def test_any_count_of_records(count):
    records = [b"%d" % n for n in range(count)]
    frame, chain = encoded(records)
    header = require_frame(frame, MEMORY_ID)
    assert [entry.data for entry in frame_entries(frame, header)] == records
    assert chain_after(frame, header) == chain


def undetected_flips(frame: bytes) -> int:
    undetected = 0
    for bit in range(len(frame) * 8):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        undetected += whole_frame(flipped, 0, MEMORY_ID) is not None
    return undetected


def test_every_flipped_bit_is_detected():
    assert undetected_flips(encoded(RECORDS)[0]) == 0


def test_a_checksum_of_the_header_only_would_be_noticed(monkeypatch):
    real = frames_module.crc32c
    monkeypatch.setattr(frames_module, "crc32c", lambda data: real(data[:88]))
    assert undetected_flips(encoded(RECORDS)[0]) > 0


def test_every_truncation_is_detected():
    frame, _ = encoded(RECORDS)
    for size in range(len(frame)):
        assert whole_frame(frame[:size], 0, MEMORY_ID) is None
        assert whole_frame(frame[:size].ljust(len(frame), b"\0"), 0, MEMORY_ID) is None
        assert claimed_bytes(frame[:size], 0) == (HEADER_BYTES if size < HEADER_BYTES else len(frame))


def test_a_replaced_record_keeps_the_chain():
    frame, chain = encoded(RECORDS)
    digest = sha256(RECORDS[1]).digest()
    body = msgpack.packb(RECORDS[0]) + msgpack.packb(msgpack.ExtType(1, digest)) + msgpack.packb(RECORDS[2])
    replaced = rebuilt(frame, body)
    header = require_frame(replaced, MEMORY_ID)
    entries = frame_entries(replaced, header)
    assert [entry.data for entry in entries] == [RECORDS[0], None, RECORDS[2]]
    assert [entry.digest for entry in entries] == [None, digest, None]
    assert chain_after(replaced, header) == chain
    forged = rebuilt(frame, body.replace(digest, bytes(32)))
    assert chain_after(forged, require_frame(forged, MEMORY_ID)) != chain


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"\xc4\x01a", 2),
        (b"\xc4\x01a\xc4\x01b", 1),
        (b"\xa1a", 1),
        (b"\xc4\x09a", 1),
        (b"\xff\xff", 1),
        (msgpack.packb(msgpack.ExtType(2, bytes(32))), 1),
        (msgpack.packb(msgpack.ExtType(1, bytes(31))), 1),
        (b"\x91" * 5000 + b"\xc0", 1),
        (b"\xa2\xff\xff", 1),
        (b"\xc4\x01a\xd9\x01\xff", 2),
    ],
)
def test_a_body_that_is_no_list_of_records(body, count):
    frame = rebuilt(encoded([b"a"])[0], body, count=count)
    header = whole_frame(frame, 0, MEMORY_ID)
    if header is not None:
        with pytest.raises(DamagedLog, match="position 1"):
            frame_entries(frame, header)
        with pytest.raises(DamagedLog):
            chain_after(frame, header)


@pytest.mark.parametrize("count", [0, 3, 2**32 - 1])
def test_a_count_that_cannot_be(count):
    frame = rebuilt(encoded([b"a", b""])[0], b"\xc4\x00", count=count)
    assert whole_frame(frame, 0, MEMORY_ID) is None


@given(st.binary(max_size=300), st.integers(0, 5))
def test_any_bytes_as_a_body_give_records_or_our_error(body, count):
    frame = rebuilt(encoded([b"a"])[0], body, count=count)
    header = whole_frame(frame, 0, MEMORY_ID)
    if header is None:
        return
    try:
        assert len(frame_entries(frame, header)) == count
    except MemoryGraphError as error:
        assert "does not hold" in str(error)  # noqa: PT017 - both outcomes are right


def test_flags_of_a_newer_release():
    frame = rebuilt(encoded([b"a"])[0], b"\xc4\x01a", flags=1)
    with pytest.raises(NewerFormat, match="update memorygraph"):
        frame_entries(frame, require_frame(frame, MEMORY_ID))


def test_limits():
    assert len(encoded([bytes(FRAME_BYTES_MAX - HEADER_BYTES - 5)])[0]) == FRAME_BYTES_MAX
    with pytest.raises(BatchTooLarge) as caught:
        encoded([bytes(FRAME_BYTES_MAX - HEADER_BYTES - 4)])
    assert caught.value.about["size_bytes"] == FRAME_BYTES_MAX + 1
    with pytest.raises(InputError):
        encoded([])


def test_only_the_next_frame_follows():
    frame, chain = encoded([b"a", b"b"])
    header = require_frame(encoded([b"c"], first=3, chain=chain)[0], MEMORY_ID)
    require_next(header, 2, chain)
    with pytest.raises(DamagedLog, match="does not follow position 1"):
        require_next(header, 1, chain)
    with pytest.raises(DamagedLog, match="chain"):
        require_next(header, 2, NO_CHAIN)
    with pytest.raises(DamagedLog, match="1 bytes follow"):
        require_frame(frame + b"\0", MEMORY_ID)


def test_faults_are_named():
    frame, _ = encoded(RECORDS)
    flipped = frame[:-1] + b"?"
    assert fault_of(b"", 0, MEMORY_ID) == "the bytes end inside a frame header"
    assert fault_of(bytes(200), 0, MEMORY_ID) == "no frame starts here"
    assert fault_of(frame, 0, bytes(16)) == f"the frame belongs to memory {MEMORY_ID.hex()}"
    assert fault_of(frame[:-1], 0, MEMORY_ID) == "the bytes end inside a frame"
    assert fault_of(flipped, 0, MEMORY_ID) == "the frame fails its checksum"
    assert fault_of(frame, 0, MEMORY_ID) == "the frame of position 1 does not belong there"
