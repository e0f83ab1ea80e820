"""The ``Engine`` port: everything that facades may ask of a memory, wherever it runs.

Arguments and results are plain data (``commands.py``); nothing above this port holds a Frame, a log or an actor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from msgspec import Struct

from memorygraph.actors.commands import Answer, Command, Query, Receipt
from memorygraph.events.log import Head, VerifyReport
from memorygraph.events.records import Event


class Committed(Struct, frozen=True):
    """One record of the log, decoded. ``events`` is None where only the record's hash is kept."""

    position: int
    command_id: str
    principal: str
    provenance: dict[str, str]
    time_us: int
    events: tuple[Event, ...] | None
    body_hash: bytes = b""


class Engine(ABC):
    """One memory at work; safe to use from several threads."""

    memory_id: str
    location: str

    @property
    @abstractmethod
    def read_only(self) -> bool:
        """Whether commands are refused."""

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """What the log has to say of itself, a line each: what was cut, what is damaged; empty when all is well."""

    @abstractmethod
    def execute(self, command: Command) -> Receipt:
        """Carry out a command; it is durable when this returns.

        Raises:
            MemoryGraphError: what was wrong with it, or what failed; nothing of it was written.
        """

    @abstractmethod
    def ask(self, query: Query) -> Answer:
        """Answer a query at the newest position."""

    @abstractmethod
    def at(self, position: int) -> Engine:
        """Return a read-only engine that answers as of a position."""

    @abstractmethod
    def accessed(self, ids: list[str], time_us: int) -> None:
        """Note that nodes were recalled; recorded within 200 ms or 1,000 recalls, best effort until ``flush``."""

    @abstractmethod
    def read(self, first: int, last: int | None = None, *, about: str | None = None) -> Iterator[Committed]:
        """Give the records at positions first..last (None: the newest), or only those whose bytes name an id."""

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
    def verify(self) -> VerifyReport:
        """Check the whole log from its first byte."""

    @abstractmethod
    def log_size_bytes(self) -> int:
        """Return the bytes that the log takes in its store."""

    @abstractmethod
    def flush(self) -> None:
        """Make noted accesses durable."""

    @abstractmethod
    def close(self) -> None:
        """Flush and release everything; safe to call twice."""
