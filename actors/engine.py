"""The ``Engine`` port: everything that facades may ask of a memory, wherever it runs.

Arguments and results are plain data (``commands.py``); nothing above this port holds a Frame, a log or an actor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from msgspec import Struct

from memorygraph.actors.commands import Answer, Command, Describe, Query, Receipt
from memorygraph.actors.compaction import CompactionReport, RetentionPolicy
from memorygraph.events.errors import InputError
from memorygraph.events.heads import SignedHead
from memorygraph.events.log import Head, LogEntry, VerifyReport
from memorygraph.events.records import Event, decode_record, unpack_event


class Committed(Struct, frozen=True):
    """One record of the log, decoded. ``events`` is None where only the record's hash is kept."""

    position: int
    command_id: str
    principal: str
    provenance: dict[str, str]
    time_us: int
    events: tuple[Event, ...] | None
    body_hash: bytes = b""


def committed_of(entry: LogEntry) -> Committed:
    """Decode a record of the log.

    Raises:
        DamagedLog, NewerSchema: it cannot be decoded.
    """
    if entry.data is None:
        return Committed(entry.position, "", "", {}, 0, None)
    record = decode_record(entry.data, entry.position)
    events = tuple([unpack_event(packed, entry.position) for packed in record.events])
    return Committed(
        entry.position,
        record.command_id,
        record.principal,
        record.provenance,
        record.time_us,
        events,
        record.body_hash,
    )


class Saved(Struct, frozen=True):
    """A snapshot: the position it holds, the bytes that were written, and those of all that it consists of.

    ``written_bytes`` is 0 if it was there already.
    """

    position: int
    written_bytes: int
    size_bytes: int


class Engine(ABC):
    """One memory at work; safe to use from several threads."""

    memory_id: str
    location: str

    def __getstate__(self) -> Any:
        raise InputError(
            "this memory lives in this process and cannot be pickled; one of a fleet can: AgentMemory.connect(name)"
        )

    @property
    @abstractmethod
    def read_only(self) -> bool:
        """Whether commands are refused."""

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """What the log has to say of itself, a line each: what was cut, what is damaged; empty when all is well."""

    @property
    def accesses_dropped(self) -> int:
        """How many accesses were not recorded, because they could not be or there were too many."""
        return 0

    @abstractmethod
    def execute(self, command: Command) -> Receipt:
        """Carry out a command; it is durable when this returns.

        Raises:
            Overloaded: too much waited to be written before it, for too long.
            MemoryGraphError: what was wrong with it, or what failed; nothing of it was written.
        """

    @abstractmethod
    def ask(self, query: Query) -> Answer:
        """Answer a query at the newest position."""

    @abstractmethod
    def at(self, position: int) -> Engine:
        """Return a read-only engine that answers as of a position."""

    def pinned(self) -> Engine:
        """Return a read-only engine that answers at the newest position for ever, in a transaction as it stands."""
        return self.at(self.ask(Describe()).position)

    @abstractmethod
    def transaction(
        self, *, command_id: str | None = None, principal: str = "", provenance: dict[str, str] | None = None
    ) -> AbstractContextManager[None]:
        """Let this thread's commands be one record, written on leaving the block, or nothing, after any exception.

        Its questions see its commands; nobody else's do. Blocks of one engine wait for each other; a block in a block
        is part of it, and undone alone if an exception leaves it.

        Args:
            command_id: identifies the whole; the commands in the block have no ids of their own.

        Raises:
            InputError: on entering, the block around it is another principal's; or, in it, a command is.
            CommandIdReused: on entering, a transaction of that id was carried out.
            TransactionConflict: on leaving, others changed what it read or revised; nothing was written.
            BatchTooLarge: it is more than one record may hold; nothing was written.
        """

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is in a transaction."""
        return False

    def require_no_transaction(self, deed: str) -> None:
        """Check that this thread is not in a transaction, before it does what is of the log and not of the block.

        Raises:
            InputError: it is in one.
        """
        if self.in_transaction:
            raise InputError(f"a transaction can be undone, so it cannot {deed}; do that before or after the block")

    @abstractmethod
    def accessed(
        self, ids: list[str], time_us: int, *, principal: str = "", provenance: dict[str, str] | None = None
    ) -> None:
        """Note that nodes were recalled, by whom and from where.

        Recorded within 200 ms or 1,000 recalls, one record for each principal; best effort until ``flush``.
        """

    @abstractmethod
    def read(self, first: int, last: int | None = None, *, about: str | None = None) -> Iterator[Committed]:
        """Give the records at positions first..last (None: the newest).

        With ``about``, only those whose bytes name that id, and those of which only the hash is kept.
        """

    @abstractmethod
    def frames(self, first: int = 1) -> Iterator[bytes]:
        """Give the log's raw frames, for export."""

    @abstractmethod
    def wait(self, position: int, timeout_s: float) -> int:
        """Return the newest position as soon as it is beyond ``position``, or after ``timeout_s`` seconds."""

    @abstractmethod
    def head(self) -> Head:
        """Return the log's head."""

    @abstractmethod
    def sign_head(self) -> SignedHead:
        """Sign the log's head once all up to it is durable, and keep it beside the log.

        Raises:
            InputError: there is no key.
            StoreError: it cannot be written.
        """

    @abstractmethod
    def verify(self) -> VerifyReport:
        """Check the whole log from its first byte."""

    @abstractmethod
    def log_size_bytes(self) -> int:
        """Return the bytes that the log takes in its store."""

    @abstractmethod
    def compact(
        self, policy: RetentionPolicy, principal: str = "", provenance: dict[str, str] | None = None
    ) -> CompactionReport:
        """Replace the records that a policy does not keep by their hashes, beside readers and writers.

        Raises:
            StoreError: it could not be written, or is not open for writing.
        """

    @abstractmethod
    def flush(self) -> None:
        """Make noted accesses durable."""

    @abstractmethod
    def snapshot(self) -> Saved:
        """Write a snapshot of the newest position, from which opening and looking back can start.

        Raises:
            StoreReadOnly: the memory was opened read-only, or is a view of the past.
            StoreError: it could not be written, or another process is writing one.
        """

    @abstractmethod
    def close(self) -> None:
        """Flush and release everything; safe to call twice."""
