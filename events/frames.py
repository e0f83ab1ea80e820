"""The commit frame: what one sync makes durable (decision 0001, section 3). Pure functions over bytes, no I/O.

A frame is a header of 96 bytes and a body of MessagePack objects, one per record: a ``bin`` is the record's bytes, an
extension of type 1 is the SHA-256 of a record that was replaced by its hash. The checksum (crc32c) guards every byte
from offset 8 on and is looked at by every reader. The chain (SHA-256 over the chain before, five header fields and
the digests of the records) ties the frames of a log together; it survives the replacement of records by their hashes,
costs about 1 us per record, and is followed by ``verify`` and by whoever continues a log, not by plain reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from struct import Struct
from typing import Final, NamedTuple

import msgspec
from crc32c import crc32c

from memorygraph.events.errors import BatchTooLarge, DamagedLog, InputError, NewerFormat
from memorygraph.events.log import Head, LogEntry
from memorygraph.events.types import LIMITS

MAGIC: Final = b"MGF1"
HEADER_BYTES: Final = 96
FRAME_BYTES_MAX: Final = LIMITS.frame_bytes_max
DIGEST_BYTES: Final = 32
NO_CHAIN: Final = bytes(DIGEST_BYTES)
REPLACED: Final = 1  # extension type of a record that was replaced by its SHA-256
MEMORY_ID_AT: Final = 24

_HEADER: Final = Struct("<4sIIIII16sQq32sQ")
_CRC: Final = Struct("<I")
_CRC_AT: Final = 4
_CHECKED_FROM: Final = 8
_CHAINED: Final = slice(16, 56)  # count, epoch, memory id, first position, time
_RECORD_BYTES_MIN: Final = 2  # an empty ``bin``

_SHORT_ARRAY_HEADS: Final = [bytes((0x90 | count,)) for count in range(16)]

_encoder: Final = msgspec.msgpack.Encoder()
_records_decoder: Final = msgspec.msgpack.Decoder(list[bytes])
_any_decoder: Final = msgspec.msgpack.Decoder(list[object])


class FrameHeader(NamedTuple):
    """The fields of a frame's header, in their order on disk."""

    magic: bytes
    crc: int
    body_bytes: int
    flags: int
    record_count: int
    epoch: int
    memory_id: bytes
    first: int
    time_us: int
    chain_before: bytes
    reserved: int

    @property
    def last(self) -> int:
        """The position of the frame's last record."""
        return self.first + self.record_count - 1

    @property
    def size_bytes(self) -> int:
        """The length of the whole frame."""
        return HEADER_BYTES + self.body_bytes


def encode_frame(
    records: Sequence[bytes], *, memory_id: bytes, first: int, time_us: int, epoch: int, chain: bytes
) -> tuple[bytes, bytes]:
    """Encode records as one frame; give its bytes and the chain after it.

    Args:
        records: the records' bytes, at least one.
        memory_id: 16 bytes.
        first: the position of the first record.
        time_us: the time of the commit, microseconds since the Unix epoch.
        epoch: the writer's epoch.
        chain: the 32 bytes of the chain before this frame.

    Raises:
        InputError: there is no record.
        BatchTooLarge: the frame would pass 16 MiB.
    """
    frame = bytearray()
    _pack(frame, records, epoch=epoch, memory_id=memory_id, first=first, time_us=time_us, chain=chain)
    return bytes(frame), _chain(chain, frame, _digests_of(records))


def pack_frame(frame: bytearray, records: Sequence[bytes], memory_id: bytes, head: Head, time_us: int) -> None:
    """Encode records as the frame behind a head; see ``encode_frame``.

    It takes the place of what ``frame`` holds, whose memory is used again: fresh memory costs more than the encoding.
    """
    first = head.position + 1
    _pack(frame, records, epoch=head.epoch, memory_id=memory_id, first=first, time_us=time_us, chain=head.chain)


def head_behind(frame: bytes | bytearray, records: Sequence[bytes], head: Head) -> Head:
    """Compute the head behind a frame that ``pack_frame`` made of these records."""
    return Head(head.position + len(records), _chain(head.chain, frame, _digests_of(records)), head.epoch)


