"""Finding the end of a segmented log, and mending it: what is a frame, what is torn, what is damage.

Nothing here takes a lock: who calls ``cut_torn`` holds it. The *tail* is what is known of the log's end; it is
immutable, so that readers and threads always hold a consistent one.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from contextlib import suppress
from itertools import count
from operator import attrgetter
from typing import NamedTuple, Self

from memorygraph.events.errors import DamagedLog, LogFailed
from memorygraph.events.frames import HEADER_BYTES, FrameHeader, chain_after, claimed_bytes, whole_frame
from memorygraph.events.log import Head
from memorygraph.events.stores.directory import StoreDirectory
from memorygraph.events.stores.lock_file import CommitPoint
from memorygraph.events.stores.reading import next_frame
from memorygraph.events.stores.segment_file import (
    SEGMENT_HEADER_BYTES,
    OpenFile,
    SegmentFile,
    SegmentName,
    write_all,
)


class Tail(NamedTuple):
    """The log's end as known: the last segment, where its next frame goes, and the head up to there."""

    file: SegmentFile
    offset: int
    head: Head
    segments: tuple[SegmentName, ...]  # of the log, in order; the last one is ``file``
    frame_at: int  # the offset of the last frame; 0 if the segment has none yet

    @classmethod
    def before(cls, file: SegmentFile, segments: tuple[SegmentName, ...]) -> Self:
        """Give the tail before the first frame of a segment."""
        _, first, epoch, chain_before = file.header
        return cls(file, SEGMENT_HEADER_BYTES, Head(first - 1, chain_before, epoch), segments, 0)

    def after(self, head: Head, offset: int, size_bytes: int) -> Tail:
        """Give the tail behind a frame at ``offset`` of the same file that leads to ``head``."""
        return Tail(self.file, offset + size_bytes, head, self.segments, offset)

    def behind(self, header: FrameHeader, chain: bytes, offset: int) -> Tail:
        """Give the tail behind a frame at ``offset`` of the same file."""
        head = Head(header.last, chain, max(header.epoch, self.file.header.epoch))
        return self.after(head, offset, header.size_bytes)

    @property
    def point(self) -> CommitPoint:
        """The commit point of a log that is durable up to here."""
        return CommitPoint(self.segments[-1], self.frame_at, self.offset, self.head)

    @property
    def order(self) -> tuple[int, int, int]:
        """Compare tails of one log by this: the later one is further on."""
        first, epoch = self.segments[-1]
        return epoch, first, self.offset

    @property
    def where(self) -> str:
        """Name the place."""
        return f"{self.file.path} at byte {self.offset}"


def find_tail(directory: StoreDirectory, point: CommitPoint | None, *, write: bool) -> tuple[Tail, str]:
    """Find the end of a log and say what is damaged there ('' if nothing), by reading its last segment only.

    Args:
        point: up to where the log is known to be durable; if it is of the last segment, only what is behind is read.

    Raises:
        DamagedLog: not one segment can be read.
    """
    segments, damage = directory.segments(), ""
    while True:
        if not segments:
            raise DamagedLog(damage or f"{directory.log_path}: the log has no segments", where=directory.log_path)
        try:
            file = directory.open_segment(segments[-1], write=write)
        except DamagedLog as error:
            segments, damage = segments[:-1], damage or error.message
        else:
            break
    tail = Tail.before(file, segments)
    if point is not None and point.segment == segments[-1]:
        tail = _at(tail, point) or tail
    tail = through(tail)
    if not damage and point is not None and tail.head.position < point.head.position:
        damage = (
            f"{tail.where}: {tail.file.fault_at(tail.offset)}, but the log was durable up to position "
            f"{point.head.position}"
        )
    return (tail, damage) if damage else judge(directory, tail)


def at_point(directory: StoreDirectory, point: CommitPoint) -> Tail | None:
    """Give the tail at a commit point; None if the log does not say so."""
    segments = directory.segments()
    if point.segment not in segments:
        return None
    segments = segments[: segments.index(point.segment) + 1]
    return _at(Tail.before(directory.open_segment(point.segment, write=False), segments), point)


def follow(directory: StoreDirectory, tail: Tail, point: CommitPoint, *, write: bool) -> Tail:
    """Give the tail at a commit point that is not before a tail.

    Raises:
        DamagedLog: the log does not reach the point.
        LogFailed: the log no longer goes on from the tail; what was seen last was never acknowledged, and is undone.
    """
    if point.segment == tail.segments[-1]:
        base = tail
    else:
        segments = directory.segments()
        if point.segment not in segments:
            raise DamagedLog(f"{directory.segment_path(point.segment)}: this segment of the log is missing")
        segments = segments[: segments.index(point.segment) + 1]
        base = Tail.before(directory.open_segment(point.segment, write=write), segments)
    reached = _at(base, point)
    if reached is None:
        raise DamagedLog(
            f"{base.file.path} at byte {point.frame_at}: {base.file.fault_at(point.frame_at)}, but the log was durable "
            f"up to position {point.head.position}",
            position=tail.head.position + 1,
        )
    # A frame behind the tail is there now, and its chain must be the one that we know.
    chain = point.head.chain
    if point.head.position > tail.head.position:
        chain = next_frame(directory, reached.file, reached.segments, tail.head.position + 1).chain_before
    if chain != tail.head.chain:
        raise LogFailed(
            f"{tail.where}: the end of the log as it was seen last was never acknowledged, and is undone; open the "
            "memory anew"
        )
    return reached


