"""Who keeps what: every virtual shard has one shard, loads are even, and no more moves than must be."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.actors.sharding import placement as placing
from memorygraph.actors.sharding.placement import Placement, balanced, moves, placed_on, split_where_due
from memorygraph.events.errors import InputError
from memorygraph.events.types import Partition
from memorygraph.projections.partial import HOMES

OWN, ROOM, PUBLIC = Partition(1, "ann"), Partition(2, "ann"), Partition()
names = st.sets(st.integers(0, 90), min_size=1, max_size=HOMES)


def retained_at_most(before: Placement, shards: set[int]) -> int:
    """How many virtual shards can stay where they are in an even placement, at most."""
    least, more = divmod(HOMES, len(shards))
    has = Counter(shard for shard in before.shards if shard in shards)
    over = sum(1 for count in has.values() if count > least)
    return sum(min(count, least) for count in has.values()) + min(over, more)


def check_plan(before: Placement, shards: set[int]) -> Placement:
    after = balanced(before, shards)
    counts = Counter(after.shards)
    assert set(counts) == shards
    assert len(after.shards) == HOMES
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len(moves(before, after)) == HOMES - retained_at_most(before, shards)
    for home, source, target in moves(before, after):
        assert (before.shards[home], after.shards[home]) == (source, target)
    return after


def run(steps: list[set[int]]) -> None:
    placement = placed_on(1)
    for shards in steps:
        placement = check_plan(placement, shards)


@settings(max_examples=150)
@given(st.lists(names, min_size=1, max_size=5))
def test_as_little_as_can_be_moves_when_shards_join_and_leave(steps: list[set[int]]) -> None:
    run(steps)


def test_dealing_everything_anew_is_found(monkeypatch) -> None:
    def dealt(_: object, shards: set[int]) -> Placement:
        order = sorted(shards)
        return Placement(tuple(order[home % len(order)] for home in range(HOMES)))

    monkeypatch.setitem(globals(), "balanced", dealt)
    with pytest.raises(AssertionError):
        run([{0, 1}, {0, 1, 2}])


def test_a_memory_needs_one_to_64_shards() -> None:
    with pytest.raises(InputError, match="1 to 64 shards, not on 0"):
        balanced(None, [])
    with pytest.raises(InputError, match="not on 65"):
        placed_on(65)


def test_a_partition_lies_together_until_it_is_split() -> None:
    placement = placed_on(8)
    homes = {placement.home(OWN, f"n{at}", at) for at in range(100)}
    assert len(homes) == 1
    assert {placement.shards[home] for home in homes} == {placement.shard_of(OWN)}
    split = split_where_due(placement, {OWN: placing.SPLIT_NODES + 1, ROOM: placing.SPLIT_NODES}, 50)
    assert split.splits == {OWN: 51}
    assert {split.home(OWN, f"n{at}", at) for at in range(51)} == homes, "what was there stays"
    assert len({split.home(OWN, f"n{at}", at) for at in range(51, 500)}) > HOMES // 2
    assert split.home(ROOM, "n1", 99) == placement.home(ROOM, "n1", 99)
    assert split_where_due(split, {OWN: 10**7}, 80) is split
    assert balanced(split, range(3)).splits == split.splits


def test_partitions_spread_evenly() -> None:
    homes = Counter(placing.virtual_shard(Partition(1, f"agent{at}")) for at in range(6400))
    assert len(homes) == HOMES
    assert max(homes.values()) < 160
    assert placing.virtual_shard(OWN) != placing.virtual_shard(ROOM) or OWN == ROOM


def test_homes_are_the_same_on_every_machine() -> None:
    assert [placing.virtual_shard(each) for each in (PUBLIC, OWN, ROOM)] == [45, 9, 11]
    assert placing.virtual_shard(PUBLIC, "n1") == 2