def with_hashes(frame: bytes | memoryview, header: FrameHeader, positions: Collection[int]) -> bytes:
    """Give a whole frame with the records at ``positions`` replaced by their SHA-256; the chain after it stays.

    Raises:
        DamagedLog: the body is not ``count`` records.
        NewerFormat: the frame carries flags that this release does not know.
    """
    items: list[bytes | msgspec.msgpack.Ext] = []
    for entry in frame_entries(frame, header):
        if entry.data is not None and entry.position not in positions:
            items.append(entry.data)
        else:
            digest = entry.digest if entry.data is None else sha256(entry.data).digest()
            items.append(msgspec.msgpack.Ext(REPLACED, digest or b""))
    whole = bytearray()
    _pack(
        whole,
        items,
        epoch=header.epoch,
        memory_id=header.memory_id,
        first=header.first,
        time_us=header.time_us,
        chain=header.chain_before,
    )
    return bytes(whole)


def _pack(
    frame: bytearray, items: Sequence[object], *, epoch: int, memory_id: bytes, first: int, time_us: int, chain: bytes
) -> None:
    """Encode a frame's header and body."""
    count = len(items)
    if not count:
        raise InputError("a commit frame needs at least one record")
    # The encoder writes "array of n" and then exactly our body: the array's head goes where the header will be.
    _encoder.encode_into(items, frame, HEADER_BYTES - len(_array_head(count)))
    if len(frame) > FRAME_BYTES_MAX:
        raise BatchTooLarge(
            f"{count} records of {len(frame) - HEADER_BYTES} bytes do not fit a commit frame of {FRAME_BYTES_MAX} "
            "bytes; write them in several commands",
            size_bytes=len(frame),
            size_bytes_max=FRAME_BYTES_MAX,
        )
    _HEADER.pack_into(
        frame, 0, MAGIC, 0, len(frame) - HEADER_BYTES, 0, count, epoch, memory_id, first, time_us, chain, 0
    )
    _CRC.pack_into(frame, _CRC_AT, crc32c(memoryview(frame)[_CHECKED_FROM:]))


def frame_header(frame: bytes | memoryview) -> FrameHeader:
    """Give the header of a frame that is known to be whole."""
    return tuple.__new__(FrameHeader, _HEADER.unpack_from(frame))  # half the time of _make


def whole_frame(data: bytes | memoryview, offset: int, memory_id: bytes) -> FrameHeader | None:
    """Give the header of that memory's frame at ``offset``; None when its bytes are not there or fail the check."""
    if len(data) - offset < HEADER_BYTES:
        return None
    header = tuple.__new__(FrameHeader, _HEADER.unpack_from(data, offset))
    end = offset + HEADER_BYTES + header.body_bytes
    if (
        header.magic != MAGIC
        or header.memory_id != memory_id
        or end > len(data)
        or header.body_bytes > FRAME_BYTES_MAX - HEADER_BYTES
        or not 0 < header.record_count <= header.body_bytes // _RECORD_BYTES_MIN
        or crc32c(memoryview(data)[offset + _CHECKED_FROM : end]) != header.crc
    ):
        return None
    return header


def claimed_bytes(data: bytes | memoryview, offset: int) -> int:
    """Say how many bytes from ``offset`` on are needed to judge what is there: a header, or the frame it announces."""
    if len(data) - offset < HEADER_BYTES:
        return HEADER_BYTES
    magic, _, body_bytes = _HEADER.unpack_from(data, offset)[:3]
    announced = magic == MAGIC and body_bytes <= FRAME_BYTES_MAX - HEADER_BYTES
    return HEADER_BYTES + body_bytes if announced else HEADER_BYTES


def fault_of(data: bytes | memoryview, offset: int, memory_id: bytes) -> str:
    """Say in a few words why the bytes at ``offset`` are not the whole frame of that memory that should be there."""
    if len(data) - offset < HEADER_BYTES:
        return "the bytes end inside a frame header"
    header = FrameHeader._make(_HEADER.unpack_from(data, offset))
    if header.magic != MAGIC:
        return "no frame starts here"
    if header.memory_id != memory_id:
        return f"the frame belongs to memory {header.memory_id.hex()}"
    if header.size_bytes > len(data) - offset:
        return "the bytes end inside a frame"
    if whole_frame(data, offset, memory_id) is not None:
        return f"the frame of position {header.first} does not belong there"
    return "the frame fails its checksum"


