"""The log in a directory: segment files, one sync per commit, several processes writing (decisions 0001 and 0003).

How it works. The *tail* is what this object knows of the log's end: a file, an offset, and the position and chain up
to there. It is immutable and replaced by one assignment, so readers and threads always hold a consistent one.

- Looking for more (``refresh``) reads the commit point of the lock file: what comes before it is durable. It takes no
  lock, and one system call when there is nothing new.
- Writing takes the thread's mutex and the file lock that excludes other processes, looks for more, and only then
  writes behind the tail: zeros are there, filled in ahead, so the sync does not have to make a longer file durable.
  After the sync, unless the log was taken over meanwhile, it moves the commit point and acknowledges.
- Bytes behind the tail that are not a frame are a write in progress, or, if we hold the lock, of a writer that died:
  nobody was told that they are durable, and they are cut. If whole frames follow them, or the commit point is behind
  them, they are damage instead: nothing is cut, and the log is read-only up to there.
- A whole frame behind the commit point may be one whose writer died before its sync. Who finds it while writing writes
  it again and syncs before the lock is given back, so what is built on it is never more durable than it is.
- After a failed write or sync the state of the disk is unknown, so this object never acknowledges anything again.
  A full disk is no failure: space is taken by the zero-fill, before any byte of a frame is written.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from threading import Lock
from typing import Final, Self

from memorygraph.events.disk import Disk, OsDisk, is_full
from memorygraph.events.errors import (
    ClosedError,
    DamagedLog,
    DiskFull,
    Fenced,
    InputError,
    LogFailed,
    LogLocked,
    StoreError,
    StoreReadOnly,
)
from memorygraph.events.frames import NO_CHAIN, chain_after, head_behind, pack_frame, require_frame, require_next
from memorygraph.events.log import Head, LogEntry, VerifyReport, no_rest
from memorygraph.events.ports import Clock, SystemClock
from memorygraph.events.stores.appending import make_room, next_segment, put_frame, settle, sync_frame
from memorygraph.events.stores.base import BaseLog
from memorygraph.events.stores.beside import BESIDE
from memorygraph.events.stores.directory import StoreDirectory, named, named_errors
from memorygraph.events.stores.epoch_lock import EpochLock, fenced
from memorygraph.events.stores.lock_file import LOCK_TIMEOUT_S, LockFile, Look, encoded_point
from memorygraph.events.stores.reading import entries_between, frames_between
from memorygraph.events.stores.recovery import Tail, cut_torn, has_bytes, look_on, reach, tail_before
from memorygraph.events.stores.rewriting import rewrite_segments
from memorygraph.events.stores.segment_file import SegmentName
from memorygraph.events.stores.segment_index import index_sealed
from memorygraph.events.stores.snapshots import SnapshotDirectory
from memorygraph.events.stores.takeover import (
    begun,
    claim_epoch,
    find_durable_tail,
    find_end,
    is_recorded,
    require_newest,
    require_own,
)
from memorygraph.events.stores.verifying import verify_segments, walk

SEGMENT_BYTES: Final = 64 << 20
_LARGE_RECORD_BYTES: Final = 2048  # hashlib lets other threads of Python run while it hashes as much


class SegmentLog(BaseLog):
    """A log in a directory, made by ``SegmentLog.open``."""

    def __init__(
        self, directory: StoreDirectory, *, read_only: bool, segment_bytes: int, lock_timeout_s: float | None
    ) -> None:
        super().__init__()
        self.memory_id = directory.memory_id
        self.location = directory.path
        self.notes = ()
        self.snapshots = SnapshotDirectory(directory.disk, directory.snapshots_path)
        self.read_only = read_only
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._locking = EpochLock(directory, write=not read_only, timeout_s=lock_timeout_s)
        self._mutex = Lock()  # one writing thread
        self._publishing = Lock()  # guards replacing the tail; never held over I/O
        self._held: LockFile | None = None  # the lock file, while we have it locked
        self._seen = b""  # what the lock file said when the tail was last brought up to it
        self._point = b""  # the tail as a commit point, if that was written or read last
        self._frame = bytearray()  # what is appended; its memory is used again
        self._appends = 0  # odd while an append is under way
        self._indexed: tuple[SegmentName, ...] = ()  # the segments that ``tend`` has seen
        self._examined = False  # whether everything behind the tail was looked at, not only the next bytes
        self._failure: LogFailed | None = None
        self._damage = ""
        self._tail: Tail | None = None  # None: closed
        self._last_head = Head(0, NO_CHAIN)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        read_only: bool = False,
        exclusive: bool = False,
        takeover: bool = False,
        lock_timeout_s: float | None = None,
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
            exclusive: hold the lock until ``close``; others can read, not write.
            takeover: shut out whoever writes now, even if it holds the lock and does not answer; it gets ``Fenced``.
            lock_timeout_s: how long to wait for the lock; None: 30 s, and not at all for one who is exclusive.
            disk: the file system to use; the operating system's by default.
            memory_id: 16 bytes; the id of a new store, or the only one accepted. Random by default.
            clock: gives the time of creation.
            segment_bytes: the size at which the next segment is started.

        Raises:
            StoreNotFound: there is no store, and none was to be made.
            ForeignStore: something else is at ``path``, or another memory than ``memory_id``.
            NewerFormat: a newer release wrote it.
            DamagedLog: not one segment can be read, or a damaged log was to be taken over.
            LogLocked: another process holds the lock and does not give it back; the message says which.
            DiskFull, StoreError: it cannot be made or read.
        """
        if read_only and (exclusive or takeover):
            raise InputError("a log that is opened read-only holds no lock: leave out exclusive and takeover")
        directory = StoreDirectory(disk or OsDisk(), path)
        directory.identify(create=create and not read_only, memory_id=memory_id, clock=clock or SystemClock())
        log = cls(directory, read_only=read_only, segment_bytes=segment_bytes, lock_timeout_s=lock_timeout_s)
        if read_only:
            log._find_end_to_read()
        else:
            log._find_end_to_write(takeover=takeover, exclusive=exclusive)
        _open_logs.add(log)
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
            LogFailed: the last frame seen was undone, never having been acknowledged; open the log anew.
        """
        tail = self._open_tail()
        appends = self._appends
        found = None if appends % 2 or self._damage else self._locking.look()
        # While our own append is under way nobody else can have written, and its frame is not durable yet.
        while found is not None and found.raw != self._seen:
            try:
                self._publish(reach(self._directory, tail, found.point, write=not self.read_only), appends)
            except DamagedLog as error:
                # A takeover may have moved the log's end under our eyes: then the lock file says something else now.
                again = self._locking.look()
                if again is None or again.raw == found.raw:
                    raise self._damaged(error.message) from error
                found = again
            else:
                self._seen = found.raw
                break
        return self.head

    def append(self, records: Sequence[bytes], time_us: int) -> Head:
        """Append records as one commit frame and return the new head once it is durable."""
        tail, frame = self._locked_tail(), self._frame
        pack_frame(frame, records, self.memory_id, tail.head, time_us)
        takes_long = len(frame) >= _LARGE_RECORD_BYTES * max(len(records), 16)  # longer than to wake a thread
        return self._commit(tail, frame, partial(head_behind, frame, records, tail.head), beside=takes_long)

    def adopt(self, frame: bytes) -> Head:
        """Append one frame of another copy of this log as it is."""
        tail = self._locked_tail()
        header = require_frame(frame, self.memory_id)
        require_next(header, tail.head.position, tail.head.chain)
        head = Head(header.last, chain_after(frame, header), max(header.epoch, tail.head.epoch))
        return self._commit(tail, frame, lambda: head)

    def read(self, first: int = 1, last: int | None = None) -> Iterator[LogEntry]:
        """Give the records at positions first..last (None: the head as last seen), in order."""
        tail = self._open_tail()
        end = tail.head.position if last is None else min(last, tail.head.position)
        return entries_between(self._directory, tail.file, tail.segments, max(first, 1), end)

    def frames(self, first: int = 1) -> Iterator[bytes]:
        """Give the raw frames from the one that holds position ``first`` on."""
        tail = self._open_tail()
        found = frames_between(self._directory, tail.file, tail.segments, max(first, 1), tail.head.position)
        return (bytes(frame) for _, frame in found)

    def replace_by_hash(self, positions: Collection[int], rest: Callable[[], None] = no_rest) -> int:
        """Replace the records at ``positions`` by their SHA-256 and return how many were still there.

        Records of the last segment are sealed first: the next segment is started.
        """
        wanted = self._in_the_log(positions)
        if any(position >= self._open_tail().segments[-1].first for position in wanted):
            self._seal()
        self._writable_tail()
        self._indexed = ()
        return rewrite_segments(self._directory, wanted, rest)

    def verify(self) -> VerifyReport:
        """Read every segment from its first byte, checking checksums and chain; damage is listed and stepped over."""
        self._open_tail()
        return verify_segments(self._directory, self.notes)

    def whole_frames(self) -> Iterator[bytes]:
        """Give every frame that passes its own check, in order, stepping over damage; for salvage."""
        self._open_tail()
        return (bytes(step.frame) for step in walk(self._directory) if step.frame)

    def salvage(self, damage: DamagedLog) -> None:
        """Go on read-only with what comes before damage that a read has met."""
        tail = tail_before(self._directory, self._open_tail(), damage)
        self._damaged(damage.message)
        with self._publishing:
            self._tail = tail

    def size_bytes(self) -> int:
        """Return the bytes of the log's files, zero-filled space, indexes and torn copies included."""
        return self._directory.log_sizes_bytes()

    def tend(self) -> None:
        """Make the indexes of sealed segments that have none."""
        tail = self._tail
        if tail is not None and self._indexed != tail.segments and not self.read_only and self._failure is None:
            self._indexed = tail.segments  # an index can be done without: it is not tried again
            with suppress(StoreError, OSError):
                index_sealed(self._directory, tail.segments)

    def require_epoch(self) -> None:
        """Check that nobody took over a log whose lock is held for good."""
        self._locking.require_epoch()

    def release(self) -> None:
        """Let go of the descriptors and the frame's memory; the lock stays with one who is exclusive."""
        self._frame = bytearray()
        if (tail := self._tail) is not None:
            tail.file.rest()
        self._locking.rest()

    def close(self) -> None:
        """Let go of the files; readers that are under way keep theirs until they are done."""
        with self._publishing:
            self._last_head = self.head
            self._tail = None
            self._locking.close()
        self._announce()

    # -- opening -------------------------------------------------------------------------------------------------

    def _find_end_to_write(self, *, takeover: bool, exclusive: bool) -> None:
        """Look for the log's end under the lock, and cut what is torn; a full disk puts that off to the next append."""
        with self._mutex:
            while self._tail is None:
                if takeover:
                    self._held = claim_epoch(self._directory)
                    self._locking.adopt(self._held)
                else:
                    self._held, _ = self._locking.acquire()
                try:
                    self._begin(self._held, takeover=takeover, exclusive=exclusive)
                except Fenced:  # somebody took over meanwhile: go on in the newer epoch
                    self._tail, takeover = None, False
                finally:
                    self._give_back()

    def _begin(self, lock: LockFile, *, takeover: bool, exclusive: bool) -> None:
        self._tail, self._damage = find_end(self._directory, lock)
        if self._damage and takeover:
            raise DamagedLog(f"{self._damage}; a damaged log is not taken over", path=self.location)
        if self._damage:
            self.read_only = True
            self.notes = (f"{self._damage}; the log is read-only up to there",)
            return
        with suppress(DiskFull), named_errors(self.location, "open the log"):
            self._catch_up(lock, lock.look())
        if exclusive:
            self._locking.own(lock)

    def _find_end_to_read(self) -> None:
        """Look for the log's end without the lock."""
        self._tail, self._damage = find_durable_tail(self._directory)
        if self._damage:
            self.notes = (f"{self._damage}; the log is read-only up to there",)
        elif self._tail.file.leftover(self._tail.offset):
            self.notes = (f"{self._tail.where}: a write in progress, or one that was never acknowledged",)
        self.refresh()

    # -- the lock ------------------------------------------------------------------------------------------------

    def _enter(self) -> Head:
        timeout_s = LOCK_TIMEOUT_S if self._locking.timeout_s is None else self._locking.timeout_s
        if not self._mutex.acquire(timeout=timeout_s):
            raise LogLocked(f"{self.location}: another thread of this process has been writing for {timeout_s:g} s")
        try:
            while True:
                self._writable_tail()
                self._held, look = self._locking.acquire()
                try:
                    return self._catch_up(self._held, look)
                except Fenced:  # somebody took over: go on in the newer epoch, unless we held the lock for good
                    self._give_back()
        except BaseException as error:
            if isinstance(error, Fenced):
                self._stop(error)
            self._give_back()
            self._mutex.release()
            raise

    def _leave(self) -> None:
        if self._held is not None:  # else a child forked inside the lock: the lock is its parent's
            self._give_back()
            self._mutex.release()

    def _give_back(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._locking.release(held)

    def _catch_up(self, lock: LockFile, look: Look) -> Head:
        """Follow the log to its end, which under the lock is its true end, and cut what is torn behind it."""
        tail = require_own(self._directory, self._open_tail(), lock)
        is_known = self._point != b"" and self._examined and look.says(self._point)
        try:
            # What others leave behind the commit point when they die is a frame or a part of one, or a new segment.
            if is_known and (self._locking.is_owned or not has_bytes(tail)):
                return tail.head
            reached, torn = look_on(
                self._directory,
                tail if is_known else begun(self._directory, tail, lock, look),
                lock.epoch,
                thorough=not self._examined,
            )
        except DamagedLog as error:
            require_newest(self._directory, lock)
            raise self._damaged(error.message) from error
        except OSError as error:
            raise named(error, self.location, "read the log") from error
        try:
            if look.point != reached.point:
                settle(self._directory, reached)
                self._point = encoded_point(reached.point, self.memory_id)
                lock.publish(self._point)
            self._publish(reached, self._appends)
            if torn:
                self.notes = (*self.notes, cut_torn(self._directory, reached, torn))
        except OSError as error:
            raise self._refused(error, "mend the log's end") from error
        self._examined = True
        return reached.head

    # -- writing -------------------------------------------------------------------------------------------------

    def _commit(self, tail: Tail, frame: bytes | bytearray, after: Callable[[], Head], *, beside: bool = False) -> Head:
        """Write a frame behind the tail, sync it, see that nobody took the log over, and publish the new head.

        While the disk is at work, the head behind the frame is computed: here, or by a second thread (``beside``),
        which takes long to wake, but finds Python free if the records are large.
        """
        self._appends += 1
        try:
            after = BESIDE.start(after) if beside else after
            try:
                tail = make_room(self._directory, self._held_lock(), tail, len(frame), self._segment_bytes)
                put_frame(tail, frame, starts=not beside)
            except OSError as error:
                raise self._refused(error, "write") from error
            head = None if beside else after()
            try:
                sync_frame(tail, len(frame))
            except OSError as error:
                raise self._failed(error, "sync") from error
            reached = tail.after(head or after(), tail.offset, len(frame))
            self._acknowledge(reached)
        finally:
            self._appends += 1
        reached.file.appended(tail.head.position + 1, tail.offset, reached.offset, self._segment_bytes)
        self._announce()
        return reached.head

    def _acknowledge(self, tail: Tail) -> None:
        """Move the commit point to a tail that is durable, unless the log was taken over: then it came too late."""
        lock, point = self._held_lock(), encoded_point(tail.point, self.memory_id)
        try:
            if lock.look().is_superseded:
                raise self._stop(fenced(self._directory, is_recorded(self._directory, tail), under_way=True))
            lock.publish(point)
        except OSError as error:
            raise self._failed(error, "write the commit point") from error
        with self._publishing:
            self._tail, self._point = tail, point

    def _seal(self) -> None:
        """Start the next segment, unless the last one is still empty."""
        with self.lock():
            tail = self._locked_tail()
            if tail.frame_at:
                try:
                    tail = next_segment(self._directory, self._held_lock(), tail)
                except OSError as error:
                    raise self._refused(error, "start a segment") from error
                self._acknowledge(tail)

    def _refused(self, error: OSError, doing: str) -> StoreError:
        if is_full(error):
            return DiskFull(f"{self.location}: no space to {doing}: {error.strerror}; nothing was written")
        return self._failed(error, doing)

    def _failed(self, error: OSError, doing: str) -> LogFailed:
        message = (
            f"{self.location}: could not {doing}: {error.strerror or error}; nothing is acknowledged until the "
            "memory is opened anew"
        )
        return self._stop(LogFailed(message, path=self.location))

    def _stop(self, error: LogFailed) -> LogFailed:
        """Stop for good: what is on the disk is known only after opening it anew."""
        self._failure = copy(error)  # one that is raised would hold on to its frames, and they to the lock
        return error

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
        if self._failure is not None:
            raise copy(self._failure)
        return self._open_tail()

    def _locked_tail(self) -> Tail:
        return require_own(self._directory, self._writable_tail(), self._held_lock())

    def _held_lock(self) -> LockFile:
        if self._held is None:
            raise RuntimeError("append() and adopt() need lock()")
        return self._held

    def _publish(self, reached: Tail, appends: int) -> None:
        """Take over a tail found by looking, unless we appended meanwhile or another thread found more."""
        with self._publishing:
            now = self._tail
            if now is None or self._appends != appends or reached.order <= now.order:
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
        self._held = None
        self._locking.forget()
        self.snapshots = SnapshotDirectory(self._directory.disk, self._directory.snapshots_path)
        self._appends += self._appends % 2
        self._point = b""


_open_logs: Final[weakref.WeakSet[SegmentLog]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for log in list(_open_logs):
        log._disown()


os.register_at_fork(after_in_child=_after_fork_in_child)
