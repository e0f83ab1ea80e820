"""What can be asked about who sees what: any query through a sight, and where memories are.

Who answers ``Whereabouts`` and ``MovedAway`` tells of what may not be seen: they are for engines, not for facades.
"""

from __future__ import annotations

from memorygraph.actors.commands import Query
from memorygraph.events.types import Partition
from memorygraph.projections.sight import Sight


class InSight(Query, frozen=True, kw_only=True):
    """A query as a reader sees the memory -> what that query gives."""

    sight: Sight
    asked: Query


class Whereabouts(Query, frozen=True, kw_only=True):
    """Where nodes are, or were last -> ``list[tuple[Partition, int] | None]``, with the position of the last move."""

    ids: list[str]


class MovedAway(Query, frozen=True, kw_only=True):
    """The ids of nodes, forgotten ones among them, that were moved and are in none of some partitions now."""

    partitions: frozenset[Partition]


class Census(Query, frozen=True, kw_only=True):
    """How many nodes each partition has of each owner -> ``list[tuple[Partition, str | None, int]]``."""
