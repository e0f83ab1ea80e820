"""The disk port: every touch of the file system by the segment store, so that tests can put a failing disk under it.

A disk gives plain operating system calls and their ``OSError``; what a failure means is decided by the store. Files
are numbers (descriptors) with positioned reads and writes, so threads share them without a seek position.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, cast

_WAIT_MIN_S: Final = 50e-6  # about a commit on a fast disk, so that those who take turns lose little
_WAIT_MAX_S: Final = 2e-3
# A store is no place for links and pipes: who prepares one could have us write elsewhere, or wait for ever.
_PLAIN: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ZEROS: Final = bytes(256 << 10)  # at a time, so that who writes to the same file meanwhile waits little
_SYNC_FILE_RANGE_WRITE: Final = 2


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Look for Linux's call in the C library; Python has no name for it."""
    if sys.platform != "linux":
        return None
    try:
        call = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return cast("Callable[[int, int, int, int], int]", call)


_sync_file_range: Final = _find_sync_file_range()


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

    def pwrite(self, fd: int, data: bytes | bytearray, offset: int) -> int:
        """Write ``data`` at ``offset`` and give how many bytes were written."""
        ...

    def append_zeros(self, path: str, size_bytes: int) -> None:
        """Make an existing file longer by that many zeros, wherever it ends by then: nothing in it is written over."""
        ...

    def start_writing(self, fd: int, offset: int, size_bytes: int) -> None:
        """Begin to bring a part of a file to stable storage; only ``sync`` says that it is there, or why not."""
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

    def lock(self, fd: int, timeout_s: float) -> bool:
        """Wait that long for the exclusive lock of an open file; say whether it was got.

        It is released by ``unlock``, by closing the file, or by the death of the process.
        """
        ...

    def lock_holder(self, fd: int) -> int:
        """Give the id of the process that holds the lock of an open file; 0 if none does or it is not known."""
        ...

    def try_lock_shared(self, fd: int) -> bool:
        """Take the lock of an open file together with others who share it, unless somebody has it alone; say which."""
        ...

    def unlock(self, fd: int) -> None:
        """Release the lock of an open file."""
        ...

    def exists(self, path: str) -> bool:
        """Say whether there is something at ``path``."""
        ...

    def is_link(self, path: str) -> bool:
        """Say whether ``path`` is a symbolic link."""
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
        return os.open(path, (os.O_RDWR if write else os.O_RDONLY) | _PLAIN)

    def create(self, path: str, *, truncate: bool = True) -> int:
        """Open a file for writing, making it if it is missing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | _PLAIN | (os.O_TRUNC if truncate else 0), 0o666)

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        os.close(fd)

    def pread(self, fd: int, size_bytes: int, offset: int) -> bytes:
        """Read at an offset."""
        return os.pread(fd, size_bytes, offset)

    def pwrite(self, fd: int, data: bytes | bytearray, offset: int) -> int:
        """Write at an offset."""
        return os.pwrite(fd, data, offset)

    def append_zeros(self, path: str, size_bytes: int) -> None:
        """Write zeros with O_APPEND: the system looks for the end and writes there in one step."""
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | _PLAIN)
        try:
            left_bytes = size_bytes
            while left_bytes > 0:
                left_bytes -= os.write(fd, memoryview(_ZEROS)[:left_bytes])
        finally:
            os.close(fd)

    def start_writing(self, fd: int, offset: int, size_bytes: int) -> None:
        """Hand dirty pages to the disk and do not wait, where the system can; errors are kept for the sync."""
        if _sync_file_range is not None:
            _sync_file_range(fd, offset, size_bytes, _SYNC_FILE_RANGE_WRITE)

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

    def lock(self, fd: int, timeout_s: float) -> bool:
        """Try to take the flock until the time is over; a waiting flock could not be given up."""
        wait_s, deadline_s = _WAIT_MIN_S, 0.0
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                now_s = time.monotonic()
                deadline_s = deadline_s or now_s + timeout_s
                if now_s >= deadline_s:
                    return False
                time.sleep(min(wait_s, deadline_s - now_s))
                wait_s = min(wait_s * 1.5, _WAIT_MAX_S)
            else:
                return True

    def lock_holder(self, fd: int) -> int:
        """Look the file up in the list of locks that Linux keeps."""
        number = f":{os.fstat(fd).st_ino} "
        try:
            locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
        except OSError:
            return 0
        held = [line.split() for line in locks if number in line and "->" not in line and "FLOCK" in line]
        return max(int(held[0][4]), 0) if held else 0

    def try_lock_shared(self, fd: int) -> bool:
        """Take the flock with others, unless somebody has it alone."""
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, fd: int) -> None:
        """Release the flock."""
        fcntl.flock(fd, fcntl.LOCK_UN)

    def exists(self, path: str) -> bool:
        """Say whether there is something at ``path``; an error is no answer, as whoever asks may build on it."""
        try:
            Path(path).lstat()
        except FileNotFoundError:
            return False
        return True

    def is_link(self, path: str) -> bool:
        """Say whether ``path`` is a symbolic link."""
        return Path(path).is_symlink()

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
