"""The log in a directory: segment files, one sync per commit, several processes writing (decision 0001, section 4).

How it works. The *tail* is what this object knows of the log's end: a file, an offset, and the position and chain up
to there. It is immutable and replaced by one assignment, so readers and threads always hold a consistent one.

- Looking for more (``refresh``) reads frames from the tail on, and the next segment if there is one. It takes no lock.
- Writing takes the thread's mutex and the file lock that excludes other processes, looks for more, and only then
  writes behind the tail: zeros are there, filled in ahead, so the sync does not have to make a longer file durable.
- Bytes behind the tail that are not a frame are somebody's write in progress, unless we hold the lock: then their
  writer died, nobody was told that they are durable, and they are cut. If whole frames follow them, they are damage
  instead: nothing is cut, and the log is read-only up to there.
- After a failed write or sync the state of the disk is unknown, so this object never acknowledges anything again.
  A full disk is no failure: space is taken by the zero-fill, before any byte of a frame is written.

A frame found in the file may be one that its writer has not synced yet, or never will. The mark in the lock file says
how far the log is durable. Readers go up to there; beyond it only when nobody is writing, and after a sync. A writer
that finds more than the mark says writes the last frame again and syncs it before it builds on it.
"""

from __future__ import annotations

import os
import weakref
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from threading import Lock
from typing import Final, Self

from memorygraph.events.disk import Disk, OsDisk, is_full
from memorygraph.events.errors import ClosedError, DamagedLog, DiskFull, LogFailed, StoreError, StoreReadOnly
from memorygraph.events.frames import (
    FrameHeader,
    chain_after,
    encode_frame,
    frame_entries,
    require_frame,
    require_next,
)
from memorygraph.events.log import Head, LogEntry, VerifyReport, no_rest
from memorygraph.events.ports import Clock, SystemClock
from memorygraph.events.stores.base import BaseLog
from memorygraph.events.stores.directory import StoreDirectory, named
from memorygraph.events.stores.lock_file import LockFile, Mark
from memorygraph.events.stores.recovery import Tail, cut_torn, find_end, judge, look_at_durable, look_on, settle
from memorygraph.events.stores.rewriting import rewrite_segment
from memorygraph.events.stores.segment_file import SEGMENT_HEADER_BYTES, SegmentFile, SegmentHeader
from memorygraph.events.stores.snapshots import SnapshotDirectory
from memorygraph.events.stores.verifying import Verifier

SEGMENT_BYTES: Final = 64 << 20


