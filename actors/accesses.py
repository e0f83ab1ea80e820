"""Recalls that were noted and wait to be recorded together, those of one principal in one record."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final, NamedTuple

from memorygraph.actors.commands import Command, RecordAccesses
from memorygraph.events.types import LIMITS

COMMAND_BYTES: Final = LIMITS.command_bytes_max // 4
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
    """A buffer of recalls; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: list[Recalled] = []
        self._is_due = False

    def note(self, recalled: Recalled) -> tuple[int, bool]:
        """Add a recall; return how many wait, and whether somebody was to fetch them already."""
        with self._lock:
            self._noted.append(recalled)
            is_due, self._is_due = self._is_due, True
            return len(self._noted), is_due

    def take(self) -> list[Batch]:
        """Take what waits."""
        with self._lock:
            noted, self._noted = self._noted, []
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
            self._noted = noted + self._noted


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
