"""How the shards of a memory ask each other: a port, and the way inside one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from memorygraph.actors.commands import Query
from memorygraph.projections.sight import Sight

if TYPE_CHECKING:
    from memorygraph.actors.sharding.member import Member


class Moment(Struct, frozen=True, kw_only=True):
    """What is looked at: a position, through a sight; ``now_us``: without what has expired by then (0: with it)."""

    position: int
    sight: Sight
    now_us: int = 0


class Peers(Protocol):
    """Carries questions to other shards, one message to each."""

    def ask_each(self, moment: Moment, asked: Mapping[int, Query]) -> dict[int, Any]:
        """Return the answer of each shard to its question, all at one moment.

        Raises:
            ShardError: a shard cannot answer; ``about`` names it.
        """
        ...


class InProcess:
    """The shards of this process, by number."""

    def __init__(self, members: Sequence[Member] = ()) -> None:
        self.members = {member.number: member for member in members}

    def ask_each(self, moment: Moment, asked: Mapping[int, Query]) -> dict[int, Any]:
        """Ask one after the other."""
        return {number: self.members[number].part(moment, query) for number, query in asked.items()}
