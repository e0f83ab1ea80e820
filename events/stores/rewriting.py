"""Rewriting a sealed segment with some of its records replaced by their hashes; swapped in whole, by rename.

Who has the old file open goes on with it; who opens the path later gets the new one. The frames keep their positions
and their chain, so nothing else in the store has to change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import pairwise

from memorygraph.events.errors import DamagedLog
from memorygraph.events.frames import FrameHeader, frame_entries, with_hashes
from memorygraph.events.stores.directory import StoreDirectory
from memorygraph.events.stores.segment_file import (
    SEGMENT_HEADER_BYTES,
    OpenFile,
    SegmentFile,
    SegmentName,
    encode_header,
    write_all,
)
from memorygraph.events.stores.segment_index import index_path

_BUFFER_BYTES = 1 << 20


def rewrite_segments(directory: StoreDirectory, positions: Collection[int], rest: Callable[[], None]) -> int:
    """Replace the records at ``positions``, all in sealed segments, by their hashes; give how many were there.

    ``rest`` is called after each frame.

    Raises:
        DamagedLog: a frame fails its check; its segment stays as it is.
        LogLocked: another process has been rewriting for long.
        StoreError: the disk fails or is full; some segments may be rewritten, others not.
    """
    replaced = 0
    with directory.rewriting():
        for name, following in pairwise(directory.segments()):
            inside = {position for position in positions if name.first <= position < following.first}
            # A takeover copies the last frame of a segment into the next one, and leaves what was written in vain.
            copied = following.epoch > name.epoch and any(position >= following.first for position in positions)
            if inside or copied:
                replaced += _rewrite_segment(directory, name, following.first - 1, inside, rest)
    return replaced


def _rewrite_segment(
    directory: StoreDirectory, name: SegmentName, last: int, positions: Collection[int], rest: Callable[[], None]
) -> int:
    """Replace records of the segment that ends at position ``last``, and drop what an earlier epoch left behind that.

    The store's rewrite lock is held: of two that rewrite one segment, the later would undo the other's work.
    """
    file = directory.open_segment(name, write=False)
    present, end = 0, SEGMENT_HEADER_BYTES
    for header, frame in _frames(file, last, rest):
        end += header.size_bytes
        if not positions_of(header).isdisjoint(positions):
            entries = frame_entries(frame, header)
            present += sum(entry.data is not None for entry in entries if entry.position in positions)
    if present or file.leftover(end):
        _swap(directory, file, last, positions, rest)
    return present


def positions_of(header: FrameHeader) -> frozenset[int]:
    """Give the positions of a frame's records."""
    return frozenset(range(header.first, header.last + 1))


def _swap(
    directory: StoreDirectory, file: SegmentFile, last: int, positions: Collection[int], rest: Callable[[], None]
) -> None:
    disk, temporary = directory.disk, f"{file.path}.tmp"
    try:
        new = OpenFile(disk, disk.create(temporary))
        offset, parts = 0, [encode_header(file.header)]
        for header, frame in _frames(file, last, rest):
            touched = not positions_of(header).isdisjoint(positions)
            parts.append(with_hashes(frame, header, positions) if touched else bytes(frame))
            if sum(map(len, parts)) >= _BUFFER_BYTES:
                offset += _write(new, parts, offset)
        _write(new, parts, offset)
        disk.sync(new.fd)
        disk.unlink(index_path(file.path))  # it is made anew
        disk.rename(temporary, file.path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to report; the next attempt overwrites the file
            disk.unlink(temporary)
        raise
    disk.sync_directory(directory.log_path)


def _write(file: OpenFile, parts: list[bytes], offset: int) -> int:
    data = b"".join(parts)
    write_all(file.disk, file.fd, data, offset)
    parts.clear()
    return len(data)


def _frames(file: SegmentFile, last: int, rest: Callable[[], None]) -> Iterator[tuple[FrameHeader, memoryview]]:
    """Give all frames of a segment that ends at position ``last``."""
    offset, position = SEGMENT_HEADER_BYTES, file.header.first
    for header, frame, start in file.frames(offset, position):
        yield header, frame
        rest()
        offset, position = start + len(frame), header.last + 1
        if position > last:
            return
    where = f"{file.path} at byte {offset}"
    raise DamagedLog(f"{where}: {file.fault_at(offset)}, of position {position}", where=where, position=position)