class SegmentLog(BaseLog):
    """A log in a directory, made by ``SegmentLog.open``."""

    def __init__(self, directory: StoreDirectory, *, read_only: bool, segment_bytes: int) -> None:
        super().__init__()
        self.memory_id = directory.memory_id
        self.location = directory.path
        self.notes = ()
        self.snapshots = SnapshotDirectory(directory.disk, directory.snapshots_path)
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._mutex = Lock()  # one writing thread
        self._publishing = Lock()  # guards replacing the tail; never held over I/O
        self._lock_file: LockFile | None = None
        self._held: LockFile | None = None  # the lock file, while we have it locked
        self._appends = 0  # odd while an append is under way
        self._durable: Mark | None = None  # up to where we know the log to be durable, and the mark to say so
        self._examined = False  # whether everything behind the tail was looked at, not only the next bytes
        self._failure = ""
        self._tail: Tail | None
        self._tail, self._damage = find_end(directory, write=not read_only)
        self._last_head = self._tail.head
        self.read_only = read_only or bool(self._damage)
        if self._damage:
            self.notes = (f"{self._damage}; the log is read-only up to there",)
        elif read_only and self._tail.file.rest(self._tail.offset):
            self.notes = (f"{self._tail.where}: a write in progress, or one that was never acknowledged",)
        _open_logs.add(self)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        read_only: bool = False,
        disk: Disk | None = None,
        memory_id: bytes | None = None,
        clock: Clock | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> Self:
        """Open the store at ``path``.

        Args:
            path: the store's directory.
            create: make the store (and missing parents) if there is none; never with ``read_only``.
            read_only: follow a store that others may write to, without touching it.
            disk: the file system to use; the operating system's by default.
            memory_id: 16 bytes; the id of a new store, or the only one accepted. Random by default.
            clock: gives the time of creation.
            segment_bytes: the size at which the next segment is started.

        Raises:
            StoreNotFound: there is no store, and none was to be made.
            ForeignStore: something else is at ``path``, or another memory than ``memory_id``.
            NewerFormat: a newer release wrote it.
            DamagedLog: not one segment can be read.
            DiskFull, StoreError: it cannot be made or read.
        """
        directory = StoreDirectory(disk or OsDisk(), path)
        directory.identify(create=create and not read_only, memory_id=memory_id, clock=clock or SystemClock())
        log = cls(directory, read_only=read_only, segment_bytes=segment_bytes)
        if not log.read_only:
            with suppress(DiskFull), log.lock():  # cuts what is torn; a full disk puts it off to the next append
                pass
        return log

    @property
    def head(self) -> Head:
        """The head as this object last saw it."""
        tail = self._tail
        return self._last_head if tail is None else tail.head

    def refresh(self) -> Head:
        """Look for frames that other writers appended, and return the head.

        Raises:
            DamagedLog: bytes behind the head fail their check; said once, then the log is read-only up to there.
            LogFailed: a writer could not sync the last frame seen and took it back; open the log anew.
        """
        tail = self._open_tail()
        appends = self._appends
        # While our own append is under way nobody else can have written, and its frame is not durable yet.
        if appends % 2 or self._failure or self._damage:
            return tail.head
        reached, damage = look_at_durable(self._directory, tail, write=not self.read_only)
        self._publish(reached, appends)
        if damage and self._appends == appends:
            raise self._damaged(damage)
        return self.head

    def append(self, records: Sequence[bytes], time_us: int) -> Head:
        """Append records as one commit frame and return the new head once it is durable."""
        head = self._locked_tail().head
        frame, chain = encode_frame(
            records,
            memory_id=self.memory_id,
            first=head.position + 1,
            time_us=time_us,
            epoch=head.epoch,
            chain=head.chain,
        )
        return self._commit(frame, Head(head.position + len(records), chain, head.epoch))

    def adopt(self, frame: bytes) -> Head:
        """Append one frame of another copy of this log as it is."""
        head = self._locked_tail().head
        header = require_frame(frame, self.memory_id)
        require_next(header, head.position, head.chain)
        return self._commit(frame, Head(header.last, chain_after(frame, header), header.epoch))

    def read(self, first: int = 1, last: int | None = None) -> Iterator[LogEntry]:
        """Give the records at positions first..last (None: the head as last seen), in order."""
        tail = self._open_tail()
        first = max(first, 1)
        end = tail.head.position
        return self._entries(tail, first, end if last is None else min(last, end))

    def frames(self, first: int = 1) -> Iterator[bytes]:
        """Give the raw frames from the one that holds position ``first`` on."""
        tail = self._open_tail()
        return (bytes(frame) for _, frame in self._frames(tail, max(first, 1), tail.head.position))

    def replace_by_hash(self, positions: Collection[int], rest: Callable[[], None] = no_rest) -> int:
        """Replace the records at ``positions`` by their SHA-256 and return how many were still there.

        Records of the last segment are sealed first: the next segment is started.
        """
        wanted, replaced = self._in_the_log(positions), 0
        if any(position >= self._open_tail().firsts[-1] for position in wanted):
            self._seal()
        self._writable_tail()
        with self._directory.rewriting():
            for first, following in pairwise(self._open_tail().firsts):
                inside = {position for position in wanted if first <= position < following}
                if inside:
                    replaced += rewrite_segment(self._directory, first, following - 1, inside, rest)
        return replaced

    def verify(self) -> VerifyReport:
        """Read every segment from its first byte, checking checksums and chain; damage is listed and stepped over."""
        self._open_tail()
        verifier = Verifier()
        firsts = self._directory.segment_firsts()
        for first, following in zip(firsts, (*firsts[1:], None), strict=True):
            self._verify_segment(verifier, first, following)
        return verifier.report(self.notes)

    def size_bytes(self) -> int:
        """Return the bytes of the log's files, zero-filled space and torn copies included."""
        return self._directory.log_sizes_bytes()

    def close(self) -> None:
        """Let go of the files; readers that are under way keep theirs until they are done."""
        with self._publishing:
            self._last_head = self.head
            self._tail = None
            self._lock_file = None
        self._announce()

    # -- the lock ------------------------------------------------------------------------------------------------

    def _enter(self) -> Head:
        self._mutex.acquire()
        try:
            tail = self._writable_tail()
            self._held = self._lock_for_processes()
        except BaseException:
            self._mutex.release()
            raise
        try:
            return self._catch_up(tail)
        except BaseException:
            self._unlock()
            raise

    def _leave(self) -> None:
        if self._held is not None:  # else a child forked inside the lock: the lock is its parent's
            self._unlock()

    def _lock_for_processes(self) -> LockFile:
        if self._lock_file is None:
            self._lock_file = self._directory.open_lock()
        try:
            self._lock_file.lock()
        except OSError as error:
            raise named(error, self.location, "lock the log") from error
        return self._lock_file

    @property
    def _mine(self) -> LockFile:
        if self._held is None:
            raise RuntimeError("append() and adopt() need lock()")
        return self._held

    def _unlock(self) -> None:
        held, self._held = self._held, None
        try:
            if held is not None:
                held.unlock()
        except OSError:
            self._lock_file = None  # closing the file gives the lock back too; what was done under it stands
        finally:
            del held  # before another thread can open it anew
            self._mutex.release()

    def _catch_up(self, tail: Tail) -> Head:
        """Follow the log to its end, which under the lock is its true end, and cut what is torn behind it."""
        reached, behind = look_on(self._directory, tail, write=True)
        torn = reached.file.rest(reached.offset) if behind or not self._examined else b""
        if torn:
            damage = judge(self._directory, reached)
            if damage:
                raise self._damaged(damage)
            self._cut(reached, torn)
        self._settle(reached)
        self._examined = True
        self._publish(reached, self._appends)
        return reached.head

    def _settle(self, tail: Tail) -> None:
        """Make durable what others wrote, unless the mark says that it is."""
        if self._durable == tail.durable:
            return
        try:
            if self._mine.read_mark() != tail.durable:
                settle(tail)
                self._directory.sync_names()
                self._mine.write_mark(tail.durable)
        except OSError as error:
            raise self._refused(error, "sync what another process wrote") from error
        self._durable = tail.durable

    def _cut(self, tail: Tail, torn: bytes) -> None:
        try:
            self.notes = (*self.notes, cut_torn(self._directory, tail, torn))
        except OSError as error:
            raise self._refused(error, "cut a torn write") from error

    # -- writing -------------------------------------------------------------------------------------------------

    def _commit(self, frame: bytes, head: Head) -> Head:
        """Write a frame behind the tail, sync it, and publish the new head."""
        tail = self._locked_tail()
        self._appends += 1
        try:
            try:
                tail = self._put(tail, frame)
            except OSError as error:
                raise self._refused(error, "write") from error
            try:
                tail.file.sync()
            except OSError as error:
                self._take_back(tail, len(frame))
                raise self._failed(error, "sync") from error
            tail.file.passed(tail.head.position + 1, tail.offset)
            tail = tail.behind(frame, tail.offset, head)
            self._mark_durable(tail.durable)
            with self._publishing:
                self._tail = tail
        finally:
            self._appends += 1
        self._announce()
        return head

    def _put(self, tail: Tail, frame: bytes) -> Tail:
        """Write a frame behind the tail, or at the start of the next segment; give the tail before the frame."""
        if tail.offset + len(frame) > self._segment_bytes and tail.offset > SEGMENT_HEADER_BYTES:
            tail = self._next_segment(tail)
        tail.file.reserve(tail.offset + len(frame))
        try:
            tail.file.write(frame, tail.offset)
        except OSError:
            self._take_back(tail, len(frame))
            raise
        return tail

    def _seal(self) -> None:
        """Start the next segment, unless the last one is still empty."""
        with self.lock():
            tail = self._locked_tail()
            if tail.offset > SEGMENT_HEADER_BYTES:
                try:
                    tail = self._next_segment(tail)
                except OSError as error:
                    raise self._refused(error, "start a segment") from error
                with self._publishing:
                    self._tail = tail

    def _next_segment(self, tail: Tail) -> Tail:
        position, chain, epoch = tail.head.position, tail.head.chain, tail.head.epoch
        header = SegmentHeader(self.memory_id, position + 1, epoch, chain)
        file = SegmentFile.create(self._directory.disk, self._directory.segment_path(position + 1), header)
        self._directory.sync_names()
        return Tail.before(file, (*tail.firsts, position + 1))

    def _mark_durable(self, mark: Mark) -> None:
        try:
            self._mine.write_mark(mark)
        except OSError as error:
            raise self._failed(error, "mark as durable") from error
        self._durable = mark

    def _take_back(self, tail: Tail, size_bytes: int) -> None:
        """Zero a frame that was not acknowledged, so that no other process builds on it; the lock is still held."""
        with suppress(OSError):  # the bytes then stay: torn ones are cut later, a whole frame may become durable
            tail.file.erase(tail.offset, size_bytes)

    def _refused(self, error: OSError, doing: str) -> StoreError:
        if is_full(error):
            return DiskFull(f"{self.location}: no space to {doing}: {error.strerror}; nothing was written")
        return self._failed(error, doing)

    def _failed(self, error: OSError, doing: str) -> LogFailed:
        """Stop for good: what is on the disk is known only after opening it anew."""
        self._failure = (
            f"{self.location}: could not {doing}: {error.strerror or error}; nothing is acknowledged until the memory "
            "is opened anew"
        )
        return LogFailed(self._failure, path=self.location)

    # -- the tail ------------------------------------------------------------------------------------------------

    def _open_tail(self) -> Tail:
        tail = self._tail
        if tail is None:
            raise ClosedError(f"{self.location}: the memory is closed", path=self.location)
        return tail

    def _writable_tail(self) -> Tail:
        if self.read_only:
            why = f": {self._damage}" if self._damage else ""
            raise StoreReadOnly(f"{self.location}: the memory was opened read-only{why}", path=self.location)
        return self._sound_tail()

    def _locked_tail(self) -> Tail:
        assert self._mine
        return self._sound_tail()

    def _sound_tail(self) -> Tail:
        if self._failure:
            raise LogFailed(self._failure, path=self.location)
        return self._open_tail()

    def _publish(self, reached: Tail, appends: int) -> None:
        """Take over a tail found by looking, unless we appended meanwhile or another thread found more."""
        with self._publishing:
            now = self._tail
            if now is None or self._appends != appends:
                return
            if (reached.firsts[-1], reached.offset) <= (now.firsts[-1], now.offset):
                return
            self._tail = reached
        self._announce()

    def _damaged(self, reason: str) -> DamagedLog:
        self._damage = reason
        self.read_only = True
        self.notes = (*self.notes, f"{reason}; the log is read-only up to there")
        return DamagedLog(reason, position=self.head.position + 1)

    def _disown(self) -> None:
        """Start anew in a forked child: the locks may be held by threads that do not exist here, the file is shared."""
        self._forget_waiters()
        self._mutex = Lock()
        self._publishing = Lock()
        self._lock_file = self._held = None
        self.snapshots = SnapshotDirectory(self._directory.disk, self._directory.snapshots_path)
        self._appends += self._appends % 2
        self._durable = None

    # -- reading -------------------------------------------------------------------------------------------------

    def _entries(self, tail: Tail, first: int, last: int) -> Iterator[LogEntry]:
        for header, frame in self._frames(tail, first, last):
            entries = frame_entries(frame, header)
            yield from entries[max(first - header.first, 0) : last + 1 - header.first]

    def _frames(self, tail: Tail, first: int, last: int) -> Iterator[tuple[FrameHeader, memoryview]]:
        """Give the frames that hold the positions first..last."""
        at = max(bisect_right(tail.firsts, first) - 1, 0)
        while first <= last:
            is_last = at == len(tail.firsts) - 1
            file = tail.file if is_last else self._directory.open_segment(tail.firsts[at], write=False)
            stop = last if is_last else min(last, tail.firsts[at + 1] - 1)
            yield from self._segment_frames(file, first, stop)
            first = stop + 1
            at += 1

    def _segment_frames(self, file: SegmentFile, first: int, last: int) -> Iterator[tuple[FrameHeader, memoryview]]:
        if first < file.header.first:
            raise DamagedLog(f"{self.location}: the segment of position {first} is missing", position=first)
        offset, position = file.waypoint(first)
        for header, frame, start in file.frames(offset, position):
            if header.last >= first:
                yield header, frame
            offset, position = start + len(frame), header.last + 1
            if position > last:
                return
        where = f"{file.path} at byte {offset}"
        raise DamagedLog(f"{where}: {file.fault_at(offset)}, of position {position}", where=where, position=position)

    def _verify_segment(self, verifier: Verifier, first: int, following: int | None) -> None:
        try:
            file = self._directory.open_segment(first, write=False)
        except DamagedLog as error:
            verifier.damaged(self._directory.segment_path(first), error.message)
            return
        verifier.starts(file.header, file.path)
        offset, position = SEGMENT_HEADER_BYTES, first
        doubted = -1
        while position != following:
            for header, frame, start in file.frames(offset, position):
                verifier.take(frame, header, f"{file.path} at byte {start}")
                offset, position = start + len(frame), header.last + 1
                if position == following:
                    return
            found = file.find_frame(offset, position - 1)
            if found is not None and offset != doubted:
                # A writer may have been at work here; it finishes one frame before the next, so a second look tells.
                doubted = offset
                continue
            if found is not None or following is not None:
                verifier.damaged(f"{file.path} at byte {offset}", file.fault_at(offset))
            if found is None:
                return
            offset, position = found[0], found[1].first


_open_logs: Final[weakref.WeakSet[SegmentLog]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for log in list(_open_logs):
        log._disown()


os.register_at_fork(after_in_child=_after_fork_in_child)