def require_frame(frame: bytes, memory_id: bytes) -> FrameHeader:
    """Give the header of ``frame``, which is exactly one whole frame of that memory.

    Raises:
        DamagedLog: it is not.
    """
    header = whole_frame(frame, 0, memory_id)
    if header is None:
        raise DamagedLog(f"the frame cannot be used: {fault_of(frame, 0, memory_id)}")
    if header.size_bytes != len(frame):
        raise DamagedLog(f"the frame cannot be used: {len(frame) - header.size_bytes} bytes follow it")
    return header


def require_next(header: FrameHeader, position: int, chain: bytes) -> None:
    """Check that a frame follows the head at ``position`` with ``chain``.

    Raises:
        DamagedLog: it starts at another position, or its chain is another one.
    """
    if header.first != position + 1:
        raise DamagedLog(
            f"the frame at position {header.first} does not follow position {position}",
            position=header.first,
            expected=position + 1,
        )
    if header.chain_before != chain:
        raise DamagedLog(
            f"the frame at position {header.first} does not continue the chain of this log", position=header.first
        )


def frame_entries(frame: bytes | memoryview, header: FrameHeader, *, digests: bool = False) -> list[LogEntry]:
    """Decode the records of a whole frame, with their SHA-256 if asked (of a replaced record it is always there).

    Raises:
        DamagedLog: the body is not ``count`` records.
        NewerFormat: the frame carries flags that this release does not know.
    """
    if header.flags:
        raise NewerFormat(
            f"the frame at position {header.first} uses a feature that this release does not know (flags "
            f"{header.flags:#x}); update memorygraph to read this log",
            position=header.first,
            flags=header.flags,
        )
    listed = b"".join((_array_head(header.record_count), memoryview(frame)[HEADER_BYTES:]))
    try:
        records = _records_decoder.decode(listed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return list(_mixed_entries(listed, header, digests=digests))
    if digests:
        return [LogEntry(at, data, sha256(data).digest()) for at, data in enumerate(records, header.first)]
    return [LogEntry(at, data) for at, data in enumerate(records, header.first)]


def chain_after(frame: bytes | memoryview, header: FrameHeader) -> bytes:
    """Compute the chain after a whole frame (32 bytes).

    Raises:
        DamagedLog: the body is not ``count`` records.
    """
    digests = [entry.digest or b"" for entry in frame_entries(frame, header, digests=True)]
    return _chain(header.chain_before, frame, digests)


def hashes_in(frame: bytes | memoryview, header: FrameHeader) -> int:
    """Count the records of a whole frame of which only the hash is kept."""
    return sum(entry.data is None for entry in frame_entries(frame, header))


def _mixed_entries(listed: bytes, header: FrameHeader, *, digests: bool) -> Iterator[LogEntry]:
    """Decode a body in which some records are replaced by their hashes."""
    try:
        items = _any_decoder.decode(listed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad_body(header) from error
    for at, item in enumerate(items, header.first):
        if isinstance(item, bytes):
            yield LogEntry(at, item, sha256(item).digest() if digests else None)
        elif isinstance(item, msgspec.msgpack.Ext) and item.code == REPLACED and len(bytes(item.data)) == DIGEST_BYTES:
            yield LogEntry(at, None, bytes(item.data))
        else:
            raise _bad_body(header)


def _bad_body(header: FrameHeader) -> DamagedLog:
    return DamagedLog(
        f"the frame at position {header.first} passes its checksum but does not hold {header.record_count} records",
        position=header.first,
    )


def _digests_of(records: Sequence[bytes]) -> list[bytes]:
    return [hashed.digest() for hashed in map(sha256, records)]


def _chain(before: bytes, frame: bytes | bytearray | memoryview, digests: list[bytes]) -> bytes:
    return sha256(b"".join((before, frame[_CHAINED], *digests))).digest()


def _array_head(count: int) -> bytes:
    """Give the MessagePack bytes that start an array of ``count`` objects."""
    if count < len(_SHORT_ARRAY_HEADS):
        return _SHORT_ARRAY_HEADS[count]
    if count < 1 << 16:
        return b"\xdc" + count.to_bytes(2)
    return b"\xdd" + count.to_bytes(4)
