"""One file of the segment store: its header, reading frames from it, and writing into its zero-filled end.

A descriptor is open as long as somebody refers to its object: readers take no lock, so it must not be closed (and its
number given to another file) while a reader is between two reads. An idle file lets go of its descriptor (``rest``)
and opens its path again when it is used; a reader that goes through frames keeps the one that it began with, because
the path may stand for a rewritten file meanwhile.
"""

from __future__ import annotations

import errno
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from operator import itemgetter
from struct import Struct
from typing import Final, NamedTuple

from crc32c import crc32c

from memorygraph.events.disk import Disk, is_full
from memorygraph.events.errors import DamagedLog, StoreError
from memorygraph.events.frames import (
    HEADER_BYTES,
    MAGIC,
    MEMORY_ID_AT,
    FrameHeader,
    claimed_bytes,
    fault_of,
    whole_frame,
)
from memorygraph.events.stores.beside import FILLING

SEGMENT_MAGIC: Final = b"MGSEG1\0\0"
SEGMENT_HEADER_BYTES: Final = 128

_HEADER: Final = Struct("<8s16sQI32s56s")
_CRC: Final = Struct("<I")
_FILL_BYTES_MIN: Final = 16 << 10
_FILL_BYTES_MAX: Final = 1 << 20
_AHEAD_BYTES_MAX: Final = 3 << 20  # what the second thread fills at a time, when a third of it is left
_WINDOW_BYTES_MIN: Final = 16 << 10
_WINDOW_BYTES_MAX: Final = 1 << 20
_WAYPOINT_BYTES: Final = 32 << 10


class SegmentName(NamedTuple):
    """Which segment: the position of its first record, and the epoch in which it was made."""

    first: int
    epoch: int = 1

    @property
    def text(self) -> str:
        """The file's name; of the first epoch, without the epoch."""
        return f"{self.first:020d}.seg" if self.epoch == 1 else f"{self.first:020d}-{self.epoch}.seg"


class SegmentHeader(NamedTuple):
    """What the first 128 bytes of a segment say: whose it is, and the log's state before its first frame."""

    memory_id: bytes
    first: int
    epoch: int
    chain_before: bytes


def encode_header(header: SegmentHeader) -> bytes:
    """Encode a segment's header."""
    fields = _HEADER.pack(SEGMENT_MAGIC, *header, b"")
    return fields + _CRC.pack(crc32c(fields))


def decode_header(data: bytes, where: str, first: int) -> SegmentHeader:
    """Decode the header of the segment that should begin at position ``first``.

    Raises:
        DamagedLog: the bytes are not one.
    """
    fields = data[: _HEADER.size]
    if len(data) < SEGMENT_HEADER_BYTES or data[_HEADER.size : SEGMENT_HEADER_BYTES] != _CRC.pack(crc32c(fields)):
        raise DamagedLog(f"{where}: the segment's header fails its checksum", where=where, position=first)
    magic, memory_id, first, epoch, chain_before, _ = _HEADER.unpack(fields)
    if magic != SEGMENT_MAGIC:
        raise DamagedLog(f"{where}: this is not a log segment", where=where, position=first)
    return SegmentHeader(memory_id, first, epoch, chain_before)


class OpenFile:
    """A descriptor that is closed when the last one who holds this object lets go."""

    __slots__ = ("disk", "fd")

    def __init__(self, disk: Disk, fd: int) -> None:
        self.disk = disk
        self.fd = fd

    def __del__(self) -> None:
        with suppress(OSError):  # nobody can act on it here, and what must last was synced
            self.disk.close(self.fd)


