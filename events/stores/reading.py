"""Reading a segmented log between two positions, frame by frame, each checked."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

from memorygraph.events.errors import DamagedLog
from memorygraph.events.frames import FrameHeader, frame_entries
from memorygraph.events.log import LogEntry
from memorygraph.events.stores.directory import StoreDirectory
from memorygraph.events.stores.segment_file import SegmentFile, SegmentName
from memorygraph.events.stores.segment_index import read_index


def frames_between(
    directory: StoreDirectory, newest: SegmentFile, segments: Sequence[SegmentName], first: int, last: int
) -> Iterator[tuple[FrameHeader, memoryview]]:
    """Give the frames that hold the positions first..last of the log.

    Args:
        newest: the last segment, open.
        segments: of the log, in order; the last one is ``newest``.

    Raises:
        DamagedLog: on reaching bytes that fail their check.
    """
    at = max(bisect_right(segments, first, key=attrgetter("first")) - 1, 0)
    while first <= last:
        is_newest = at == len(segments) - 1
        stop = last if is_newest else min(last, segments[at + 1].first - 1)
        if first < segments[at].first:
            raise DamagedLog(f"{directory.path}: the segment of position {first} is missing", position=first)
        if is_newest:
            yield from _newest_frames(directory, newest, first, stop)
        else:
            yield from _sealed_frames(directory, segments[at], segments[at + 1].first - 1, first, stop)
        first = stop + 1
        at += 1


def entries_between(
    directory: StoreDirectory, newest: SegmentFile, segments: Sequence[SegmentName], first: int, last: int
) -> Iterator[LogEntry]:
    """Give the records at positions first..last; otherwise as ``frames_between``."""
    for header, frame in frames_between(directory, newest, segments, first, last):
        entries = frame_entries(frame, header)
        yield from entries[max(first - header.first, 0) : last + 1 - header.first]


def next_frame(
    directory: StoreDirectory, newest: SegmentFile, segments: Sequence[SegmentName], position: int
) -> FrameHeader:
    """Give the header of the frame that holds a position."""
    return next(frames_between(directory, newest, segments, position, position))[0]


def _newest_frames(
    directory: StoreDirectory, file: SegmentFile, first: int, last: int
) -> Iterator[tuple[FrameHeader, memoryview]]:
    """Give frames of the last segment as we know it.

    It may be sealed and rewritten by others while our file was at rest, and then open as another file than the one we
    know our way in: so it is opened anew before anything is called damaged.
    """
    try:
        for header, frame in _frames(file, first, last):
            yield header, frame
            first = header.last + 1
    except DamagedLog:
        yield from _frames(directory.open_segment(file.name, write=False), first, last)


def _sealed_frames(
    directory: StoreDirectory, name: SegmentName, end: int, first: int, last: int
) -> Iterator[tuple[FrameHeader, memoryview]]:
    """Give frames of a segment that ends at position ``end``; its index says where to start, if it is right."""
    file = directory.open_segment(name, write=False)
    if first > name.first:
        index = read_index(directory.disk, file.path, file.header.memory_id, name, end)
        if index is not None:
            file.knows(index.entries)
    try:
        for header, frame in _frames(file, first, last):
            yield header, frame
            first = header.last + 1
    except DamagedLog:
        yield from _frames(directory.open_segment(name, write=False), first, last)


def _frames(file: SegmentFile, first: int, last: int) -> Iterator[tuple[FrameHeader, memoryview]]:
    offset, position = file.waypoint(first)
    while position <= last:
        for header, frame, start in file.frames(offset, position):
            if header.last >= first:
                yield header, frame
            offset, position = start + len(frame), header.last + 1
            if position > last:
                return
        where = f"{file.path} at byte {offset}"
        raise DamagedLog(f"{where}: {file.fault_at(offset)}, of position {position}", where=where, position=position)
