"""Writing a frame behind a log's tail, in its last segment or in a new one; the log's lock is held."""

from __future__ import annotations

from contextlib import suppress

from memorygraph.events.stores.directory import StoreDirectory
from memorygraph.events.stores.lock_file import LockFile
from memorygraph.events.stores.recovery import Tail
from memorygraph.events.stores.segment_file import SEGMENT_HEADER_BYTES, SegmentFile, SegmentHeader, SegmentName


def make_room(directory: StoreDirectory, lock: LockFile, tail: Tail, size_bytes: int, segment_bytes: int) -> Tail:
    """Take the space for a frame behind the tail, in the next segment if it is due; give the tail before the frame.

    Raises:
        OSError: the disk fails or is full.
    """
    end = tail.offset + size_bytes
    if end > segment_bytes and tail.offset > SEGMENT_HEADER_BYTES:
        tail = next_segment(directory, lock, tail)
        end = tail.offset + size_bytes
    tail.file.reserve(end)
    return tail


def put_frame(tail: Tail, frame: bytes | bytearray, *, starts: bool) -> None:
    """Write a frame behind the tail, where there is room for it.

    Args:
        starts: whether to let the disk start with it now, for who has something else to do before the sync.

    Raises:
        OSError: the disk fails or is full; what was written of the frame is taken back.
    """
    try:
        tail.file.write(frame, tail.offset)
    except OSError:
        take_back(tail, len(frame))
        raise
    if starts:
        tail.file.start_writing(tail.offset, len(frame))


def sync_frame(tail: Tail, size_bytes: int) -> None:
    """Return when a frame behind the tail is on stable storage.

    Raises:
        OSError: the disk fails; the frame is taken back.
    """
    try:
        tail.file.sync()
    except OSError:
        take_back(tail, size_bytes)
        raise


def next_segment(directory: StoreDirectory, lock: LockFile, tail: Tail) -> Tail:
    """Seal the last segment and start the next one; give the tail before its first frame.

    Raises:
        OSError: the disk fails or is full; the log is as it was.
    """
    head = tail.head
    name = SegmentName(head.position + 1, lock.epoch)
    lock.starts_segment()
    header = SegmentHeader(directory.memory_id, name.first, head.epoch, head.chain)
    file = SegmentFile.create(directory.disk, directory.segment_path(name), name, header)
    directory.sync_names()
    return Tail.before(file, (*tail.segments, name))


def take_back(tail: Tail, size_bytes: int) -> None:
    """Zero a frame behind the tail that was not acknowledged, so that no other process builds on it."""
    with suppress(OSError):  # the bytes then stay: torn ones are cut later, a whole frame may become durable
        tail.file.erase(tail.offset, size_bytes)


def settle(directory: StoreDirectory, tail: Tail) -> None:
    """Make the last frame before a tail durable, which somebody else wrote who died before saying so.

    It is written again before the sync: after a failed sync, Linux shows bytes as written that never will be.

    Raises:
        OSError: the disk fails.
    """
    if tail.frame_at:
        tail.file.write(tail.file.read(tail.offset - tail.frame_at, tail.frame_at), tail.frame_at)
    tail.file.sync()
    directory.sync_names()
