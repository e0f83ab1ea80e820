"""When snapshots are written: beside the work once enough has changed, on close, and on demand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from memorygraph.actors.background import BACKGROUND
from memorygraph.actors.engine import Saved
from memorygraph.actors.snapshots import Snapshots, State
from memorygraph.events.errors import MemoryGraphError, StoreError

STEP_S: Final = 0.001  # between two steps, so that writers come first


class Saver:
    """Writes the snapshots of one engine.

    Args:
        state: gives the shard, its newest Frame and the ledger's part at that very position.
    """

    def __init__(self, snapshots: Snapshots, state: Callable[[], State]) -> None:
        self._snapshots = snapshots
        self._state = state
        self._closed = False

    def committed(self, changes: int) -> None:
        """Begin a snapshot if so many changes make one due; a failure only means that opening takes longer."""
        if self._snapshots.is_due(changes):
            with suppress(MemoryGraphError):
                self.begin(changes)

    def begin(self, changes: int = 0) -> None:
        """Begin a snapshot that is written beside other work."""
        self._snapshots.begin(self._state, changes)
        BACKGROUND.after(STEP_S, self._step)

    def save(self, position: int, location: str) -> Saved:
        """Write a snapshot of this position or a later one, after one that is being written.

        Raises:
            StoreError: it could not be written, or another process is writing one, or the log is being compacted.
        """
        saved = self._snapshots.finish()
        if saved is None or saved.position < position:
            self._snapshots.begin(self._state)
            saved = self._snapshots.finish()
        if saved is None:
            raise StoreError(
                f"{location}: another process is writing a snapshot of this memory, or the log is being compacted; try "
                "again"
            )
        return saved

    def close(self, changes: int) -> None:
        """Finish the snapshot that was begun, and write one if opening the memory would take long without it."""
        with suppress(MemoryGraphError):
            self._snapshots.finish()
            if self._snapshots.is_due_on_close(changes):
                self._snapshots.begin(self._state)
                self._snapshots.finish()
        self._closed = True

    def _step(self) -> None:
        with suppress(MemoryGraphError):
            if not self._closed and self._snapshots.step():
                BACKGROUND.after(STEP_S, self._step)
