"""The disk port: every touch of the file system by the segment store, so that tests can put a failing disk under it.

A disk gives plain operating system calls and their ``OSError``; what a failure means is decided by the store. Files
are numbers (descriptors) with positioned reads and writes, so threads share them without a seek position.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import Final, Protocol

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Disk(Protocol):
    """What the segment store asks of a file system; every method may raise ``OSError``."""

    def open(self, path: str, *, write: bool) -> int:
        """Open an existing file and give its descriptor."""
        ...

    def create(self, path: str, *, truncate: bool = True) -> int:
        """Open a file for writing, making it if it is missing and emptying it if ``truncate``."""
        ...

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        ...

    def pread(self, fd: int, size_bytes: int, offset: int) -> bytes:
        """Read up to ``size_bytes`` at ``offset``; fewer at the end of the file."""
        ...

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Write ``data`` at ``offset`` and give how many bytes were written."""
        ...

    def sync(self, fd: int) -> None:
        """Return when the file's data and length are on stable storage."""
        ...

    def size_bytes(self, fd: int) -> int:
        """Give the length of an open file."""
        ...

    def truncate(self, fd: int, size_bytes: int) -> None:
        """Set the length of an open file."""
        ...

    def lock(self, fd: int) -> None:
        """Wait for the exclusive lock of an open file (released by ``unlock`` or the death of the process)."""
        ...

    def try_lock_shared(self, fd: int) -> bool:
        """Take the lock of an open file together with others who share it, unless somebody has it alone; say which."""
        ...

    def try_lock(self, fd: int) -> bool:
        """Take the exclusive lock of an open file if nobody else has it, and say whether so."""
        ...

    def unlock(self, fd: int) -> None:
        """Release the lock of an open file."""
        ...

    def exists(self, path: str) -> bool:
        """Say whether there is something at ``path``."""
        ...

    def listdir(self, path: str) -> list[str]:
        """Give the names in a directory, sorted."""
        ...

    def mkdir(self, path: str) -> None:
        """Make a directory, unless it exists."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Give a file its new name, replacing what had it."""
        ...

    def unlink(self, path: str) -> None:
        """Remove a file, if it exists."""
        ...

    def sync_directory(self, path: str) -> None:
        """Return when the names in a directory are on stable storage."""
        ...


def is_full(error: OSError) -> bool:
    """Say whether the error means that there is no room: the disk, a quota or a file size limit."""
    return error.errno in _NO_SPACE


class OsDisk:
    """The operating system's file system, on Linux and macOS."""

    def open(self, path: str, *, write: bool) -> int:
        """Open an existing file."""
        return os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC)

    def create(self, path: str, *, truncate: bool = True) -> int:
        """Open a file for writing, making it if it is missing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if truncate else 0), 0o666)

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        os.close(fd)

    def pread(self, fd: int, size_bytes: int, offset: int) -> bytes:
        """Read at an offset."""
        return os.pread(fd, size_bytes, offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Write at an offset."""
        return os.pwrite(fd, data, offset)

    def sync(self, fd: int) -> None:
        """Sync data: fdatasync on Linux; F_FULLFSYNC on macOS, where fsync does not reach the platters."""
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(fd)

    def size_bytes(self, fd: int) -> int:
        """Give the length of an open file."""
        return os.fstat(fd).st_size

    def truncate(self, fd: int, size_bytes: int) -> None:
        """Set the length of an open file."""
        os.ftruncate(fd, size_bytes)

    def lock(self, fd: int) -> None:
        """Take the flock, waiting for it."""
        fcntl.flock(fd, fcntl.LOCK_EX)

    def try_lock_shared(self, fd: int) -> bool:
        """Take the flock with others, unless somebody has it alone."""
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def try_lock(self, fd: int) -> bool:
        """Take the flock without waiting."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, fd: int) -> None:
        """Release the flock."""
        fcntl.flock(fd, fcntl.LOCK_UN)

    def exists(self, path: str) -> bool:
        """Say whether there is something at ``path``; an error is no answer, as whoever asks may build on it."""
        try:
            Path(path).stat()
        except FileNotFoundError:
            return False
        return True

    def listdir(self, path: str) -> list[str]:
        """Give the sorted names in a directory."""
        return sorted(entry.name for entry in Path(path).iterdir())

    def mkdir(self, path: str) -> None:
        """Make a directory, unless it exists."""
        Path(path).mkdir(exist_ok=True)

    def rename(self, source: str, target: str) -> None:
        """Replace ``target`` by ``source``."""
        Path(source).replace(target)

    def unlink(self, path: str) -> None:
        """Remove a file, if it exists."""
        Path(path).unlink(missing_ok=True)

    def sync_directory(self, path: str) -> None:
        """Sync a directory."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
