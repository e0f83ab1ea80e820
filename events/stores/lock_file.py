"""The lock file of an epoch: who may write, up to where the log is durable, and whether another epoch has begun.

Writers flock it per commit. Besides, its first sector holds four things, written in place and never synced:

- the *commit point*: where the log ends as far as it is synced, and the head there. It is written after the sync and
  before the acknowledgement, so readers of other processes that go no further than it see nothing that a power cut
  could take back, and a store is opened there instead of at the start of its last segment. It is a lower bound that may
  be old or missing; what it says is checked against the log, and a log that ends before it is damaged.
- a flag while a new segment is being started: only then need the next writer look for one.
- the *mark* of a takeover: whoever begins a later epoch sets it before looking for the log's end. Who finds it after
  a sync is fenced: the sync may have come too late to be seen, so nothing is acknowledged.
- the *owner*, while somebody holds the lock for good.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from struct import Struct
from typing import Final, NamedTuple

import msgspec
from crc32c import crc32c

from memorygraph.events.disk import Disk
from memorygraph.events.errors import LogLocked
from memorygraph.events.log import Head
from memorygraph.events.stores.segment_file import OpenFile, SegmentName, write_all

LOCK_TIMEOUT_S: Final = 30.0

_MAGIC: Final = b"MGLOCK1\0"
_POINT: Final = Struct("<8s16sQIIQQQ32s")
_CRC: Final = Struct("<I")
_POINT_BYTES: Final = _POINT.size + _CRC.size
_STARTING_AT: Final = 104
_NOT_STARTING: Final = bytes(_STARTING_AT + 1 - _POINT_BYTES)
_MARK_AT: Final = 112
_MARK: Final = Struct("<II")  # the epoch, and its complement
_OWNER_AT: Final = 120
_OWNER_BYTES: Final = 512 - _OWNER_AT
_LOOK_BYTES: Final = _OWNER_AT + 1  # the owner's first byte says whether there is one
_CALM: Final = (b"", bytes(_LOOK_BYTES - _MARK_AT))  # no mark and no owner
_SLICE_S: Final = 0.05  # how often a waiter looks whether another epoch has begun


class CommitPoint(NamedTuple):
    """Up to where the log is durable: a segment, its last frame's offset (0: none yet) and end, and the head there."""

    segment: SegmentName
    frame_at: int
    offset: int
    head: Head


class Owner(msgspec.Struct, frozen=True):
    """Who holds the lock for good."""

    pid: int
    host: str
    since_s: int

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.since_s))
        return f"process {self.pid} on {self.host}, since {since} UTC"


class Look:
    """What the lock file said at one moment; ``raw`` is all of it."""

    __slots__ = ("_memory_id", "is_calm", "raw")

    def __init__(self, raw: bytes, memory_id: bytes) -> None:
        self.raw = raw
        self._memory_id = memory_id
        self.is_calm = raw[_MARK_AT:] in _CALM  # neither superseded nor owned

    @property
    def is_superseded(self) -> bool:
        """Whether a later epoch has begun."""
        return not self.is_calm and any(self.raw[_MARK_AT:_OWNER_AT])

    @property
    def superseded_by(self) -> int:
        """The epoch that has begun; 0 if there is none, or its number cannot be read."""
        if len(self.raw) < _OWNER_AT:
            return 0
        epoch, complement = _MARK.unpack_from(self.raw, _MARK_AT)
        return int(epoch) if epoch ^ complement == (1 << 32) - 1 else 0

    @property
    def has_owner(self) -> bool:
        """Whether the lock is, or was when its holder died, held for good."""
        return not self.is_calm and any(self.raw[_OWNER_AT:])

    @property
    def point(self) -> CommitPoint | None:
        """The commit point; None if there is none, or it is being written at this moment."""
        fields = self.raw[: _POINT.size]
        if self.raw[_POINT.size : _POINT_BYTES] != _CRC.pack(crc32c(fields)):
            return None
        magic, memory_id, first, segment_epoch, epoch, frame_at, offset, position, chain = _POINT.unpack(fields)
        if magic != _MAGIC or memory_id != self._memory_id:
            return None
        return CommitPoint(SegmentName(first, segment_epoch), frame_at, offset, Head(position, chain, epoch))

    def says(self, encoded: bytes) -> bool:
        """Say whether the commit point is the one that ``encoded_point`` made these bytes of."""
        return self.raw.startswith(encoded)


