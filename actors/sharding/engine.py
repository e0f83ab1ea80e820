"""``ShardedEngine``: the ``Engine`` port over shards in this process: one ledger writes, shards follow and answer.

It shows, without a cluster, that shards answer what an embedded memory answers, and is what the tests of a cluster are
held against. The ledger here is a ``LocalEngine``, which decides on a state of its own; so this saves no memory yet.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Final

from memorygraph.actors.commands import Answer, Command, Describe, Query, Receipt
from memorygraph.actors.compaction import CompactionReport, RetentionPolicy
from memorygraph.actors.engine import Committed, Engine, Saved
from memorygraph.actors.local import LocalEngine
from memorygraph.actors.pinned import PinnedEngine
from memorygraph.actors.sharding.group import ShardGroup
from memorygraph.actors.sharding.placement import Placement
from memorygraph.actors.sight_queries import Census, InSight
from memorygraph.events.errors import InputError, PositionNotKept
from memorygraph.events.heads import SignedHead
from memorygraph.events.log import Head, VerifyReport
from memorygraph.events.ports import Clock, SystemClock
from memorygraph.events.types import Partition
from memorygraph.projections.sight import WHOLE

PAST_MAX: Final = 4  # views of the past that are kept


class ShardedEngine(Engine):
    """One memory whose questions are answered by several shards.

    Args:
        ledger: writes, and is asked in transactions; closed with this engine.
        placement: who keeps what.
        clock: tells what has expired where the ledger cannot write.
    """

    def __init__(self, ledger: LocalEngine, placement: Placement, clock: Clock | None = None) -> None:
        self._ledger = ledger
        self._placement = placement
        self._clock = clock or SystemClock()
        self._group = ShardGroup(placement, self._clock)
        self._following = threading.Lock()
        self._past: OrderedDict[int, ShardGroup] = OrderedDict()
        self.memory_id = ledger.memory_id
        self.location = ledger.location
        self.group()

    @property
    def read_only(self) -> bool:
        """Whether commands are refused."""
        return self._ledger.read_only

    @property
    def notes(self) -> tuple[str, ...]:
        """What the log has to say of itself, a line each."""
        return self._ledger.notes

    @property
    def accesses_dropped(self) -> int:
        """How many accesses were not recorded."""
        return self._ledger.accesses_dropped

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is in a transaction."""
        return self._ledger.in_transaction

    def execute(self, command: Command) -> Receipt:
        """Carry out a command; the shards have it before the next answer."""
        return self._ledger.execute(command)

    def group(self) -> ShardGroup:
        """Return the shards, brought to the newest position."""
        position = self._ledger.ask(Describe()).position  # what has expired is forgotten then
        if self._group.position < position:
            with self._following:
                self._follow(position)
        return self._group

    def ask(self, query: Query) -> Answer:
        """Answer a query at the newest position, in a transaction as it stands."""
        if self._ledger.in_transaction:
            return self._ledger.ask(query)
        return self.group().ask(query, self._time_us())

    def at(self, position: int) -> Engine:
        """Return a read-only engine that answers as of a position."""
        group = self.group()
        if not 0 <= position <= group.position:
            raise InputError(
                f"position {position} is not in this memory, which holds 0 to {group.position}", position=position
            )
        if position == group.position:
            return PinnedShards(self, group, position, self._time_us())
        past = self.past(position)
        return PinnedShards(self, past, position, notes=past.members[0].notes())

    def pinned(self) -> Engine:
        """Return a read-only engine that answers at the newest position for ever, in a transaction as it stands."""
        if self._ledger.in_transaction:
            return self._ledger.pinned()
        group = self.group()
        return PinnedShards(self, group, group.position, self._time_us())

    @property
    def placement(self) -> Placement:
        """Who keeps what."""
        return self._placement

    def place(self, placement: Placement) -> None:
        """Let other shards keep what: they are built from the log beside those that answer, and take their place.

        After ``balanced``, when shards join or leave, or ``split_where_due``.
        """
        group = ShardGroup(placement, self._clock)
        group.follow(self._ledger.read(1))
        with self._following:
            group.follow(self._ledger.read(group.position + 1))
            self._placement, self._group = placement, group
            self._past.clear()

    def sizes(self) -> dict[Partition, int]:
        """Return how many memories each partition has, by which ``split_where_due`` goes."""
        sizes: Counter[Partition] = Counter()
        for partition, _, count in self.ask(InSight(sight=WHOLE, asked=Census())).value:
            sizes[partition] += count
        return dict(sizes)

    def past(self, position: int) -> ShardGroup:
        """Return shards as of a position, built from the log; those asked for lately are kept."""
        with self._following:
            group = self._past.get(position)
            if group is None:
                group = ShardGroup(self._placement, self._clock)
                group.follow(self._ledger.read(1, position))
                self._past[position] = group
                while len(self._past) > PAST_MAX:
                    self._past.popitem(last=False)
            return group

    def transaction(
        self, *, command_id: str | None = None, principal: str = "", provenance: dict[str, str] | None = None
    ) -> AbstractContextManager[None]:
        """Let this thread's commands be one record, or nothing."""
        return self._ledger.transaction(command_id=command_id, principal=principal, provenance=provenance)

    def accessed(
        self, ids: list[str], time_us: int, *, principal: str = "", provenance: dict[str, str] | None = None
    ) -> None:
        """Note that nodes were recalled."""
        self._ledger.accessed(ids, time_us, principal=principal, provenance=provenance)

    def read(self, first: int, last: int | None = None, *, about: str | None = None) -> Iterator[Committed]:
        """Give the records at positions first..last (None: the newest)."""
        return self._ledger.read(first, last, about=about)

    def frames(self, first: int = 1) -> Iterator[bytes]:
        """Give the log's raw frames."""
        return self._ledger.frames(first)

    def wait(self, position: int, timeout_s: float) -> int:
        """Return the newest position as soon as it is beyond ``position``, or after ``timeout_s`` seconds."""
        return self._ledger.wait(position, timeout_s)

    def head(self) -> Head:
        """Return the log's head."""
        return self._ledger.head()

    def sign_head(self) -> SignedHead:
        """Sign the log's head as it is now."""
        return self._ledger.sign_head()

    def verify(self) -> VerifyReport:
        """Check the whole log from its first byte."""
        return self._ledger.verify()

    def log_size_bytes(self) -> int:
        """Return the bytes that the log takes in its store."""
        return self._ledger.log_size_bytes()

    def compact(
        self, policy: RetentionPolicy, principal: str = "", provenance: dict[str, str] | None = None
    ) -> CompactionReport:
        """Replace the records that a policy does not keep by their hashes."""
        report = self._ledger.compact(policy, principal, provenance)
        with self._following:
            self._past.clear()  # they show what is replaced now
        return report

    def flush(self) -> None:
        """Make noted accesses durable."""
        self._ledger.flush()

    def snapshot(self) -> Saved:
        """Write a snapshot of the ledger's state; shards have none yet."""
        return self._ledger.snapshot()

    def close(self) -> None:
        """Flush and release everything; safe to call twice."""
        self._ledger.close()

    def _time_us(self) -> int:
        """Return when it is, if what has expired is to be left out because it cannot be forgotten."""
        return self._clock.now_us() if self.read_only else 0

    def _follow(self, position: int) -> None:
        """Bring the shards to a position; ``_following`` is held."""
        group = self._group
        if group.position >= position:
            return
        try:
            group.follow(self._ledger.read(group.position + 1, position))
        except BaseException:  # some may have a record that others have not
            self._group = ShardGroup(self._placement, self._clock)
            raise


class PinnedShards(PinnedEngine):
    """Shards as they were at one position; once that is no longer kept they are built anew from the log."""

    def __init__(
        self, live: ShardedEngine, group: ShardGroup, position: int, now_us: int = 0, notes: tuple[str, ...] = ()
    ) -> None:
        first = group.members[0]
        super().__init__(live, first, first.frame_at(position), notes)
        self._sharded = live
        self._group = group
        self._now_us = now_us

    def ask(self, query: Query) -> Answer:
        """Answer at the pinned position."""
        position = self._frame.position
        try:
            return self._group.ask_at(position, query, self._now_us)
        except PositionNotKept:
            self._group = self._sharded.past(position)
            return self._group.ask_at(position, query, self._now_us)
