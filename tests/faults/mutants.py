"""Broken versions of the store: each leaves out one thing that a promise rests on, and some check must notice.

A mutant is a name, the row of the table in ``docs/faults.md`` that it belongs to, and the attributes it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from msgspec import Struct

from memorygraph.events import frames
from memorygraph.events.errors import LogFailed
from memorygraph.events.frames import FrameHeader
from memorygraph.events.log import Head
from memorygraph.events.stores import SegmentLog, recovery, rewriting, segment, segment_file, takeover
from memorygraph.events.stores.directory import StoreDirectory, named_errors
from memorygraph.events.stores.lock_file import LockFile, encoded_point
from memorygraph.events.stores.segment_file import SegmentFile
from tests.simulation.machine import Disk


class Mutant(Struct, frozen=True):
    """What is broken, and how.

    ``seed`` is where a search for a seed that notices may start, ``weather`` the chances in which one is soon found.
    """

    name: str
    row: str
    replaced: tuple[tuple[Any, str, Callable[..., Any]], ...]
    seed: int = 0
    weather: dict[str, float] = {}

    @contextmanager
    def at_work(self):
        """Break the store for a while."""
        with ExitStack() as stack:
            for target, name, broken in self.replaced:
                stack.enter_context(mock.patch.object(target, name, broken))
            yield


def acknowledged_before_the_write(log: SegmentLog, records: Any, time_us: int, *, append=SegmentLog.append) -> Head:
    """Write what was acknowledged last, and acknowledge this."""
    waiting = log.__dict__.setdefault("waiting", [])
    head = log.head
    for earlier in waiting:
        head = append(log, *earlier)
    waiting[:] = [(records, time_us)]
    return Head(head.position + len(records), head.chain, head.epoch)


def header_only(data: bytes | memoryview, offset: int, memory_id: bytes) -> FrameHeader | None:
    """Take a frame for whole if its header looks like one."""
    if len(data) - offset < frames.HEADER_BYTES:
        return None
    header = FrameHeader._make(frames._HEADER.unpack_from(data, offset))
    fits = offset + header.size_bytes <= len(data) and 0 < header.record_count <= header.body_bytes
    return header if header.magic == frames.MAGIC and header.memory_id == memory_id and fits else None


def checksum_of_the_header(data: memoryview, *, crc32c=frames.crc32c) -> int:
    """Leave the records out of the checksum."""
    return crc32c(data[: frames.HEADER_BYTES - frames._CHECKED_FROM])


def sync_again(file: SegmentFile) -> None:
    """Take the second answer."""
    try:
        file.disk.sync(file.handle().fd)
    except OSError:
        file.disk.sync(file.handle().fd)


def only_synced(_directory: StoreDirectory, tail: recovery.Tail) -> None:
    """Trust a sync to write what an earlier, failed one forgot."""
    tail.file.sync()


def nothing(*_: Any) -> None:
    """Leave it out."""


def go_on(log: SegmentLog, error: OSError, doing: str) -> LogFailed:
    """Report a failure and forget it."""
    return LogFailed(f"{log.location}: could not {doing}: {error.strerror}")


def point_first(
    log: SegmentLog, tail: recovery.Tail, frame: bytes, after: Callable[[], Head], *, commit=SegmentLog._commit, **how
) -> Head:
    """Say that a frame is durable before it is."""
    if tail.offset + len(frame) <= log._segment_bytes:  # else it goes into a new segment
        reached = tail.after(after(), tail.offset, len(frame))
        log._held_lock().publish(encoded_point(reached.point, log.memory_id))
    return commit(log, tail, frame, after, **how)


def everything_found(log: SegmentLog, *, refresh=SegmentLog.refresh) -> Head:
    """Take every frame that is in the file for durable, whoever is writing."""
    head = refresh(log)
    if log._appends % 2 == 0 and log._tail is not None:
        log._publish(recovery.through(log._tail), log._appends)
    return head


def mend_anyway(directory: StoreDirectory, lock: LockFile) -> tuple[recovery.Tail, str]:
    """Look for the end without asking whether another takeover was faster."""
    with named_errors(directory.path, "open the log"):
        return takeover._find_end(directory, lock)


def write_anyway(_directory: StoreDirectory, tail: recovery.Tail, _lock: LockFile) -> recovery.Tail:
    """Take every tail for one's own."""
    return tail


