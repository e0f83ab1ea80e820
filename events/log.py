"""The event log's port: what every store promises (``tests/events/log_contract.py`` is its contract suite).

A log is a total order of records at dense positions 1, 2, 3, ... Records are appended as commit frames
(``frames.py``), each chained to the one before by SHA-256. Only ``append`` and ``adopt`` write, and only under
``lock()``, which excludes every other writer of the same log, in this process and in others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager

from msgspec import Struct

from memorygraph.events.errors import DamagedLog
from memorygraph.events.snapshots import SnapshotFiles


class Head(Struct, frozen=True):
    """Where a log ends: its last position (0 when empty), the chain up to it, and the writer's epoch."""

    position: int
    chain: bytes
    epoch: int = 1


class LogEntry(Struct, frozen=True, gc=False):
    """A record as stored: its position, bytes (None: only its hash is kept) and SHA-256 (None: not computed)."""

    position: int
    data: bytes | None
    digest: bytes | None = None


class Damage(Struct, frozen=True):
    """A place in the log whose bytes fail their check."""

    where: str
    position: int
    reason: str


class VerifyReport(Struct, frozen=True):
    """The outcome of a full check: what was read, the head it leads to, and what is damaged or was cut.

    ``readable`` lists the ranges of positions (first, last) whose frames pass their own check; only what comes before
    the first damage follows from position 1 without a gap. Of ``hashes`` records up to the head only the hash is kept;
    of ``untold`` of these nothing in the log tells, so no compaction replaced them.
    """

    head: Head
    records: int
    frames: int
    size_bytes: int
    damage: tuple[Damage, ...] = ()
    notes: tuple[str, ...] = ()
    readable: tuple[tuple[int, int], ...] = ()
    hashes: int = 0
    untold: int = 0

    @property
    def whole(self) -> bool:
        """Whether every frame passed."""
        return not self.damage


def no_rest() -> None:
    """Go on at once."""


class EventLog(ABC):
    """An append-only, chained log of records; safe to use from several threads.

    ``notes`` has a line for each thing that was cut or is damaged; it is empty when all is well.
    """

    memory_id: bytes
    read_only: bool
    location: str
    notes: tuple[str, ...]
    snapshots: SnapshotFiles

    @property
    @abstractmethod
    def head(self) -> Head:
        """The head as this object last saw it; no I/O."""

    @abstractmethod
    def refresh(self) -> Head:
        """Look for frames that other writers appended, and return the head.

        Raises:
            DamagedLog: bytes before the tail fail their check.
        """

    @abstractmethod
    def lock(self) -> AbstractContextManager[Head]:
        """Hold the right to append; entering refreshes and gives the head. Not reentrant."""

    @abstractmethod
    def append(self, records: Sequence[bytes], time_us: int) -> Head:
        """Append records as one commit frame and return the new head once it is durable; ``lock()`` must be held.

        Raises:
            BatchTooLarge: the frame would pass 16 MiB; nothing was written.
            DiskFull: nothing was acknowledged; the log can be used again once there is space.
            LogFailed: a write or sync failed; the log must be reopened.
        """

    @abstractmethod
    def adopt(self, frame: bytes) -> Head:
        """Append one frame of another copy of this log as it is; ``lock()`` must be held.

        Raises:
            DamagedLog: the frame fails its check or does not follow the head.
        """

    @abstractmethod
    def read(self, first: int = 1, last: int | None = None) -> Iterator[LogEntry]:
        """Give the records at positions first..last (None: the head as last seen), in order.

        Raises:
            DamagedLog: on reaching bytes that fail their check, with the position.
        """

    @abstractmethod
    def frames(self, first: int = 1) -> Iterator[bytes]:
        """Give the raw frames from the one that holds position ``first`` on, for export and copies."""

    @abstractmethod
    def replace_by_hash(self, positions: Collection[int], rest: Callable[[], None] = no_rest) -> int:
        """Replace the records at ``positions`` by their SHA-256, for good, and return how many were still there.

        For erasure, folding and retention: what the records said is gone, and the chain and every head stay as they
        are. Each file is rewritten whole and swapped in: after a crash it is the old or the new one; call it again
        then. Readers that are under way go on with what they opened; later reads give ``LogEntry.data`` None, those of
        other processes after their next ``refresh``. Writers are not held up, and ``rest`` is called after each frame,
        to give way to them. Call it outside ``lock()``.

        Raises:
            InputError: a position is not in the log; nothing was replaced.
            DamagedLog: the bytes around a record fail their check; their file stays as it is.
            StoreReadOnly: the log was opened read-only, or is damaged.
            DiskFull, StoreError: some files may be rewritten, others not.
        """

    @abstractmethod
    def chain_at(self, position: int) -> bytes | None:
        """Return the chain up to a position; None if it is beyond the head, or inside a commit frame.

        Raises:
            DamagedLog: the frame behind it cannot be read.
        """

    @abstractmethod
    def wait(self, position: int, timeout_s: float) -> Head:
        """Return the head as soon as it is beyond ``position``, or after ``timeout_s`` seconds."""

    @abstractmethod
    def verify(self) -> VerifyReport:
        """Read everything from the first byte, checking checksums and chain."""

    def salvage(self, damage: DamagedLog) -> None:
        """Go on read-only with what comes before damage that a read has met: the head goes back to there.

        Raises:
            DamagedLog: there is nothing before it.
        """
        raise damage

    @abstractmethod
    def size_bytes(self) -> int:
        """Return the bytes that the log takes in its store."""

    def require_epoch(self) -> None:  # noqa: B027 - a store may have one writer only
        """Check that the log is still this process's, if it was opened to be so until it is closed; takes no lock.

        Raises:
            Fenced: another process took it over.
        """

    def tend(self) -> None:  # noqa: B027 - a store may have nothing to do
        """Do work that can wait, such as indexes of what is no longer written to; for a background thread.

        Nothing depends on it but speed, so it raises nothing.
        """

    def release(self) -> None:  # noqa: B027 - a store may hold nothing
        """Let go of what an idle log need not hold, such as descriptors; the next use takes it up again.

        Readers and writers that are under way are not disturbed.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what the log holds; safe to call twice."""
