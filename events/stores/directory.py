"""The segment store's directory: telling whose it is, and making it so that a crash leaves nothing half made.

``MEMORY`` is written last, by rename. A directory without it that holds nothing but our own first files was being
made when its maker died; the next one to open it for writing finishes it, and keeps what it holds.

Names carry the epoch: ``lock-2`` and ``log/<first>-2.seg`` are of the second. A segment of a later epoch ends those
before it: from its first position on, nothing of an earlier epoch exists, whatever a writer that was shut out may
still do to its files (decision 0003).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from memorygraph.events.disk import Disk, is_full
from memorygraph.events.errors import (
    DamagedLog,
    DiskFull,
    ForeignStore,
    InputError,
    LogLocked,
    NewerFormat,
    StoreError,
    StoreNotFound,
)
from memorygraph.events.frames import NO_CHAIN
from memorygraph.events.ports import Clock
from memorygraph.events.stores.lock_file import LOCK_TIMEOUT_S, LockFile
from memorygraph.events.stores.segment_file import OpenFile, SegmentFile, SegmentHeader, SegmentName, write_all

FORMAT: Final = "memorygraph"
VERSION: Final = 1

_MEMORY: Final = "MEMORY"
_LOCK: Final = "lock"
_LOG: Final = "log"
_REWRITE_LOCK: Final = "rewrite.lock"
_SNAPSHOTS: Final = "snapshots"
_HEADS: Final = "heads.jsonl"  # signed heads, kept beside the log by who signs them
_OURS: Final = frozenset({_MEMORY, f"{_MEMORY}.tmp", _REWRITE_LOCK, _LOG, _SNAPSHOTS, _HEADS})
_NOT_OURS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL})  # of directories made by others
_LOCK_NAME: Final = re.compile(r"lock(?:-(\d{1,10}))?")
_SEGMENT_NAME: Final = re.compile(r"(\d{20})(?:-(\d{1,10}))?\.seg")
_LOG_NAME: Final = re.compile(r"\d{20}(-\d+)?\.(seg|idx)(\.tmp|\.torn-\d+(-\d+)?)?")


class MemoryFile(msgspec.Struct, frozen=True):
    """The content of ``MEMORY``; ``memory_id`` is 32 hexadecimal digits."""

    format: str
    version: int
    memory_id: str = ""
    created_us: int = 0


def named(error: OSError, path: str, doing: str) -> StoreError:
    """Make a ``DiskFull`` or ``StoreError`` that says what could not be done."""
    cls = DiskFull if is_full(error) else StoreError
    reason = "a file of it is a symbolic link" if error.errno == errno.ELOOP else error.strerror or error
    return cls(f"{path}: cannot {doing}: {reason}", path=path)


@contextmanager
def named_errors(path: str, doing: str) -> Iterator[None]:
    """Turn an ``OSError`` into a ``DiskFull`` or ``StoreError`` that says what could not be done."""
    try:
        yield
    except OSError as error:
        raise named(error, path, doing) from error


def _in_force(names: Iterable[SegmentName]) -> tuple[SegmentName, ...]:
    """Drop the segments that a later epoch ended before they began."""
    kept: list[SegmentName] = []
    for name in sorted(names, key=lambda name: (name.epoch, name.first)):
        while kept and kept[-1].first >= name.first:
            kept.pop()
        kept.append(name)
    return tuple(kept)


class StoreDirectory:
    """The names in a store's directory, and its identity."""

    def __init__(self, disk: Disk, path: str | os.PathLike[str]) -> None:
        self.disk = disk
        if "\0" in os.fspath(path):
            raise InputError(f"a path cannot hold a null character: {os.fspath(path)!r}")
        self.path = str(Path(path).absolute())
        self.log_path = f"{self.path}/{_LOG}"
        self.snapshots_path = f"{self.path}/{_SNAPSHOTS}"
        self.memory_id = b""  # known once identified

    def segment_path(self, name: SegmentName) -> str:
        """Give the path of a segment."""
        return f"{self.log_path}/{name.text}"

    def has_segment(self, name: SegmentName) -> bool:
        """Say whether there is that segment."""
        path = self.segment_path(name)
        with named_errors(path, "look for the next segment"):
            return self.disk.exists(path)

    def open_segment(self, name: SegmentName, *, write: bool) -> SegmentFile:
        """Open a segment.

        Raises:
            DamagedLog: it is missing, or its header is damaged or another segment's.
            StoreError: the disk cannot open or read it.
        """
        file = SegmentFile.open(self.disk, self.segment_path(name), name, write=write)
        if self.memory_id not in {b"", file.header.memory_id}:
            raise DamagedLog(f"{file.path}: this segment belongs elsewhere", where=file.path, position=name.first)
        return file

    def segments(self) -> tuple[SegmentName, ...]:
        """List the segments that make up the log, in order."""
        return _in_force(self.segment_files())

    def segment_files(self) -> list[SegmentName]:
        """List all segments that are there, also those that a later epoch ended before they began."""
        with named_errors(self.log_path, "list the log's segments"):
            names = self.disk.listdir(self.log_path)
        return [
            SegmentName(int(match[1]), int(match[2] or 1)) for match in map(_SEGMENT_NAME.fullmatch, names) if match
        ]

    def log_sizes_bytes(self) -> int:
        """Sum the lengths of all files of the log; one that is renamed or removed meanwhile is passed over."""
        total = 0
        with named_errors(self.log_path, "measure the log"):
            for name in self.disk.listdir(self.log_path):
                with suppress(FileNotFoundError):
                    file = OpenFile(self.disk, self.disk.open(f"{self.log_path}/{name}", write=False))
                    total += self.disk.size_bytes(file.fd)
        return total

    # -- epochs --------------------------------------------------------------------------------------------------

    def lock_epochs(self) -> list[int]:
        """List the epochs that have a lock file, rising."""
        with named_errors(self.path, "open the lock file"):
            matches = map(_LOCK_NAME.fullmatch, self.disk.listdir(self.path))
        return sorted(int(match[1] or 1) for match in matches if match)

    def lock_path(self, epoch: int) -> str:
        """Give the path of an epoch's lock file."""
        return f"{self.path}/{_LOCK}" if epoch == 1 else f"{self.path}/{_LOCK}-{epoch}"

    def epoch(self) -> int:
        """Give the present epoch."""
        return max([1, *self.lock_epochs(), *(name.epoch for name in self.segment_files())])

    def open_lock(self, *, write: bool, epoch: int = 0) -> LockFile | None:
        """Open the lock file of the present epoch, or of ``epoch`` if that is later.

        With ``write`` it is made if it is missing, else there may be none.
        """
        with named_errors(self.path, "open the lock file"):
            while True:
                present = max(self.epoch(), epoch)
                path = self.lock_path(present)
                try:
                    fd = self.disk.create(path, truncate=False) if write else self.disk.open(path, write=False)
                except FileNotFoundError:
                    return None
                lock = LockFile(OpenFile(self.disk, fd), path, present, self.memory_id)
                # The file may be one that a takeover removed, and we have made it again: then its successor is there.
                if max(self.epoch(), epoch) == present:
                    return lock

    @contextmanager
    def rewriting(self) -> Iterator[None]:
        """Exclude others who rewrite segments of this store, in this process and in others; writers go on."""
        with named_errors(self.path, "rewrite the log"):
            lock = OpenFile(self.disk, self.disk.create(f"{self.path}/{_REWRITE_LOCK}", truncate=False))
            if not self.disk.lock(lock.fd, LOCK_TIMEOUT_S):  # released with the file
                pid = self.disk.lock_holder(lock.fd)
                raise LogLocked(
                    f"{self.path}: {f'process {pid}' if pid else 'another process'} has been rewriting the log for "
                    f"more than {LOCK_TIMEOUT_S:.0f} s; try again later",
                    path=self.path,
                    pid=pid,
                )
            yield

    def sync_names(self) -> None:
        """Make the names of the store and of its segments durable."""
        self.disk.sync_directory(self.log_path)
        self.disk.sync_directory(self.path)

    def identify(self, *, create: bool, memory_id: bytes | None, clock: Clock) -> bytes:
        """Give the id of the memory in this directory, making or finishing the store if it may be made.

        Raises:
            StoreNotFound: there is none, and ``create`` is False.
            ForeignStore: something else is there, or another memory than ``memory_id``.
            NewerFormat: a newer release made it.
            DiskFull, StoreError: the directory cannot be read or made.
        """
        with named_errors(self.path, "open the memory"):
            names = self._names()
            self._require_no_links(names)
            if _MEMORY not in names:
                self._require_ours(names)
                if not create:
                    raise StoreNotFound(
                        f"{self.path}: there is no memory here; open it for writing to make one", path=self.path
                    )
                self._make(memory_id or os.urandom(16), clock)
            found = self._read_memory_file()
        if memory_id not in {None, found}:
            raise ForeignStore(
                f"{self.path}: holds another memory ({found.hex()}); choose another directory", path=self.path
            )
        self.memory_id = found
        return found

    def _names(self) -> list[str]:
        try:
            return self.disk.listdir(self.path)
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            raise ForeignStore(
                f"{self.path}: is a file, not a memory's directory; choose another path", path=self.path
            ) from error

    def _require_no_links(self, names: list[str]) -> None:
        """A link out of the store would be written through; those in the place of files are not opened at all."""
        for name in sorted({_LOG, _SNAPSHOTS}.intersection(names)):
            if self.disk.is_link(f"{self.path}/{name}"):
                raise ForeignStore(f"{self.path}/{name}: is a symbolic link; a store holds none", path=self.path)

    def _require_ours(self, names: list[str]) -> None:
        foreign = sorted(name for name in names if name not in _OURS and not _LOCK_NAME.fullmatch(name))
        if not foreign and _LOG in names:
            foreign = [name for name in self.disk.listdir(self.log_path) if not _LOG_NAME.fullmatch(name)]
        if foreign:
            raise ForeignStore(
                f"{self.path}: is not a memory and not empty (it holds {foreign[0]!r}); choose a new directory",
                path=self.path,
            )

    def _make(self, memory_id: bytes, clock: Clock) -> None:
        self.make_directories()
        # Two who make the same store do it one after the other; the lock is released with the file.
        lock = OpenFile(self.disk, self.disk.create(self.lock_path(1), truncate=False))
        if not self.disk.lock(lock.fd, LOCK_TIMEOUT_S):
            raise LogLocked(f"{self.path}: another process is making this memory and does not finish", path=self.path)
        if _MEMORY in self.disk.listdir(self.path):
            return
        self.disk.mkdir(self.log_path)
        names = self.segments()
        if names:
            memory_id = self.open_segment(names[0], write=False).header.memory_id
        else:
            name = SegmentName(1)
            SegmentFile.create(self.disk, self.segment_path(name), name, SegmentHeader(memory_id, 1, 1, NO_CHAIN))
        self.sync_names()
        self.write_memory_file(MemoryFile(FORMAT, VERSION, memory_id.hex(), clock.now_us()))

    def make_directories(self) -> None:
        """Make the directory and its missing parents, each name durable before what is in it.

        A parent that is there may have been made by somebody who died before its name was durable.
        """
        path = Path(self.path)
        for directory in [*reversed(path.parents), path]:
            is_there = self.disk.exists(str(directory))
            if not is_there:
                self.disk.mkdir(str(directory))
            try:
                self.disk.sync_directory(str(directory.parent))
            except OSError as error:
                if not is_there or error.errno not in _NOT_OURS:
                    raise

    def write_memory_file(self, content: MemoryFile) -> None:
        """Make the directory a memory's."""
        path = f"{self.path}/{_MEMORY}"
        file = OpenFile(self.disk, self.disk.create(f"{path}.tmp"))
        write_all(self.disk, file.fd, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n", 0)
        self.disk.sync(file.fd)
        self.disk.rename(f"{path}.tmp", path)
        self.disk.sync_directory(self.path)

    def _read_memory_file(self) -> bytes:
        file = OpenFile(self.disk, self.disk.open(f"{self.path}/{_MEMORY}", write=False))
        data = self.disk.pread(file.fd, 1 << 16, 0)
        memory_id = b""
        with suppress(ValueError, RecursionError):  # the ways in which bytes can fail to be such a file
            content = msgspec.json.decode(data, type=MemoryFile)
            if content.format == FORMAT and content.version > VERSION:
                raise NewerFormat(
                    f"{self.path}: written in format {content.version} by a newer release; update memorygraph",
                    path=self.path,
                    version=content.version,
                )
            memory_id = bytes.fromhex(content.memory_id) if content.format == FORMAT else b""
        if len(memory_id) != 16:  # noqa: PLR2004 - bytes of a memory id
            raise ForeignStore(f"{self.path}: its MEMORY file is not one of ours", path=self.path)
        return memory_id