class SegmentFile:
    """A segment, open or at rest."""

    __slots__ = ("_asked_end", "_fill_end", "_handle", "_waypoints", "_write", "disk", "header", "name", "path")

    def __init__(self, file: OpenFile, path: str, name: SegmentName, header: SegmentHeader, *, write: bool) -> None:
        self.disk = file.disk
        self.path = path
        self.name = name
        self.header = header
        self._handle: OpenFile | None = file
        self._write = write
        self._fill_end = 0  # up to here the file is known to be allocated
        self._asked_end = 0  # up to here it will be, if what was asked of the filling thread succeeds
        # Some frames' (offset, position), so that a read need not start at the first frame. Readers in several threads
        # add to it: an entry is one append or insert, and one that comes twice or out of order does no harm.
        self._waypoints = [(SEGMENT_HEADER_BYTES, header.first)]

    @classmethod
    def open(cls, disk: Disk, path: str, name: SegmentName, *, write: bool) -> SegmentFile:
        """Open an existing segment.

        Raises:
            DamagedLog: the file is missing, or its header is damaged or another segment's.
            StoreError: the file cannot be opened or read.
        """
        try:
            file = OpenFile(disk, disk.open(path, write=write))
            header = decode_header(disk.pread(file.fd, SEGMENT_HEADER_BYTES, 0), path, name.first)
        except FileNotFoundError as error:
            raise DamagedLog(f"{path}: this segment of the log is missing", where=path, position=name.first) from error
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened: {error.strerror}", where=path) from error
        if header.first != name.first:
            raise DamagedLog(f"{path}: this segment belongs elsewhere", where=path, position=name.first)
        return cls(file, path, name, header, write=write)

    @classmethod
    def create(
        cls, disk: Disk, path: str, name: SegmentName, header: SegmentHeader, *, frame: bytes = b""
    ) -> SegmentFile:
        """Make a segment that is whole under its name or not there at all; the caller syncs its directory.

        Args:
            frame: the frame that it begins with, if any.
        """
        temporary = f"{path}.tmp"
        try:
            file = OpenFile(disk, disk.create(temporary))
            write_all(disk, file.fd, (encode_header(header) + frame).ljust(_FILL_BYTES_MIN, b"\0"), 0)
            disk.sync(file.fd)
            disk.rename(temporary, path)
        except OSError:
            with suppress(OSError):  # the first error is the one to report; the next attempt overwrites the file
                disk.unlink(temporary)
            raise
        return cls(file, path, name, header, write=True)

    def handle(self) -> OpenFile:
        """Give the descriptor, opening the file again if it was at rest.

        Raises:
            OSError: the file cannot be opened.
        """
        handle = self._handle
        if handle is None:
            handle = self._handle = OpenFile(self.disk, self.disk.open(self.path, write=self._write))
        return handle

    def rest(self) -> None:
        """Let go of the descriptor; it is closed as soon as no reader uses it."""
        self._handle = None

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, size_bytes: int, offset: int, handle: OpenFile | None = None) -> bytes:
        """Read up to that many bytes; fewer at the end of the file.

        Raises:
            StoreError: the disk cannot read them.
        """
        try:
            handle = handle or self._handle or self.handle()  # held by name until the call is over: see ``rest``
            return self.disk.pread(handle.fd, size_bytes, offset)
        except OSError as error:
            where = f"{self.path} at byte {offset}"
            raise StoreError(f"{where}: cannot be read: {error.strerror}", where=where) from error

    def frames(self, offset: int, position: int) -> Iterator[tuple[FrameHeader, memoryview, int]]:
        """Give (header, bytes, offset) of the whole frames from ``offset`` on, where ``position`` starts.

        It ends at the first place where no whole frame of the next position is: the tail, or damage.
        """
        window, start, want_bytes = b"", offset, _WINDOW_BYTES_MIN
        handle, waypoint_at = self._handle_to_read(), 0
        while True:
            header = whole_frame(window, offset - start, self.header.memory_id)
            if header is None:
                needed_bytes = claimed_bytes(window, offset - start)
                have_bytes = start + len(window) - offset
                if have_bytes >= needed_bytes:
                    return
                fresh = self.read(max(want_bytes, needed_bytes), offset, handle)
                if len(fresh) <= have_bytes:
                    return
                window, start, want_bytes = fresh, offset, min(want_bytes * 2, _WINDOW_BYTES_MAX)
            elif header.first != position:
                return
            else:
                if offset >= waypoint_at:
                    self.passed(position, offset)
                    waypoint_at = offset + _WAYPOINT_BYTES
                size_bytes = header.size_bytes
                yield header, memoryview(window)[offset - start : offset - start + size_bytes], offset
                offset += size_bytes
                position += header.record_count

    def _handle_to_read(self) -> OpenFile:
        try:
            return self.handle()
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be opened: {error.strerror}", where=self.path) from error

    def knows(self, waypoints: Iterable[tuple[int, int]]) -> None:
        """Take over known frames' (offset, position)."""
        for offset, position in waypoints:
            self.passed(position, offset)

    def passed(self, position: int, offset: int) -> None:
        """Remember where the frame that starts at ``position`` is, if none that is remembered is near."""
        known = self._waypoints
        if offset >= known[-1][0] + _WAYPOINT_BYTES:
            known.append((offset, position))
        elif offset < known[-1][0]:  # in a part that was skipped when the file was opened
            at = bisect_right(known, (offset, position))
            if known[at - 1][0] + _WAYPOINT_BYTES <= offset <= known[at][0] - _WAYPOINT_BYTES:
                known.insert(at, (offset, position))

    def waypoint(self, position: int) -> tuple[int, int]:
        """Give (offset, position) of a known frame at or before ``position``, which is not before the segment."""
        at = bisect_right(self._waypoints, position, key=itemgetter(1)) - 1
        while self._waypoints[at][1] > position:
            at -= 1
        return self._waypoints[at]

    def find_frame(self, offset: int, after_position: int) -> tuple[int, FrameHeader] | None:
        """Find the first whole frame of this memory at or behind ``offset`` that starts after ``after_position``."""
        while True:
            window = self.read(_WINDOW_BYTES_MAX, offset)
            at = window.find(MAGIC)
            while 0 <= at <= len(window) - HEADER_BYTES:
                frame = self.read(claimed_bytes(window, at), offset + at) if self._may_start(window, at) else b""
                header = whole_frame(frame, 0, self.header.memory_id)
                if header is not None and header.first > after_position:
                    return offset + at, header
                at = window.find(MAGIC, at + 1)
            if len(window) < _WINDOW_BYTES_MAX:
                return None
            offset += len(window) - HEADER_BYTES + 1  # a header cut by the window's end is seen whole in the next

    def _may_start(self, window: bytes, at: int) -> bool:
        return window.startswith(self.header.memory_id, at + MEMORY_ID_AT)

    def fault_at(self, offset: int) -> str:
        """Say in a few words why what is at ``offset`` is not the frame that should be there."""
        size_bytes = claimed_bytes(self.read(HEADER_BYTES, offset), 0)
        return fault_of(self.read(size_bytes, offset), 0, self.header.memory_id)

    def leftover(self, offset: int) -> bytes:
        """Give what is behind ``offset``, without the zeros at the end."""
        parts = []
        while part := self.read(_WINDOW_BYTES_MAX, offset):
            parts.append(part)
            offset += len(part)
        return b"".join(parts).rstrip(b"\0")

    # -- writing (under the log's lock) ----------------------------------------------------------------------------

    def reserve(self, end: int) -> None:
        """Zero-fill ahead so that the file reaches ``end``, in steps that grow with it; a failure changes nothing."""
        if end <= self._fill_end:
            return
        handle = self.handle()
        size_bytes = self.disk.size_bytes(handle.fd)  # asked anew: other processes fill too
        if end > size_bytes:
            step_bytes = min(max(size_bytes, _FILL_BYTES_MIN), _FILL_BYTES_MAX)
            grown_bytes = max(end, size_bytes + step_bytes)
            try:
                self._grow(handle, size_bytes, grown_bytes)
            except OSError as error:
                if not is_full(error) or grown_bytes == end:
                    raise
                grown_bytes = end  # a nearly full disk may have room for what is needed now
                self._grow(handle, size_bytes, end)
            size_bytes = grown_bytes
        self._fill_end = size_bytes

    def appended(self, position: int, offset: int, end: int, limit: int) -> None:
        """Remember where a frame was appended, and have a second thread zero-fill a large file that has little left.

        Args:
            position: of the frame's first record.
            offset: where it starts.
            end: where it ends.
            limit: how long the file is to become at most.
        """
        self.passed(position, offset)
        known_end = max(self._fill_end, self._asked_end)
        step_bytes = min(known_end, _AHEAD_BYTES_MAX)
        if end + step_bytes // 3 > known_end and _FILL_BYTES_MAX <= known_end < limit:
            self._asked_end = min(known_end + step_bytes, limit)
            FILLING.start(partial(self._append_zeros, self._asked_end - known_end))

    def _append_zeros(self, size_bytes: int) -> None:
        with suppress(OSError):  # then the writer fills, and tells why it cannot
            self.disk.append_zeros(self.path, size_bytes)

    def _grow(self, handle: OpenFile, size_bytes: int, end: int) -> None:
        try:
            write_all(self.disk, handle.fd, bytes(end - size_bytes), size_bytes)
        except OSError:
            with suppress(OSError):  # zeros left behind do no harm
                self.disk.truncate(handle.fd, size_bytes)
            raise

    def write(self, data: bytes | bytearray, offset: int) -> None:
        """Write bytes."""
        handle = self._handle or self.handle()
        write_all(self.disk, handle.fd, data, offset)

    def erase(self, offset: int, size_bytes: int) -> None:
        """Write zeros."""
        self.write(bytes(size_bytes), offset)

    def start_writing(self, offset: int, size_bytes: int) -> None:
        """Let the system begin to bring a part to stable storage, for which ``sync`` then has to wait less."""
        handle = self._handle or self.handle()
        self.disk.start_writing(handle.fd, offset, size_bytes)

    def sync(self) -> None:
        """Return when all that was written is on stable storage."""
        handle = self._handle or self.handle()
        self.disk.sync(handle.fd)


def write_all(disk: Disk, fd: int, data: bytes | bytearray, offset: int) -> None:
    """Write all of ``data`` or raise.

    After a short write the rest is tried once, only to learn the reason (a full disk shows itself that way); without
    one it counts as an I/O error, never as done.
    """
    written_bytes = disk.pwrite(fd, data, offset)
    if written_bytes != len(data):
        disk.pwrite(fd, data[written_bytes:], offset + written_bytes)
        raise OSError(errno.EIO, f"short write ({written_bytes} of {len(data)} bytes)")