def tail_before(directory: StoreDirectory, tail: Tail, damage: DamagedLog) -> Tail:
    """Give the tail behind the last whole frame that comes before damage.

    Raises:
        DamagedLog: there is none.
    """
    position = damage.about.get("position", 0)
    at = bisect_right(tail.segments, position, key=attrgetter("first"))
    while at and position <= tail.head.position:
        at -= 1
        with suppress(DamagedLog):
            found = Tail.before(directory.open_segment(tail.segments[at], write=False), tail.segments[: at + 1])
            found = through(found, before=position)
            if found.head.position < position:
                return found
    raise damage


def reach(directory: StoreDirectory, tail: Tail, point: CommitPoint | None, *, write: bool) -> Tail:
    """Follow the commit point, unless the tail is there or further on; raises as ``follow``."""
    if point is None or (point.segment.epoch, point.segment.first, point.offset) <= tail.order:
        return tail
    return follow(directory, tail, point, write=write)


def look_on(directory: StoreDirectory, tail: Tail, epoch: int, *, thorough: bool) -> tuple[Tail, bytes]:
    """Follow the log to its true end, under the lock, and give what is torn behind that.

    Args:
        thorough: look at everything behind the end, not only at the next bytes.

    Raises:
        DamagedLog: the next segment does not continue the log, or what is behind the end is not torn but damaged.
    """
    more = has_bytes(tail)
    while True:
        if more:
            tail = through(tail)
        following = SegmentName(tail.head.position + 1, epoch)
        if following == tail.segments[-1] or not directory.has_segment(following):
            break
        file = directory.open_segment(following, write=True)
        if file.header.chain_before != tail.head.chain:
            raise DamagedLog(f"{file.path}: the segment does not continue the log's chain", where=file.path)
        tail = Tail.before(file, (*tail.segments, following))
        more = has_bytes(tail)
    torn = tail.file.leftover(tail.offset) if thorough or (more and has_bytes(tail)) else b""
    if torn:
        tail, damage = judge(directory, tail)
        if damage:
            raise DamagedLog(damage, position=tail.head.position + 1)
    return tail, torn


def has_bytes(tail: Tail) -> bool:
    """Say whether something is written right behind a tail."""
    return bool(tail.file.read(HEADER_BYTES, tail.offset).strip(b"\0"))


def through(tail: Tail, *, before: int = sys.maxsize) -> Tail:
    """Go through the whole frames behind a tail; the chain is checked at the first and computed after the last.

    Args:
        before: do not go further than the frame before the one that holds this position.
    """
    last = None
    for header, frame, offset in tail.file.frames(tail.offset, tail.head.position + 1):
        if header.last >= before or (last is None and header.chain_before != tail.head.chain):
            break
        last = header, frame, offset
    if last is None:
        return tail
    header, frame, offset = last
    return tail.behind(header, chain_after(frame, header), offset)


def judge(directory: StoreDirectory, tail: Tail) -> tuple[Tail, str]:
    """Say whether the bytes behind a tail are damage ('' if they are not), and give the tail that was judged.

    Damage is when frames follow. As a writer finishes one frame before it begins the next, a second look past the
    first tells damage from a frame that was being written at the first.
    """
    if not _is_followed(directory, tail):
        return tail, ""
    again = through(tail)
    if again.head.position > tail.head.position:
        return judge(directory, again)
    return again, f"{again.where}: {again.file.fault_at(again.offset)} after position {again.head.position}"


def cut_torn(directory: StoreDirectory, tail: Tail, torn: bytes) -> str:
    """Copy torn bytes behind the tail aside, zero them, and give a note that says so; the log's lock is held.

    Raises:
        OSError: the disk fails or is full; it can be tried again.
    """
    disk = directory.disk
    names = (f"{tail.file.path}.torn-{tail.offset}{f'-{n}' if n else ''}" for n in count())
    path = next(name for name in names if not disk.exists(name))
    copy = OpenFile(disk, disk.create(path))
    write_all(disk, copy.fd, torn, 0)
    disk.sync(copy.fd)
    disk.sync_directory(directory.log_path)
    tail.file.erase(tail.offset, len(torn))
    tail.file.sync()
    return (
        f"{tail.where}: {len(torn)} bytes of a write that was never acknowledged were cut after position "
        f"{tail.head.position}; a copy is in {path}"
    )


def _at(base: Tail, point: CommitPoint) -> Tail | None:
    """Give the tail at a commit point in the base's segment, if the point's last frame is there and leads to its head.

    One read will do for a short frame: each system call is a moment in which another thread may take the GIL.
    """
    if not point.frame_at:
        return base if base.frame_at == 0 and base.head == point.head else None
    file, size_bytes = base.file, point.offset - point.frame_at
    if size_bytes < HEADER_BYTES:
        return None
    data = file.read(size_bytes, point.frame_at)
    header = whole_frame(data, 0, file.header.memory_id) if claimed_bytes(data, 0) == size_bytes else None
    if header is None or header.last != point.head.position or chain_after(data, header) != point.head.chain:
        return None
    return base.behind(header, point.head.chain, point.frame_at)


def _is_followed(directory: StoreDirectory, tail: Tail) -> bool:
    """Say whether there are frames of later positions behind bytes that are no frame."""
    position = tail.head.position
    if tail.file.find_frame(tail.offset, position) is not None:
        return True
    later = [name.first for name in directory.segments() if name.first > tail.segments[-1].first]
    return bool(later) and later[0] > position + 1
