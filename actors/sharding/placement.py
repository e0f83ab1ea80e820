"""Placement: which shard keeps the text, the vector and the words of a memory.

A memory belongs to one of 64 virtual shards, its home, for as long as it lives: the hash of the partition that it was
added to, so that what is asked together lies together. A partition that grew too large is split: what is added to it
from some position on is placed by its id, too. The home follows from the event that added the memory alone, so every
shard that reads the log comes to the same, and moving a memory to another partition moves no data. Virtual shards are
given to shards by a table, which changes when shards join or leave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from memorygraph.events.errors import InputError
from memorygraph.events.types import Partition
from memorygraph.projections.partial import HOMES

SPLIT_NODES: Final = 250_000
"""A partition of more memories than this is split by their ids."""


def virtual_shard(partition: Partition, node_id: str = "") -> int:
    """Return the virtual shard of a partition, or of one memory in a partition that is split, 0..63."""
    key = f"{partition.scope}\0{partition.name}\0{node_id}"
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] % HOMES


_of_partition: Final = lru_cache(maxsize=4096)(virtual_shard)  # of ids there are too many to keep


class Placement(Struct, frozen=True):
    """Who keeps what: the number of the shard of each of the 64 virtual shards, and since when partitions are split.

    ``splits`` are the positions from which on what is added to a partition is placed by its id.
    """

    shards: tuple[int, ...]
    splits: dict[Partition, int] = {}

    def home(self, partition: Partition, node_id: str, position: int) -> int:
        """Return the virtual shard of a memory that is added to a partition at a position."""
        since = self.splits.get(partition) if self.splits else None
        if since is None or position < since:
            return _of_partition(partition)
        return virtual_shard(partition, node_id)

    def shard_of(self, partition: Partition) -> int:
        """Return the shard of a partition, of its first part where it is split."""
        return self.shards[_of_partition(partition)]

    def homes_of(self, shard: int) -> frozenset[int]:
        """Return the virtual shards of a shard."""
        return frozenset(home for home, owner in enumerate(self.shards) if owner == shard)

    def table(self) -> NDArray[np.int64]:
        """Return the shards by virtual shard, shape (64,)."""
        return np.array(self.shards, dtype=np.int64)


class Move(NamedTuple):
    """A virtual shard that changes hands; ``source`` is None where nobody had it."""

    home: int
    source: int | None
    target: int


def placed_on(shards: int) -> Placement:
    """Return the placement on shards 0..shards-1 of a memory that is new."""
    return balanced(None, range(shards))


def balanced(before: Placement | None, shards: Collection[int]) -> Placement:
    """Return a placement on these shards with as few moves as can be; none has two virtual shards more than another.

    Raises:
        InputError: there is no shard, or more than there are virtual shards.
    """
    names = sorted(set(shards))
    if not 0 < len(names) <= HOMES:
        raise InputError(f"a memory is placed on 1 to {HOMES} shards, not on {len(names)}", shards=len(names))
    owners: list[int | None] = list(before.shards) if before is not None else [None] * HOMES
    has = Counter(owner for owner in owners if owner in names)
    least, more = divmod(HOMES, len(names))
    fullest = sorted(names, key=lambda name: (-has[name], name))  # who has most keeps most
    room = {name: least + (place < more) for place, name in enumerate(fullest)}
    homeless: list[int] = []
    for home, owner in enumerate(owners):
        if owner is not None and room.get(owner, 0) > 0:
            room[owner] -= 1
        else:
            homeless.append(home)
    free = iter([name for name in names for _ in range(room[name])])
    for home in homeless:
        owners[home] = next(free)
    table = tuple([owner for owner in owners if owner is not None])
    return Placement(table) if before is None else replace(before, shards=table)


def moves(before: Placement, after: Placement) -> list[Move]:
    """Return which virtual shards change hands."""
    pairs = zip(before.shards, after.shards, strict=True)
    return [Move(home, source, target) for home, (source, target) in enumerate(pairs) if source != target]


def split_where_due(placement: Placement, sizes: Mapping[Partition, int], position: int) -> Placement:
    """Return a placement in which partitions of too many memories are split for what comes after a position."""
    due = [partition for partition, size in sizes.items() if size > SPLIT_NODES and partition not in placement.splits]
    if not due:
        return placement
    return replace(placement, splits=placement.splits | dict.fromkeys(due, position + 1))