def encoded_point(point: CommitPoint, memory_id: bytes) -> bytes:
    """Encode a commit point, at which no new segment is being started."""
    segment, frame_at, offset, head = point
    fields = _POINT.pack(_MAGIC, memory_id, *segment, head.epoch, frame_at, offset, head.position, head.chain)
    return fields + _CRC.pack(crc32c(fields)) + _NOT_STARTING


class LockFile:
    """An epoch's lock file, open."""

    def __init__(self, file: OpenFile, path: str, epoch: int, memory_id: bytes) -> None:
        self._disk: Disk = file.disk
        self._file = file
        self._memory_id = memory_id
        self.path = path
        self.epoch = epoch

    def look(self) -> Look:
        """Read what the file says."""
        return Look(self._disk.pread(self._file.fd, _LOOK_BYTES, 0), self._memory_id)

    def publish(self, point: bytes) -> None:
        """Say that the log is durable up to an encoded commit point."""
        write_all(self._disk, self._file.fd, point, 0)

    def starts_segment(self) -> None:
        """Say that a new segment is being started; until the next commit point, or the death of this process."""
        write_all(self._disk, self._file.fd, b"\1", _STARTING_AT)

    def supersede(self, epoch: int) -> None:
        """Set the mark of a later epoch."""
        write_all(self._disk, self._file.fd, _MARK.pack(epoch, epoch ^ (1 << 32) - 1), _MARK_AT)

    def own(self) -> None:
        """Name this process as the one that holds the lock for good; the lock is held."""
        owner = msgspec.json.encode(Owner(os.getpid(), socket.gethostname()[:200], int(time.time())))
        write_all(self._disk, self._file.fd, owner.ljust(_OWNER_BYTES, b"\0"), _OWNER_AT)

    def disown(self) -> None:
        """Take the name away; the lock is held."""
        write_all(self._disk, self._file.fd, bytes(_OWNER_BYTES), _OWNER_AT)

    def acquire(self, timeout_s: float | None) -> bool:
        """Wait for the lock; False if a later epoch begins first.

        Args:
            timeout_s: how long to wait; None: 30 s, and not at all for one who holds it for good.

        Raises:
            LogLocked: it did not come; the message names the holder as far as it is known.
            OSError: the disk fails.
        """
        if self._disk.lock(self._file.fd, 0.0):
            return True
        deadline_s, wait_s = time.monotonic() + (LOCK_TIMEOUT_S if timeout_s is None else timeout_s), 0.0
        while not self._disk.lock(self._file.fd, wait_s):
            look = self.look()
            if look.is_superseded:
                return False
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or (timeout_s is None and look.has_owner):
                raise self._locked(look)
            wait_s = min(left_s, _SLICE_S)
        return True

    def share(self) -> bool:
        """Take the lock with other readers, unless a writer has it; say whether."""
        return self._disk.try_lock_shared(self._file.fd)

    def release(self) -> None:
        """Give the lock back."""
        self._disk.unlock(self._file.fd)

    def _locked(self, look: Look) -> LogLocked:
        owner = self._owner() if look.has_owner else None
        if owner is not None:
            return LogLocked(
                f"{self.path}: the memory is open exclusively ({owner}); close it there, or open it with "
                "takeover=True, which shuts that process out",
                path=self.path,
                pid=owner.pid,
            )
        pid = self._disk.lock_holder(self._file.fd)
        who = f"process {pid}" if pid else "another process"
        return LogLocked(
            f"{self.path}: {who} holds the lock and does not give it back; if it hangs or is stopped, end it, or open "
            "the memory with takeover=True, which shuts it out",
            path=self.path,
            pid=pid,
        )

    def _owner(self) -> Owner | None:
        with suppress(msgspec.MsgspecError):
            data = self._disk.pread(self._file.fd, _OWNER_BYTES, _OWNER_AT).rstrip(b"\0")
            return msgspec.json.decode(data, type=Owner)
        return None
