"""Disks that fail: at the n-th call, when they are full, or by forgetting what was not synced."""

from __future__ import annotations

import errno
import os
from itertools import count
from pathlib import Path

from memorygraph.events.disk import OsDisk


class NoSyncDisk(OsDisk):
    """The operating system's disk without the waiting: for tests that cut no power."""

    def start_writing(self, fd: int, offset: int, size_bytes: int) -> None:
        pass

    def sync(self, fd: int) -> None:
        os.fstat(fd)

    def sync_directory(self, path: str) -> None:
        Path(path).stat()


class FaultyDisk(NoSyncDisk):
    """Fails at the n-th call that changes something (``fail_at``), in one of three ways, once.

    "error": the call does nothing and raises EIO. "short": a write writes half and says so (any other call raises).
    "late": the call is done, then raises EIO, as a sync may.
    """

    def __init__(self, fail_at: int, kind: str) -> None:
        self.calls = 0
        self.fail_at = fail_at
        self.kind = kind

    @property
    def failed(self) -> bool:
        return self.calls >= self.fail_at

    def _is_due(self) -> bool:
        self.calls += 1
        return self.calls == self.fail_at

    def _around(self, call, *args, **options):
        if not self._is_due():
            return call(*args, **options)
        if self.kind == "late":
            call(*args, **options)
        raise OSError(errno.EIO, "Input/output error")

    def create(self, path: str, *, truncate: bool = True) -> int:
        return self._around(super().create, path, truncate=truncate) if self.kind != "late" else super().create(path)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        if self.kind == "short" and self.calls + 1 == self.fail_at:
            self.calls += 1
            return super().pwrite(fd, data[: len(data) // 2], offset)
        return self._around(super().pwrite, fd, data, offset)

    def sync(self, fd: int) -> None:
        self._around(super().sync, fd)

    def truncate(self, fd: int, size_bytes: int) -> None:
        self._around(super().truncate, fd, size_bytes)

    def rename(self, source: str, target: str) -> None:
        self._around(super().rename, source, target)

    def mkdir(self, path: str) -> None:
        self._around(super().mkdir, path)

    def sync_directory(self, path: str) -> None:
        self._around(super().sync_directory, path)


class SmallDisk(NoSyncDisk):
    """Has ``free_bytes`` left: writes that make a file longer are cut there, and then refused with ENOSPC."""

    def __init__(self, free_bytes: int) -> None:
        self.free_bytes = free_bytes

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        room = max(self.size_bytes(fd) - offset, 0) + self.free_bytes
        if room == 0 and data:
            raise OSError(errno.ENOSPC, "No space left on device")
        before = self.size_bytes(fd)
        written = super().pwrite(fd, data[:room], offset)
        self.free_bytes -= self.size_bytes(fd) - before
        return written

    def truncate(self, fd: int, size_bytes: int) -> None:
        self.free_bytes += self.size_bytes(fd) - size_bytes
        super().truncate(fd, size_bytes)


class VolatileDisk(OsDisk):
    """Forgets, at ``cut_power``, the writes and names that were not synced.

    With ``forgets_next_sync`` the next sync fails, and what it should have written is never written, though it shows
    and later syncs report success: as Linux does after an I/O error.
    """

    def __init__(self) -> None:
        self._data: dict[int, list[tuple[int, int, bytes, int]]] = {}  # inode: (own descriptor, offset, bytes, size)
        self._names: dict[str, list[tuple[str, str, str]]] = {}  # directory: (name now, name before or '', replaced)
        self._own: dict[int, int] = {}
        self._lost: list[tuple[int, int, int, bytes, int]] = []  # inode and the fields of ``_data``
        self.forgets_next_sync = False
        self._numbers = count()

    def create(self, path: str, *, truncate: bool = True) -> int:
        if not self.exists(path):
            self._names.setdefault(str(Path(path).parent), []).append((path, "", ""))
        return super().create(path, truncate=truncate)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        inode = os.fstat(fd).st_ino
        own = self._own.setdefault(inode, -1)
        if own < 0:
            own = self._own[inode] = os.dup(fd)
        self._data.setdefault(inode, []).append((own, offset, self.pread(fd, len(data), offset), self.size_bytes(fd)))
        self._lost = [one for one in self._lost if (one[0], one[2], len(one[3])) != (inode, offset, len(data))]
        return super().pwrite(fd, data, offset)

    def sync(self, fd: int) -> None:
        inode = os.fstat(fd).st_ino
        writes, self._data[inode] = self._data.get(inode, []), []
        if self.forgets_next_sync:
            self.forgets_next_sync = False
            self._lost += [(inode, *write) for write in writes]
            raise OSError(errno.EIO, "Input/output error")

    def rename(self, source: str, target: str) -> None:
        replaced = ""
        if self.exists(target):
            replaced = f"{target}.replaced-{next(self._numbers)}"
            os.link(target, replaced)
        self._names.setdefault(str(Path(target).parent), []).append((target, source, replaced))
        super().rename(source, target)

    def sync_directory(self, path: str) -> None:
        for *_, replaced in self._names.pop(path, []):
            if replaced:
                Path(replaced).unlink()

    def cut_power(self) -> None:
        for inode, *write in self._lost:
            self._data.setdefault(inode, []).insert(0, tuple(write))
        for writes in self._data.values():
            for fd, offset, data, size_bytes in reversed(writes):
                os.pwrite(fd, data, offset)
                os.ftruncate(fd, size_bytes)
        for names in self._names.values():
            for name, before, replaced in reversed(names):
                if before:
                    Path(name).rename(before)
                else:
                    Path(name).unlink(missing_ok=True)
                if replaced:
                    Path(replaced).rename(name)
        for fd in self._own.values():
            os.close(fd)
        self.__init__()
