"""All shards of one memory in this process: fed by one log, asked as one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from memorygraph.actors.commands import Answer, Describe, Query
from memorygraph.actors.engine import Committed
from memorygraph.actors.shard import sight_of
from memorygraph.actors.sharding.member import Member
from memorygraph.actors.sharding.peers import InProcess
from memorygraph.actors.sharding.placement import Placement
from memorygraph.actors.sight_queries import InSight
from memorygraph.actors.spread_queries import Spread
from memorygraph.events.errors import PositionNotKept
from memorygraph.events.ports import Clock
from memorygraph.projections.fading import SweepRules
from memorygraph.projections.sight import PRESENT, PUBLIC, Sight

PUBLISH_RECORDS: Final = 256  # while catching up: texts are kept whole until they are published
TRIES_MAX: Final = 3


class ShardGroup:
    """The shards of a placement; one thread at a time applies, any number ask."""

    def __init__(self, placement: Placement, clock: Clock | None = None) -> None:
        self.placement = placement
        self.peers = InProcess()
        self.members = [Member(number, placement, self.peers, clock) for number in sorted(set(placement.shards))]
        self.peers.members = {member.number: member for member in self.members}
        self.position = 0  # that all shards have published
        self._applying = threading.Lock()

    def follow(self, records: Iterable[Committed]) -> None:
        """Apply the records that come next, to every shard the same."""
        with self._applying:
            since = 0
            for committed in records:
                for member in self.members:
                    member.apply(committed.position, committed.time_us, committed.events)
                since += 1
                if since == PUBLISH_RECORDS:
                    self._publish()
                    since = 0
            if since:
                self._publish()

    def _publish(self) -> None:
        for member in self.members:
            member.publish()
        self.position = self.members[0].position

    def ask(self, query: Query, now_us: int = 0) -> Answer:
        """Answer a question at the newest position: one call to the shard that has most of it at hand.

        Args:
            now_us: leave out what has expired by then (0: nothing).
        """
        for _ in range(TRIES_MAX - 1):
            with suppress(PositionNotKept):  # it took longer than positions are kept
                return self.ask_at(self.position, query, now_us)
        return self.ask_at(self.position, query, now_us)

    def ask_at(self, position: int, query: Query, now_us: int = 0) -> Answer:
        """Answer a question at a position.

        Raises:
            PositionNotKept: it was not the newest within the last 250 ms.
        """
        return Answer(position, self.owner_of(query).answer(position, query, now_us))

    def spread_together(self, queries: Sequence[Spread], sight: Sight = PRESENT, now_us: int = 0) -> Answer:
        """Answer questions about activation in supersteps, all together -> ``list[Activated]``."""
        position, owner = self.position, self.owner_of(InSight(sight=sight, asked=Describe()))
        return Answer(position, owner.spread_together(position, queries, sight, now_us))

    def sweep(self, rules: SweepRules, now_us: int) -> Answer:
        """Return what the shards propose to forget, put away and advance -> ``Swept``; ``carry_out`` does it."""
        position = self.position
        return Answer(position, self.members[0].sweep(position, rules, now_us))

    def owner_of(self, query: Query) -> Member:
        """Return the shard to ask: that of the narrowest partition of those that are looked at."""
        partitions = sight_of(query)[0].partitions
        home = min(partitions, key=lambda each: (each.scope, each.name)) if partitions else PUBLIC
        number = self.placement.shard_of(home)
        return next(member for member in self.members if member.number == number)
