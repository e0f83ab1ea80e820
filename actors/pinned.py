"""``PinnedEngine``: a memory as it was at one position."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from memorygraph.actors.commands import Answer, Command, Query, Receipt
from memorygraph.actors.compaction import CompactionReport, RetentionPolicy
from memorygraph.actors.engine import Committed, Engine, Saved
from memorygraph.actors.shard import Shard
from memorygraph.events.errors import InputError, StoreReadOnly
from memorygraph.events.heads import SignedHead
from memorygraph.events.log import Head, VerifyReport
from memorygraph.projections.frame import Frame


class PinnedEngine(Engine):
    """A read-only engine that answers at one position for ever."""

    def __init__(self, live: Engine, shard: Shard, frame: Frame, notes: tuple[str, ...] = ()) -> None:
        self._live = live
        self._notes = notes
        self._shard = shard
        self._frame = frame
        self._position = frame.position
        self.memory_id = live.memory_id
        self.location = live.location

    @property
    def read_only(self) -> bool:
        """Always."""
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """What the log has to say of itself, and what there is to say of this view."""
        return (*self._live.notes, *self._notes)

    def execute(self, command: Command) -> Receipt:
        """Refuse: the past does not change."""
        del command
        raise self._refusal()

    def ask(self, query: Query) -> Answer:
        """Answer at the pinned position."""
        return Answer(self._position, self._shard.ask(self._frame, query))

    def at(self, position: int) -> Engine:
        """Return a view of an earlier position."""
        if position > self._position:
            raise InputError(
                f"position {position} is after this view, which ends at {self._position}", position=position
            )
        return self._live.at(position)

    def pinned(self) -> Engine:
        """Return itself."""
        return self

    @contextmanager
    def transaction(
        self, *, command_id: str | None = None, principal: str = "", provenance: dict[str, str] | None = None
    ) -> Iterator[None]:
        """Refuse: the past does not change."""
        del command_id, principal, provenance
        raise self._refusal()
        yield  # a context manager is a generator

    def accessed(
        self, ids: list[str], time_us: int, *, principal: str = "", provenance: dict[str, str] | None = None
    ) -> None:
        """Looking at the past leaves no trace."""

    def read(self, first: int, last: int | None = None, *, about: str | None = None) -> Iterator[Committed]:
        """Give records up to the pinned position."""
        end = self._position if last is None else min(last, self._position)
        return self._live.read(first, end, about=about)

    def frames(self, first: int = 1) -> Iterator[bytes]:
        """Refuse: an export is of the whole log."""
        raise StoreReadOnly("export the memory itself; a view of the past has no log of its own", first=first)

    def wait(self, position: int, timeout_s: float) -> int:
        """Return after ``timeout_s`` seconds, if need be: nothing is added to a view."""
        if position >= self._position:
            time.sleep(timeout_s)
        return self._position

    def head(self) -> Head:
        """Return the head of the whole log."""
        return self._live.head()

    def sign_head(self) -> SignedHead:
        """Refuse: only the head of the whole log is signed."""
        raise StoreReadOnly("sign the head of the memory itself; a view of the past has none")

    def verify(self) -> VerifyReport:
        """Check the whole log."""
        return self._live.verify()

    def log_size_bytes(self) -> int:
        """Return the bytes of the whole log."""
        return self._live.log_size_bytes()

    def compact(
        self, policy: RetentionPolicy, principal: str = "", provenance: dict[str, str] | None = None
    ) -> CompactionReport:
        """Refuse: the past does not change."""
        del policy, principal, provenance
        raise StoreReadOnly("compact the memory itself; a view of the past has no log of its own")

    def flush(self) -> None:
        """Nothing is pending in a view."""

    def snapshot(self) -> Saved:
        """Refuse: snapshots are of the memory itself."""
        raise StoreReadOnly(f"this is a view of position {self._position}; take a snapshot of the memory itself")

    def _refusal(self) -> StoreReadOnly:
        return StoreReadOnly(
            f"this is a view of position {self._position}, which does not change; write to the memory itself"
        )

    def close(self) -> None:
        """Nothing to release: the live engine owns the log."""
