"""Taking a log over from a writer that holds its lock and may wake up at any moment (decision 0003).

An epoch is claimed by locking its own lock file, ``lock-<epoch>``, which nobody has written to yet; the name is made
durable. It begins, in this order, each step durable or visible to all processes before the next:

1. every older lock file gets the mark. From now on, whoever finishes a sync in an older epoch finds the mark and
   acknowledges nothing; what was acknowledged before, was written before;
2. the log is searched for its end, so everything that was ever acknowledged is found;
3. a new segment is made that begins with the last frame found. The writer that was shut out can still change the file
   that held it: overwrite what is behind its end, or zero the one frame that it was writing. Both no longer count.

Whoever holds the lock of an epoch that has no segment yet does this, so a takeover that died in between is finished by
the next writer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from memorygraph.events.errors import DamagedLog, StoreError
from memorygraph.events.frames import chain_after, frame_header, whole_frame
from memorygraph.events.log import Head
from memorygraph.events.stores.directory import StoreDirectory, named_errors
from memorygraph.events.stores.epoch_lock import fenced
from memorygraph.events.stores.lock_file import CommitPoint, LockFile, Look
from memorygraph.events.stores.reading import frames_between
from memorygraph.events.stores.recovery import Tail, at_point, find_tail, follow, reach
from memorygraph.events.stores.segment_file import OpenFile, SegmentFile, SegmentHeader, SegmentName
from memorygraph.events.stores.segment_index import index_path

_EPOCH_MAX: Final = (1 << 32) - 1
_TRIES: Final = 100
_TRY_AGAIN_S: Final = 0.01


def claim_epoch(directory: StoreDirectory) -> LockFile:
    """Claim an epoch that nobody had yet, later than every frame's, and give its lock file, locked.

    An epoch that another process is claiming at this moment is left to it and the next one taken: that process, too,
    may never go on.
    """
    with named_errors(directory.path, "claim the next epoch"):
        epoch = directory.epoch() + 1
        with suppress(DamagedLog):  # that is found again, and told, when the epoch begins
            epoch = max(epoch, find_tail(directory, known_point(directory), write=False)[0].head.epoch + 1)
    while epoch <= _EPOCH_MAX:
        path = directory.lock_path(epoch)
        with named_errors(path, "claim the next epoch"):
            file = OpenFile(directory.disk, directory.disk.create(path, truncate=False))
            lock = LockFile(file, path, epoch, directory.memory_id)
            # Where it is not to be had, or somebody used it before, the file goes, and the lock with it.
            if directory.disk.lock(file.fd, 0.0) and lock.look().point is None and directory.epoch() == epoch:
                return lock
        epoch = max(epoch, directory.epoch()) + 1
    raise StoreError(f"{directory.path}: there is no epoch after {_EPOCH_MAX}; import the log into a new store")


def find_end(directory: StoreDirectory, lock: LockFile) -> tuple[Tail, str]:
    """Find the end of a log whose lock is held, beginning its epoch if nobody has; say what is damaged ('' if nothing).

    Raises:
        Fenced: somebody took the log over meanwhile.
        DamagedLog: not one segment can be read.
        StoreError: the disk fails or is full.
    """
    with named_errors(directory.path, "open the log"):
        try:
            found = _find_end(directory, lock)
        except DamagedLog:
            require_newest(directory, lock)
            raise
        require_newest(directory, lock)
        return found


def require_newest(directory: StoreDirectory, lock: LockFile) -> None:
    """Check that nobody took the log over while we looked for its end.

    If somebody did, files come and go: what seems damaged is only of yesterday, what seems torn is being written, and
    a frame may have come too late for the other one to find it. None of it is ours to mend, to tell or to show.

    Raises:
        Fenced: somebody did.
    """
    if lock.look().is_superseded:
        raise fenced(directory, None)


def require_own(directory: StoreDirectory, tail: Tail, lock: LockFile) -> Tail:
    """Check that a tail is not of a later epoch than the lock: another thread may have followed a takeover.

    Raises:
        Fenced: it is, so its file is another process's to write to.
    """
    if tail.segments[-1].epoch > lock.epoch:
        raise fenced(directory, recorded=False)
    return tail


def _find_end(directory: StoreDirectory, lock: LockFile) -> tuple[Tail, str]:
    segments = directory.segments()
    if segments and segments[-1].epoch < lock.epoch:
        with suppress(DamagedLog):  # it is found again below
            return begin_epoch(directory, lock), ""
    return find_tail(directory, lock.look().point or known_point(directory), write=True)


def begun(directory: StoreDirectory, tail: Tail, lock: LockFile, look: Look) -> Tail:
    """Follow the commit point of a lock that is held; where there is none, begin the epoch if nobody has.

    Raises:
        DamagedLog: the log is damaged.
        LogFailed: the end of the log as it was seen last is undone.
    """
    if look.point is not None or tail.segments[-1].epoch == lock.epoch:
        return reach(directory, tail, look.point, write=True)
    found, damage = find_end(directory, lock)
    if damage:
        raise DamagedLog(damage, position=found.head.position + 1)
    return follow(directory, tail, found.point, write=True)


def begin_epoch(directory: StoreDirectory, lock: LockFile) -> Tail:
    """Begin the epoch of a lock file, which is held, and give the log's tail, in the epoch's first segment.

    Raises:
        DamagedLog: the log is damaged; it cannot be taken over.
        OSError: the disk fails or is full; the next writer begins the epoch.
    """
    directory.sync_names()
    older = [epoch for epoch in directory.lock_epochs() if epoch < lock.epoch]
    for epoch in older:
        superseded = _lock_file(directory, epoch, write=True)
        if superseded is not None:
            superseded.supersede(lock.epoch)
    tail = None
    while tail is None:
        found, damage = find_tail(directory, known_point(directory), write=True)
        if damage:
            raise DamagedLog(damage, position=found.head.position + 1)
        tail = _first_segment(directory, found, lock.epoch)
    for name in set(directory.segment_files()) - set(directory.segments()):
        for path in (directory.segment_path(name), index_path(directory.segment_path(name))):
            directory.disk.unlink(path)
    for epoch in older:
        directory.disk.unlink(directory.lock_path(epoch))
    return tail


def known_point(directory: StoreDirectory) -> CommitPoint | None:
    """Give the commit point of the latest epoch that has one."""
    for epoch in reversed(directory.lock_epochs()):
        lock = _lock_file(directory, epoch, write=False)
        point = None if lock is None else lock.look().point
        if point is not None:
            return point
    return None


def find_durable_tail(directory: StoreDirectory) -> tuple[Tail, str]:
    """Find the end of a log for one who only reads, and say what is damaged there ('' if nothing).

    What is behind the commit point is shown only if nobody is writing, nor taking over, and it is synced first: it
    may be taken back by its writer, or not be found by who takes over.

    Raises:
        DamagedLog: not one segment can be read.
        StoreError: the disk fails.
    """
    while True:
        segments = directory.segments()
        try:
            tail, damage = _durable_tail(directory)
        except DamagedLog:
            if directory.segments() == segments:
                raise
        else:
            if not damage or directory.segments() == segments:  # else somebody took over: then files come and go
                return tail, damage


def _durable_tail(directory: StoreDirectory) -> tuple[Tail, str]:
    for _ in range(_TRIES):
        with named_errors(directory.path, "read the log"), _locks_if_free(directory) as idle_epochs:
            point = known_point(directory)
            tail, damage = find_tail(directory, point, write=False)
            if damage or (point is not None and tail.point == point):
                return tail, damage
            # A takeover that begins from now on finds this end, too; one that began meanwhile may have looked before.
            if directory.lock_epochs() == idle_epochs:
                return _synced(directory, tail), ""
            durable = None if point is None else at_point(directory, point)
            if durable is not None:
                return durable, ""
        time.sleep(_TRY_AGAIN_S)  # a log is being opened, or taken over, and will have a commit point
    with named_errors(directory.path, "read the log"):
        return _synced(directory, tail), ""


def _synced(directory: StoreDirectory, tail: Tail) -> Tail:
    """Make what was found durable, the names of its files included."""
    tail.file.sync()
    directory.sync_names()
    return tail


@contextmanager
def _locks_if_free(directory: StoreDirectory) -> Iterator[list[int] | None]:
    """Give the epochs if nobody holds the lock of any, nor will until the context ends; readers share the locks.

    None: somebody is writing.
    """
    epochs = directory.lock_epochs()
    locks = [_lock_file(directory, epoch, write=False) for epoch in epochs]
    held: list[LockFile] = []
    try:
        for lock in locks:
            if lock is None or not lock.share():
                yield None
                return
            held.append(lock)
        yield epochs
    finally:
        for lock in held:
            with suppress(OSError):  # closing the file gives the lock back too
                lock.release()


def is_recorded(directory: StoreDirectory, tail: Tail) -> bool | None:
    """Say whether a log that was taken over holds the last frame before a tail; None: it is not decided yet."""
    with suppress(StoreError, OSError):
        segments = directory.segments()
        if segments[-1].epoch > tail.segments[-1].epoch:
            return _holds(directory, segments, tail.head)
    return None


def _holds(directory: StoreDirectory, segments: tuple[SegmentName, ...], head: Head) -> bool:
    """Say whether the log has a frame that ends at a head."""
    newest = directory.open_segment(segments[-1], write=False)
    try:
        header, frame = next(frames_between(directory, newest, segments, head.position, head.position))
    except DamagedLog:  # it ends before
        return False
    return header.last == head.position and chain_after(frame, header) == head.chain


def _lock_file(directory: StoreDirectory, epoch: int, *, write: bool) -> LockFile | None:
    """Open an epoch's lock file; None if a takeover has removed it meanwhile."""
    path = directory.lock_path(epoch)
    with suppress(FileNotFoundError):
        file = OpenFile(directory.disk, directory.disk.open(path, write=write))
        return LockFile(file, path, epoch, directory.memory_id)
    return None


def _first_segment(directory: StoreDirectory, tail: Tail, epoch: int) -> Tail | None:
    """Make an epoch's first segment; None if the last frame is gone, because its writer could not sync it."""
    if tail.segments[-1].epoch >= epoch:
        return tail  # made already, by one who died before it was done
    tail.file.sync()  # what is before the last frame may have been found, not acknowledged
    frame, first, chain_before = b"", tail.head.position + 1, tail.head.chain
    if tail.frame_at:
        frame = tail.file.read(tail.offset - tail.frame_at, tail.frame_at)
        if whole_frame(frame, 0, directory.memory_id) is None:
            return None
        first, chain_before = frame_header(frame).first, frame_header(frame).chain_before
    name = SegmentName(first, epoch)
    header = SegmentHeader(directory.memory_id, first, max(epoch, tail.head.epoch), chain_before)
    file = SegmentFile.create(directory.disk, directory.segment_path(name), name, header, frame=frame)
    directory.sync_names()
    kept = tuple(other for other in tail.segments if other.first < first)
    started = Tail.before(file, (*kept, name))
    return started.behind(frame_header(frame), tail.head.chain, started.offset) if frame else started
