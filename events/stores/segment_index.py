"""The index of a sealed segment: where its frames are, where it ends, and its hash, which is the chain at its end.

It is a file beside the segment, made when there is time, and only a hint: frames are checked wherever they are found,
so an index that is missing, damaged, or of the segment's earlier content costs a scan and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from struct import Struct
from typing import Final, NamedTuple

from crc32c import crc32c

from memorygraph.events.disk import Disk
from memorygraph.events.errors import DamagedLog
from memorygraph.events.frames import FrameHeader, chain_after
from memorygraph.events.stores.directory import StoreDirectory
from memorygraph.events.stores.segment_file import (
    SEGMENT_HEADER_BYTES,
    OpenFile,
    SegmentFile,
    SegmentName,
    write_all,
)

INDEX_SUFFIX: Final = ".idx"

_MAGIC: Final = b"MGIDX1\0\0"
_HEADER: Final = Struct("<8s16sQIIQQ32s")
_ENTRY: Final = Struct("<QQ")
_CRC: Final = Struct("<I")
_STEP_BYTES: Final = 64 << 10
_BREATH_BYTES: Final = 256 << 10  # after so many bytes the builder lets others have the interpreter
_BREATH_S: Final = 1e-3


class SegmentIndex(NamedTuple):
    """What an index says of the segment ``name``, whose memory is ``memory_id``.

    ``last`` is the position of its last record, ``end`` the offset behind its last frame, ``chain`` the chain up to
    there, and ``entries`` are the (offset, position) of some frames.
    """

    memory_id: bytes
    name: SegmentName
    last: int
    end: int
    chain: bytes
    entries: tuple[tuple[int, int], ...]


def index_path(segment_path: str) -> str:
    """Give the path of a segment's index."""
    return segment_path.removesuffix(".seg") + INDEX_SUFFIX


def build_index(file: SegmentFile, last: int, *, breathe: bool = False) -> SegmentIndex:
    """Read a sealed segment that ends at position ``last``, checking every frame, and give its index.

    Args:
        breathe: pause now and then, so that other threads are held up little.

    Raises:
        DamagedLog: a frame fails its check, or the segment ends early.
    """
    entries: list[tuple[int, int]] = []
    end, position, breath_at = SEGMENT_HEADER_BYTES, file.header.first, _BREATH_BYTES
    ending: tuple[FrameHeader, memoryview] | None = None
    for header, frame, offset in file.frames(end, position):
        if not entries or offset >= entries[-1][0] + _STEP_BYTES:
            entries.append((offset, position))
        ending = header, frame
        end, position = offset + len(frame), header.last + 1
        if position > last:
            break
        if breathe and end >= breath_at:
            breath_at = end + _BREATH_BYTES
            time.sleep(_BREATH_S)
    if ending is None or position != last + 1:
        where = f"{file.path} at byte {end}"
        raise DamagedLog(f"{where}: {file.fault_at(end)}, of position {position}", where=where, position=position)
    chain = chain_after(ending[1], ending[0])
    return SegmentIndex(file.header.memory_id, file.name, last, end, chain, tuple(entries))


def write_index(disk: Disk, segment_path: str, index: SegmentIndex) -> None:
    """Write an index, whole or not at all; it need not survive a power cut."""
    path = index_path(segment_path)
    first, epoch = index.name
    fields = _HEADER.pack(_MAGIC, index.memory_id, first, epoch, len(index.entries), index.last, index.end, index.chain)
    body = fields + b"".join(_ENTRY.pack(*entry) for entry in index.entries)
    temporary = f"{path}.tmp"
    try:
        file = OpenFile(disk, disk.create(temporary))
        write_all(disk, file.fd, body + _CRC.pack(crc32c(body)), 0)
        disk.rename(temporary, path)
    except OSError:
        with suppress(OSError):  # an index can be done without
            disk.unlink(temporary)
        raise


def read_index(disk: Disk, segment_path: str, memory_id: bytes, name: SegmentName, last: int) -> SegmentIndex | None:
    """Read a segment's index; None if there is none, or it is damaged or not this segment's."""
    try:
        file = OpenFile(disk, disk.open(index_path(segment_path), write=False))
        data = disk.pread(file.fd, disk.size_bytes(file.fd), 0)
    except OSError:
        return None
    body = data[: -_CRC.size]
    if len(body) < _HEADER.size or data[-_CRC.size :] != _CRC.pack(crc32c(body)):
        return None
    magic, found_id, first, epoch, count, found_last, end, chain = _HEADER.unpack_from(body)
    if (magic, found_id, first, epoch, found_last) != (_MAGIC, memory_id, *name, last):
        return None
    if len(body) != _HEADER.size + count * _ENTRY.size:
        return None
    entries = tuple((offset, position) for offset, position in _ENTRY.iter_unpack(body[_HEADER.size :]))
    return SegmentIndex(found_id, name, last, end, chain, entries)


def index_sealed(directory: StoreDirectory, segments: Sequence[SegmentName]) -> None:
    """Make the indexes of sealed segments that have none that is right.

    Raises:
        DamagedLog: a segment is damaged.
        OSError: the disk fails or is full.
    """
    for name, following in pairwise(segments):
        path, last = directory.segment_path(name), following.first - 1
        known = read_index(directory.disk, path, directory.memory_id, name, last)
        if known is None or known.chain != directory.open_segment(following, write=False).header.chain_before:
            file = directory.open_segment(name, write=False)
            write_index(directory.disk, path, build_index(file, last, breathe=True))
