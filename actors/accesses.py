"""Recalls that were noted and wait to be recorded together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from memorygraph.actors.commands import RecordAccesses
from memorygraph.events.types import LIMITS

COMMAND_BYTES: Final = LIMITS.command_bytes_max // 4
_ACCESS_BYTES: Final = 16  # of a time and of what surrounds an id

Noted = tuple[list[str], int]


class Accesses:
    """A buffer of (ids, time); safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: list[Noted] = []
        self._is_due = False

    def note(self, ids: list[str], time_us: int) -> tuple[int, bool]:
        """Add a recall; return how many wait, and whether somebody was to fetch them already."""
        with self._lock:
            self._noted.append((ids, time_us))
            is_due, self._is_due = self._is_due, True
            return len(self._noted), is_due

    def take(self) -> list[RecordAccesses]:
        """Take what waits, as operations that are small enough for a command each."""
        with self._lock:
            noted, self._noted = self._noted, []
            self._is_due = False
        return list(_operations(noted))

    def put_back(self, operations: list[RecordAccesses]) -> None:
        """Let operations that were taken wait again."""
        noted: list[Noted] = [
            ([node_id], time_us)
            for operation in operations
            for node_id, time_us in zip(operation.ids, operation.times_us, strict=True)
        ]
        with self._lock:
            self._noted = noted + self._noted


def _operations(noted: list[Noted]) -> Iterator[RecordAccesses]:
    ids: list[str] = []
    times_us: list[int] = []
    size_bytes = 0
    for group, time_us in noted:
        for node_id in group:
            if size_bytes > COMMAND_BYTES:
                yield RecordAccesses(ids=ids, times_us=times_us)
                ids, times_us, size_bytes = [], [], 0
            ids.append(node_id)
            times_us.append(time_us)
            size_bytes += len(node_id) + _ACCESS_BYTES
    if ids:
        yield RecordAccesses(ids=ids, times_us=times_us)