def rewritten_in_place(
    directory: StoreDirectory, file: SegmentFile, last: int, positions: Collection[int], rest: Callable[[], None]
) -> None:
    """Replace records in the segment itself."""
    whole = [bytes(frame) for _, frame in rewriting._frames(file, last, rest)]
    new = segment_file.OpenFile(directory.disk, directory.disk.create(file.path))
    offset = rewriting._write(new, [segment_file.encode_header(file.header)], 0)
    for frame in whole:
        offset += rewriting._write(new, [frames.with_hashes(frame, frames.frame_header(frame), positions)], offset)


def zeros_at_the_last_end(disk: Disk, path: str, size_bytes: int) -> None:
    """Look for the end of a file, and then write there."""
    fd = disk.open(path, write=True)
    disk.pwrite(fd, bytes(size_bytes), disk.size_bytes(fd))


def always(*_: Any) -> bool:
    """Say yes."""
    return True


SYNCS_FAIL_SLOWLY = {"failed_sync": 0.2, "switch": 0.6, "pause": 0.5}
SYNCS_FAIL_AND_KILL = {"failed_sync": 0.15, "switch": 0.2, "death_after_fault": 0.7}
NOBODY_DIES = dict.fromkeys(("death", "death_at_sync", "death_after_fault", "error", "short"), 0.0)
CROWDED = {"switch": 0.4, "pause": 0.7, **NOBODY_DIES}

STORE_MUTANTS = (
    Mutant("acknowledged before the sync", "T1 T2", ((SegmentLog, "append", acknowledged_before_the_write),)),
    Mutant("no fdatasync", "T2", ((SegmentFile, "sync", nothing),)),
    Mutant("no directory fsync", "T2", ((StoreDirectory, "sync_names", nothing),), 5),
    Mutant("checksum ignored", "T2 T3", ((segment_file, "whole_frame", header_only),), 17),
    Mutant("sync tried again after it failed", "T2", ((SegmentFile, "sync", sync_again),), 10),
    Mutant("going on after a failure", "T5", ((SegmentLog, "_failed", go_on),), 5),
    Mutant("a found frame is taken for durable", "T2", ((segment, "settle", nothing),), 23, SYNCS_FAIL_SLOWLY),
    Mutant(
        "a found frame is synced, not written again", "T2", ((segment, "settle", only_synced),), 31, SYNCS_FAIL_AND_KILL
    ),
    Mutant("marked durable before the sync", "T2", ((SegmentLog, "_commit", point_first),), 5),
    Mutant(
        "readers see what is not durable yet",
        "T2",
        ((SegmentLog, "refresh", everything_found),),
        9,
        {**SYNCS_FAIL_SLOWLY, **NOBODY_DIES},
    ),
    Mutant("segments rewritten in place", "T1 T2", ((rewriting, "_swap", rewritten_in_place),), 9),
    Mutant("no lock between processes", "T6", ((LockFile, "acquire", always),)),
    Mutant(
        "zeros written where the file ended before",
        "T2",
        ((Disk, "append_zeros", zeros_at_the_last_end),),
        707,
        CROWDED,
    ),
)

BYTE_MUTANTS = (
    Mutant("checksum of the header only", "T3", ((frames, "crc32c", checksum_of_the_header),)),
    Mutant(
        "no checksum at all", "T3", ((segment_file, "whole_frame", header_only), (frames, "whole_frame", header_only))
    ),
)
