"""The file that writers lock, and the *mark* in it: up to where the log is known to be durable.

A frame is in the file before its sync, so that it is there says nothing yet. Who holds the lock writes the mark after
the sync and before anybody is told; the next one sees by it whether a writer died in between, and readers see by it
what they may show. The mark itself is never synced: one that is old, torn or lost in a power cut only makes the next
writer sync once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from struct import Struct
from typing import Final, NamedTuple

from memorygraph.events.disk import Disk
from memorygraph.events.stores.segment_file import OpenFile, write_all

_MARK: Final = Struct("<QQ32s")


class Mark(NamedTuple):
    """A place up to which a log is durable: the last position, the first one of its segment, and the chain."""

    position: int
    segment: int
    chain: bytes


NO_MARK: Final = Mark(0, 0, b"")


class LockFile(OpenFile):
    """The open lock file of a store; every method may raise ``OSError``."""

    __slots__ = ()

    def lock(self) -> None:
        """Wait for the lock."""
        self.disk.lock(self.fd)

    def unlock(self) -> None:
        """Give the lock back."""
        self.disk.unlock(self.fd)

    def read_mark(self) -> Mark:
        """Give the mark; ``NO_MARK`` where there is none."""
        data = self.disk.pread(self.fd, _MARK.size, 0)
        return Mark._make(_MARK.unpack(data)) if len(data) == _MARK.size else NO_MARK

    def write_mark(self, mark: Mark) -> None:
        """Say that the log is durable up to there; the lock is held."""
        write_all(self.disk, self.fd, _MARK.pack(*mark), 0)


@contextmanager
def locked_if_free(disk: Disk, path: str) -> Iterator[tuple[Mark, bool]]:
    """Give the mark, and whether nobody is writing, nor will be until the context ends; readers share this lock.

    It has a descriptor of its own: a thread that appends holds the log's. Where there is no lock file (a copy, a
    read-only place), nobody writes.
    """
    try:
        file = LockFile(disk, disk.open(path, write=False))
    except FileNotFoundError:
        yield NO_MARK, True
        return
    is_held = disk.try_lock_shared(file.fd)
    try:
        yield file.read_mark(), is_held
    finally:
        if is_held:
            with suppress(OSError):  # closing the file gives the lock back too
                file.unlock()
