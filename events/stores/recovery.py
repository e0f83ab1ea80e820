"""Finding the end of a segmented log, and mending it: what is a frame, what is torn, what is damage.

Who calls ``judge``, ``settle`` or ``cut_torn`` holds the lock. The *tail* is what is known of the log's end; it is
immutable, so that readers and threads always hold a consistent one.
"""

from __future__ import annotations

from itertools import count
from typing import Final, NamedTuple, Self

from memorygraph.events.errors import DamagedLog, LogFailed
from memorygraph.events.frames import HEADER_BYTES, chain_after
from memorygraph.events.log import Head
from memorygraph.events.stores.directory import StoreDirectory, named_errors
from memorygraph.events.stores.lock_file import Mark, locked_if_free
from memorygraph.events.stores.segment_file import (
    SEGMENT_HEADER_BYTES,
    SEGMENT_MAGIC,
    OpenFile,
    SegmentFile,
    write_all,
)

_SEAL_BYTES: Final = 8  # magic and checksum: enough to recognise a frame
_NEAR_BYTES: Final = 16 << 10
POSITION_MAX: Final = (1 << 63) - 1


class Tail(NamedTuple):
    """The log's end as known: the last segment, where its next frame goes, and the head up to there."""

    file: SegmentFile
    offset: int
    head: Head
    firsts: tuple[int, ...]  # of the segments, rising; the last one is ``file``'s
    seal: tuple[int, bytes]  # where the last frame is (or the segment's header), and its first bytes

    @classmethod
    def before(cls, file: SegmentFile, firsts: tuple[int, ...]) -> Self:
        """Give the tail before the first frame of a segment."""
        _, first, epoch, chain_before = file.header
        return cls(file, SEGMENT_HEADER_BYTES, Head(first - 1, chain_before, epoch), firsts, (0, SEGMENT_MAGIC))

    def behind(self, frame: bytes | memoryview, offset: int, head: Head) -> Tail:
        """Give the tail behind a frame at ``offset`` of the same file."""
        return Tail(self.file, offset + len(frame), head, self.firsts, (offset, bytes(frame[:_SEAL_BYTES])))

    @property
    def durable(self) -> Mark:
        """The mark that says that the log is durable up to here."""
        return Mark(self.head.position, self.firsts[-1], self.head.chain)

    @property
    def where(self) -> str:
        """Name the place."""
        return f"{self.file.path} at byte {self.offset}"


def find_end(directory: StoreDirectory, *, write: bool) -> tuple[Tail, str]:
    """Find the end of what is durable by reading the last segment only; say what is damaged there ('' if nothing).

    Raises:
        DamagedLog: not one segment can be read.
        StoreError: the disk fails.
    """
    firsts = directory.segment_firsts()
    damage = ""
    while firsts:
        try:
            tail = Tail.before(directory.open_segment(firsts[-1], write=write), firsts)
        except DamagedLog as error:
            firsts, damage = firsts[:-1], damage or error.message
        else:
            return (through(tail), damage) if damage else look_at_durable(directory, tail, write=write)
    raise DamagedLog(damage or f"{directory.log_path}: the log has no segments", where=directory.log_path)


def look_on(directory: StoreDirectory, tail: Tail, *, write: bool, upto: int = POSITION_MAX) -> tuple[Tail, bool]:
    """Follow the log from a tail to its present end; say whether bytes that are no whole frame are behind it.

    With ``upto`` it goes no further than that position, and what is behind may be whole frames.

    Raises:
        DamagedLog: the next segment does not continue the log.
        LogFailed: the last frame known is no longer there (its writer could not sync it and took it back).
    """
    more = _look_behind(tail)
    while True:
        if more:
            tail = through(tail, upto)
        first = tail.head.position + 1
        if first == tail.firsts[-1] or not directory.has_segment(first):
            return tail, more and _has_bytes(tail)
        file = directory.open_segment(first, write=write)
        if file.header.chain_before != tail.head.chain:
            raise DamagedLog(f"{file.path}: the segment does not continue the log's chain", where=file.path)
        tail = Tail.before(file, (*tail.firsts, first))
        more = _has_bytes(tail)


def look_at_durable(directory: StoreDirectory, tail: Tail, *, write: bool) -> tuple[Tail, str]:
    """Follow the log from a tail to the end of what is durable, without holding the lock; say what is damaged there.

    What is behind the mark is shown only if nobody is writing, and synced first. Only then is it judged, too: bytes
    that are being written are no damage.

    Raises:
        DamagedLog, LogFailed: as ``look_on``.
        StoreError: the disk fails.
    """
    following = tail.head.position + 1
    if not _look_behind(tail) and (following == tail.firsts[-1] or not directory.has_segment(following)):
        return tail, ""
    with (
        named_errors(directory.path, "read the log"),
        locked_if_free(directory.disk, directory.lock_path) as (mark, is_idle),
    ):
        reached, behind = look_on(directory, tail, write=write, upto=mark.position)
        if not behind or not is_idle:
            return reached, ""
        found, behind = look_on(directory, reached, write=write)
        if found.head != reached.head:
            found.file.sync()
        return found, judge(directory, found) if behind else ""


def judge(directory: StoreDirectory, tail: Tail) -> str:
    """Say what is damaged behind a tail: bytes that are no frame, followed by frames; '' if they are only torn.

    The lock is held, so that nobody is writing there.
    """
    if not _is_followed(directory, tail):
        return ""
    return f"{tail.where}: {tail.file.fault_at(tail.offset)} after position {tail.head.position}"


def settle(tail: Tail) -> None:
    """Make the last frame durable, which somebody else wrote who died before saying so; the lock is held.

    It is written again before the sync: after a failed sync, Linux takes bytes for written that never were.

    Raises:
        OSError: the disk fails.
    """
    offset, _ = tail.seal
    tail.file.write(tail.file.read(tail.offset - offset, offset), offset)
    tail.file.sync()


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


def _look_behind(tail: Tail) -> bool:
    """Say whether there are bytes behind the tail, after checking that its last frame is still there.

    One read will do unless the frame is long: each system call is a moment in which another thread may take the GIL.
    """
    offset, seal = tail.seal
    near = tail.offset - offset <= _NEAR_BYTES
    found = tail.file.read(tail.offset - offset + HEADER_BYTES if near else len(seal), offset)
    if not found.startswith(seal):
        raise LogFailed(f"{tail.where}: the end of the log was taken back by its writer; open the log anew")
    return bool(found[tail.offset - offset :].strip(b"\0")) if near else _has_bytes(tail)


def _has_bytes(tail: Tail) -> bool:
    return bool(tail.file.read(HEADER_BYTES, tail.offset).strip(b"\0"))


def through(tail: Tail, upto: int = POSITION_MAX) -> Tail:
    """Go through the whole frames behind a tail; the chain is checked at the first and computed after the last."""
    last = None
    for header, frame, offset in tail.file.frames(tail.offset, tail.head.position + 1):
        if header.last > upto:
            break
        if last is None and header.chain_before != tail.head.chain:
            return tail
        last = header, frame, offset
    if last is None:
        return tail
    header, frame, offset = last
    return tail.behind(frame, offset, Head(header.last, chain_after(frame, header), header.epoch))


def _is_followed(directory: StoreDirectory, tail: Tail) -> bool:
    """Say whether there are frames of later positions behind bytes that are no frame."""
    position = tail.head.position
    if tail.file.find_frame(tail.offset, position) is not None:
        return True
    return directory.segment_firsts()[-1] > max(position + 1, tail.firsts[-1])
