"""Where snapshot files live: a folder ``snapshots`` in the store's directory, or this process's memory.

A file is written under a temporary name, synced, renamed, and its directory synced. Bytes are synced as they come, in
steps, so that no long write stands in the way of the log's short ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Final

from memorygraph.events.disk import Disk
from memorygraph.events.errors import StoreError
from memorygraph.events.snapshots import SnapshotDraft, SnapshotFile, SnapshotFiles
from memorygraph.events.stores.directory import named_errors
from memorygraph.events.stores.segment_file import OpenFile, write_all

SYNC_BYTES: Final = 4 << 20
_LOCK: Final = "lock"
_NAME: Final = re.compile(r"(\d{20})\.snap")


class SnapshotDirectory(SnapshotFiles):
    """Snapshot files in a directory, which is made with the first of them."""

    is_lasting = True

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._thread = Lock()  # a process that holds the file's lock is not kept out by it

    def positions(self) -> list[int]:
        """Return the positions of the files that are there, rising; none if the directory cannot be read."""
        try:
            names = self._disk.listdir(self._path)
        except OSError:
            return []
        return [int(match[1]) for match in map(_NAME.fullmatch, names) if match]

    def open(self, position: int) -> SnapshotFile:
        """Open a file."""
        path = self._path_of(position)
        with named_errors(path, "open the snapshot"):
            return _DiskFile(OpenFile(self._disk, self._disk.open(path, write=False)), path)

    def draft(self, position: int) -> SnapshotDraft:
        """Begin a file."""
        return _DiskDraft(self._disk, self._path, self._path_of(position))

    def remove(self, position: int) -> None:
        """Remove a file, if it is there."""
        path = self._path_of(position)
        with named_errors(path, "remove the snapshot"):
            self._disk.unlink(path)

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Hold the right to write, if nobody else has it."""
        if not self._thread.acquire(blocking=False):
            yield False
            return
        process = os.getpid()
        try:
            with named_errors(self._path, "lock the snapshots"):
                file = self._open_lock()
                has_it = self._disk.lock(file.fd, 0.0)
            try:
                if has_it:
                    self._clean()
                yield has_it
            finally:
                if has_it and process == os.getpid():  # a child forked meanwhile leaves its parent's lock alone
                    with suppress(OSError):  # it goes with the descriptor
                        self._disk.unlock(file.fd)
        finally:
            self._thread.release()

    def _open_lock(self) -> OpenFile:
        if not self._disk.exists(self._path):
            self._disk.mkdir(self._path)
            self._disk.sync_directory(self._path.rpartition("/")[0])
        return OpenFile(self._disk, self._disk.create(f"{self._path}/{_LOCK}", truncate=False))

    def _clean(self) -> None:
        with suppress(OSError):  # what cannot be removed now takes space until it can
            for name in self._disk.listdir(self._path):
                if name.endswith(".tmp"):
                    self._disk.unlink(f"{self._path}/{name}")

    def _path_of(self, position: int) -> str:
        return f"{self._path}/{position:020d}.snap"


class _DiskFile(SnapshotFile):
    def __init__(self, file: OpenFile, path: str) -> None:
        self._file = file
        self._path = path
        self.size_bytes = file.disk.size_bytes(file.fd)

    def read(self, size_bytes: int, offset: int) -> bytes:
        with named_errors(self._path, "read the snapshot"):
            return self._file.disk.pread(self._file.fd, size_bytes, offset)


class _DiskDraft(SnapshotDraft):
    def __init__(self, disk: Disk, directory: str, path: str) -> None:
        self._disk = disk
        self._directory = directory
        self._path = path
        self._temporary = f"{path}.tmp"
        self._size_bytes = self._synced_bytes = 0
        self._process = os.getpid()
        with named_errors(path, "begin the snapshot"):
            self._file = OpenFile(disk, disk.create(self._temporary))

    def write(self, data: bytes) -> None:
        with named_errors(self._path, "write the snapshot"):
            write_all(self._disk, self._file.fd, data, self._size_bytes)
            self._size_bytes += len(data)
            if self._size_bytes - self._synced_bytes >= SYNC_BYTES:
                self._disk.sync(self._file.fd)
                self._synced_bytes = self._size_bytes

    def finish(self) -> None:
        with named_errors(self._path, "finish the snapshot"):
            self._disk.sync(self._file.fd)
            self._disk.rename(self._temporary, self._path)
            self._disk.sync_directory(self._directory)

    def discard(self) -> None:
        if self._process == os.getpid():  # in a child forked meanwhile, the file is its parent's
            with suppress(OSError):  # the next writer removes it
                self._disk.unlink(self._temporary)


class MemorySnapshots(SnapshotFiles):
    """Snapshot files in this process's memory."""

    is_lasting = False

    def __init__(self) -> None:
        self._files: dict[int, bytes] = {}
        self._thread = Lock()

    def positions(self) -> list[int]:
        """Return the positions of the files that are there, rising."""
        return sorted(self._files)

    def open(self, position: int) -> SnapshotFile:
        """Open a file."""
        try:
            return _Bytes(self._files[position])
        except KeyError as error:
            raise StoreError(f"there is no snapshot of position {position}", position=position) from error

    def draft(self, position: int) -> SnapshotDraft:
        """Begin a file."""
        return _MemoryDraft(self._files, position)

    def remove(self, position: int) -> None:
        """Remove a file, if it is there."""
        self._files.pop(position, None)

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Hold the right to write, if nobody else has it."""
        has_it = self._thread.acquire(blocking=False)
        try:
            yield has_it
        finally:
            if has_it:
                self._thread.release()


class _Bytes(SnapshotFile):
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read(self, size_bytes: int, offset: int) -> bytes:
        return self._data[offset : offset + size_bytes]


class _MemoryDraft(SnapshotDraft):
    def __init__(self, files: dict[int, bytes], position: int) -> None:
        self._files = files
        self._position = position
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._parts.append(data)

    def finish(self) -> None:
        self._files[self._position] = b"".join(self._parts)

    def discard(self) -> None:
        self._parts.clear()
