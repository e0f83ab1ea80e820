"""Recalls that were noted and wait to be recorded together, those of one principal in one record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from memorygraph.actors.commands import Command, RecordAccesses
from memorygraph.events.errors import MemoryGraphError
from memorygraph.events.types import LIMITS

COMMAND_BYTES: Final = LIMITS.command_bytes_max // 4
RECALLS_MAX: Final = 1000  # from here on they are to be fetched at once,
FETCH_BYTES: Final = 1 << 20  # or from here
IDS_MAX: Final = 100_000  # more than that is dropped,
BYTES_MAX: Final = 8 << 20  # or than that
_ACCESS_BYTES: Final = 16  # of a time and of what surrounds an id


class Recalled(NamedTuple):
    """One recall: what it found, when, by whom and from where."""

    ids: list[str]
    time_us: int
    principal: str
    provenance: dict[str, str]


class Batch(NamedTuple):
    """Recalls of one principal as an operation that is small enough for a command."""

    operation: RecordAccesses
    principal: str
    provenance: dict[str, str]

    def command(self, command_id: str) -> Command:
        """Return the command that records it, under an id drawn for it."""
        return Command(
            id=command_id,
            operations=(self.operation,),
            principal=self.principal,
            provenance=self.provenance,
            id_chosen=False,
        )


class Accesses:
    """A buffer of recalls, safe to use from several threads. Full, it drops and counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: list[Recalled] = []
        self._ids = 0
        self._size_bytes = 0
        self._is_due = False
        self.dropped = 0
        """How many accesses were dropped."""

    def note(self, recalled: Recalled) -> tuple[bool, bool]:
        """Add a recall; return whether it is time to fetch what waits, and whether somebody was to do so already."""
        with self._lock:
            self._add([recalled])
            is_due, self._is_due = self._is_due, True
            return len(self._noted) >= RECALLS_MAX or self._size_bytes >= FETCH_BYTES, is_due

    def take(self) -> list[Batch]:
        """Take what waits."""
        with self._lock:
            noted, self._noted = self._noted, []
            self._ids = self._size_bytes = 0
            self._is_due = False
        by_author: dict[tuple[str, frozenset[tuple[str, str]]], list[Recalled]] = {}
        for one in noted:
            by_author.setdefault((one.principal, frozenset(one.provenance.items())), []).append(one)
        return [
            Batch(operation, group[0].principal, group[0].provenance)
            for group in by_author.values()
            for operation in _operations(group)
        ]

    def put_back(self, batches: list[Batch]) -> None:
        """Let what was taken wait again."""
        noted = [
            Recalled([node_id], time_us, batch.principal, batch.provenance)
            for batch in batches
            for node_id, time_us in zip(batch.operation.ids, batch.operation.times_us, strict=True)
        ]
        with self._lock:
            after, self._noted = self._noted, []
            self._ids = self._size_bytes = 0
            self._add(noted + after)

    def flush(self, record: Callable[[Batch], None]) -> None:
        """Have everything recorded; what was not when ``record`` failed waits again.

        Raises:
            MemoryGraphError: it failed.
        """
        waiting = self.take()
        while waiting:
            try:
                record(waiting[0])
            except MemoryGraphError:
                self.put_back(waiting)
                raise
            del waiting[0]

    def flush_quietly(self, record: Callable[[Batch], None]) -> None:
        """Have everything recorded; what could not be is dropped."""
        for batch in self.take():
            try:
                record(batch)
            except MemoryGraphError:
                self.drop(len(batch.operation.ids))

    def take_over(self, other: Accesses) -> bool:
        """Take what another buffer holds, dropped ones counted; False if there was nothing."""
        batches = other.take()
        self.put_back(batches)
        self.drop(other.dropped)
        return bool(batches)

    def drop(self, count: int) -> None:
        """Count accesses that could not be recorded."""
        with self._lock:
            self.dropped += count

    def _add(self, noted: list[Recalled]) -> None:
        for recalled in noted:
            ids = recalled.ids
            size_bytes = sum(map(len, ids)) + _ACCESS_BYTES * len(ids)
            if self._ids + len(ids) > IDS_MAX or self._size_bytes + size_bytes > BYTES_MAX:
                self.dropped += len(ids)
                continue
            self._noted.append(recalled)
            self._ids += len(ids)
            self._size_bytes += size_bytes


def _operations(noted: list[Recalled]) -> Iterator[RecordAccesses]:
    ids: list[str] = []
    times_us: list[int] = []
    size_bytes = 0
    for recalled in noted:
        for node_id in recalled.ids:
            if size_bytes > COMMAND_BYTES:
                yield RecordAccesses(ids=ids, times_us=times_us)
                ids, times_us, size_bytes = [], [], 0
            ids.append(node_id)
            times_us.append(recalled.time_us)
            size_bytes += len(node_id) + _ACCESS_BYTES
    if ids:
        yield RecordAccesses(ids=ids, times_us=times_us)
