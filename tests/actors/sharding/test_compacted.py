"""Shards that lived through a compaction, and shards that were built from what it left, answer together as one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from memorygraph.actors.compaction import RetentionPolicy, plan
from memorygraph.actors.engine import Committed
from memorygraph.actors.graph_queries import Components
from memorygraph.actors.shard import sight_of
from memorygraph.actors.sharding import parts
from memorygraph.actors.sharding.group import ShardGroup
from memorygraph.actors.sharding.member import Member
from memorygraph.actors.sharding.placement import placed_on
from memorygraph.actors.sight_queries import Census
from memorygraph.events import records as ev
from memorygraph.events.errors import ShardError
from memorygraph.projections.sight import PUBLIC
from tests.actors.sharding.histories import History, embedded, questions
from tests.actors.sharding.test_sharding import Setting, check, check_every_member

FORGOTTEN = RetentionPolicy(keep_accesses=None, keep_forgotten=timedelta(0))


def compacted(history: History) -> list[Committed]:
    """Return the records with None in the place of those that a compaction replaces."""
    data = [
        (
            record.position,
            ev.encode_record(
                ev.Record("c", b"", "", {}, record.time_us, 0, None, "", tuple(map(ev.pack_event, record.events or ())))
            ),
        )
        for record in history.records
    ]
    live = set(history.ids)
    found = plan(lambda: data, FORGOTTEN, 1 << 60, len(data), is_live=live.__contains__)
    return [replace(each, events=None) if each.position in found.positions else each for each in history.records]


def run(seed: int, shards: int) -> int:
    """Compare answers, and return how many node rows a compaction spared a shard."""
    history, clock = History(seed), Setting()
    for _ in range(4):
        history.grow(12)
        history.write(*history._forget(), *history._forget())
    placement = replace(placed_on(shards), splits={PUBLIC: 1})
    group, late = ShardGroup(placement, clock), ShardGroup(placement, clock)
    group.follow(history.records)
    late.follow(compacted(history))
    built_later = late.members[1::2]
    for member in built_later:
        member.peers = group.peers
        group.peers.members[member.number] = member
    group.members = list(group.peers.members.values())
    whole = embedded(history.records)
    for query in questions(history, 12):
        if isinstance(sight_of(query)[1], Components | Census):
            continue  # these come in the order of row and partition numbers, which a compaction changes embedded, too
        check(group, whole, query)
        check_every_member(group, whole, query)
    return max(whole.frame.nodes.count - member.frame.nodes.count for member in built_later)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), shards=st.sampled_from((2, 4)))
def test_what_left_the_log_does_not_come_between_shards(seed: int, shards: int) -> None:
    run(seed, shards)


def test_their_rows_differ() -> None:
    assert max(run(seed, 2) for seed in range(4)) > 0


def _rows_for_places(patch: pytest.MonkeyPatch) -> None:
    """Memories are named by row numbers."""
    legs = parts._with_words

    def mutant(index: Any, own: Any, place: Any, words: Any, found: Any) -> Any:
        rows = parts.np.arange(len(place), dtype="i4") % max(found.of.count, 1)
        return legs(index, own, rows, words, found)

    patch.setattr(parts, "_with_words", mutant)


def _unchecked(patch: pytest.MonkeyPatch) -> None:
    """The homes of a shard that was built later are of other rows."""
    own_nodes = Member.owners
    patch.setattr(Member, "owners", lambda self, frame: parts.np.roll(own_nodes(self, frame), self.number))


def run_several() -> None:
    for seed in range(6):
        run(seed, 4)


@pytest.mark.parametrize("mutant", [_rows_for_places, _unchecked])
def test_rows_that_travel_are_found(mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch) -> None:
    mutant(monkeypatch)
    with pytest.raises((AssertionError, ShardError, KeyError)):
        run_several()
