"""Spreading over divided edges comes to what spreading over the whole graph comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.actors.commands import FindNodes, Query
from memorygraph.actors.sharding import member, supersteps
from memorygraph.actors.sharding.group import ShardGroup
from memorygraph.actors.sharding.member import Member
from memorygraph.actors.sharding.peers import InProcess, Moment
from memorygraph.actors.sharding.placement import placed_on
from memorygraph.actors.sight_queries import InSight
from memorygraph.actors.spread_queries import ORDERS, Activated, Spread
from memorygraph.events import records as ev
from memorygraph.events.errors import NodeNotFoundError, ShardMismatch
from memorygraph.projections import spreading
from memorygraph.projections.conductance import AGGREGATES, MODES, SpreadRules
from memorygraph.projections.frame import ALIVE, Frame
from memorygraph.projections.sight import Sight
from memorygraph.projections.tables import chunks_of
from tests.actors.sharding.histories import HOUR_US, SIGHTS, History, embedded
from tests.actors.sharding.test_sharding import Setting

SHARDS = (1, 2, 4, 8)


def divided(shard: Member, frame: Frame) -> Frame:
    """Return a Frame without the edges that touch none of a shard's own memories."""
    own, flags = shard.own_nodes(frame), frame.edges.column("flags")
    touches = own[frame.edges.column("source")] | own[frame.edges.column("target")]
    fields: dict[str, Any] = {
        name: getattr(frame, name) for name in Frame.__slots__ if name not in {"_cache", "sights", "traces"}
    }
    edges = frame.edges.with_chunks("flags", chunks_of(np.where(touches, flags, flags & np.uint8(0xFF ^ ALIVE))))
    return Frame(**fields | {"edges": edges})


@pytest.fixture(autouse=True)
def _divided_edges(monkeypatch) -> None:
    """No shard has edges of others, so none can look at them; not even the one that asks."""
    publish = Member.publish

    def published(self: Member) -> Frame:
        whole = publish(self)
        self.frame = divided(self, whole)
        self._kept._frames[whole.position] = self.frame
        return self.frame

    monkeypatch.setattr(Member, "publish", published)


def asked(random: Random, history: History, ids: list[str]) -> Spread:
    sources = random.sample(ids, random.randint(1, min(3, len(ids))))
    rules = SpreadRules(
        max_depth=random.randint(0, 5),
        max_nodes=random.choice([3, 500]),
        min_activation=random.choice([0.0, 0.01, 0.2]),
        fan=random.random() < 0.3,
        importance=random.random() < 0.7,
        temporal_boost=random.random() < 0.7,
        aggregate=random.choice(AGGREGATES),
        feedback=random.choice([0, 0, 2]),
        mode=random.choice(MODES),
        direction=random.choice(["out", "in", "both"]),
        exclude=random.choice([[], [5]]),
    )
    return Spread(
        sources=sources,
        values=[random.choice([1.0, 0.5]) for _ in sources],
        rules=rules,
        now_us=len(history.records) * HOUR_US,
        sort_by=random.choice(ORDERS),
        limit=random.choice([None, 4]),
    )


def same(found: Activated, expected: Activated, query: Spread) -> bool:
    """Whether two answers are equal: to the bit and with the ways where the most counts, else up to rounding."""
    if query.rules.mode in {"max", "reference"}:
        return found.activations == expected.activations and ways(found) == ways(expected)
    if query.limit is None and values(found).keys() != values(expected).keys():
        return False
    both = values(found).keys() & values(expected).keys()
    return len(found.activations) == len(expected.activations) and all(
        abs(values(found)[name] - values(expected)[name]) < 1e-9 for name in both
    )


def values(found: Activated) -> dict[str, float]:
    return dict(zip(found.ids, found.activations, strict=False))


def ways(found: Activated) -> list[tuple[str, ...]]:
    trails = np.frombuffer(found.trails, "<i4").reshape(-1, found.width)
    return [tuple(found.ids[place] for place in trail if place >= 0) for trail in trails.tolist()]


def grown(seed: int, shards: int, records: int = 45) -> tuple[ShardGroup, History]:
    history = History(seed)
    history.grow(records)
    for _ in range(100):
        history.write(*history._link())
    group = ShardGroup(placed_on(shards), Setting())
    group.follow(history.records)
    return group, history


def run(seed: int, shards: int) -> None:
    group, history = grown(seed, shards)
    whole, sight = embedded(history.records), history.random.choice([each for each in SIGHTS if each])
    ids = [state.id for state in whole.ask(whole.frame, InSight(sight=sight, asked=FindNodes()))]
    queries = [asked(history.random, history, ids) for _ in range(6)] if ids else []
    found = group.spread_together(queries, sight).value
    for query, answer in zip(queries, found, strict=True):
        expected = whole.ask(whole.frame, InSight(sight=sight, asked=query))
        assert same(answer, expected, query), (query, answer, expected)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), shards=st.sampled_from(SHARDS))
def test_activation_comes_to_the_same(seed: int, shards: int) -> None:
    run(seed, shards)


def test_a_step_of_all_questions_is_one_message_to_each_shard(monkeypatch) -> None:
    group, history = grown(3, 4)
    hops: list[Mapping[int, Query]] = []
    ask_each = InProcess.ask_each

    def counted(self: InProcess, moment: Moment, query: Mapping[int, Query]) -> dict[int, Any]:
        hops.append(query)
        return ask_each(self, moment, query)

    monkeypatch.setattr(InProcess, "ask_each", counted)
    rules = SpreadRules(max_depth=4)
    queries = [msgspec.structs.replace(asked(history.random, history, history.ids), rules=rules) for _ in range(5)]
    group.spread_together(queries, Sight(archive="with"))
    assert 1 <= len(hops) <= 4, "no more steps than the question that goes farthest has"
    assert all(len(query) <= 3 for query in hops)
    sent = [pushed for query in hops for each in query.values() for pushed in each.pushed]
    assert max(len(each.pushed) for query in hops for each in query.values()) > 1, "several questions in one message"
    assert all(len(each.places) * 2 == len(each.values) for each in sent), "int32 and float64"


def test_a_source_must_be_there() -> None:
    group, _ = grown(1, 2)
    with pytest.raises(NodeNotFoundError, match="nobody"):
        group.spread_together([Spread(sources=["nobody"], values=[1.0], rules=SpreadRules(), now_us=0)])


def test_shards_that_know_other_nodes_say_so() -> None:
    group, history = grown(1, 2)
    history.write(ev.NodeAdded(id="late"))
    record = history.records[-1]
    for shard, events in zip(group.members, (record.events, ()), strict=True):
        shard.apply(record.position, record.time_us, events)
        shard.publish()
    group.position = record.position
    query = [Spread(sources=history.ids, values=[1.0] * len(history.ids), rules=SpreadRules(), now_us=0)]
    with pytest.raises(ShardMismatch, match="build it anew") as caught:
        group.members[0].spread_together(group.position, query, Sight(archive="with"))
    assert caught.value.about == {"shard": 1, "position": group.position}


def _least(patch: pytest.MonkeyPatch) -> None:
    """What arrives at one node from several is the last of it, not the most."""

    def last(moved: Any, **_: bool) -> Any:
        targets, place = np.unique(moved.targets, return_index=True)
        return spreading.Moved(moved.origins[place], targets, moved.amounts[place], moved.most[place])

    patch.setattr(supersteps, "combined", last)


def _other_origins(patch: pytest.MonkeyPatch) -> None:
    """The way is told by the highest row, not by the strongest arc."""
    combined = spreading.combined

    def mutant(moved: Any, *, adding: bool) -> Any:
        found = combined(moved, adding=adding)
        return found._replace(origins=np.full_like(found.origins, moved.origins.max(initial=0)))

    patch.setattr(supersteps, "combined", mutant)


def _one_shard_silent(patch: pytest.MonkeyPatch) -> None:
    """What one shard passes on is lost."""
    pass_on = member.PARTS[supersteps.PassOn]

    def mutant(shard: Member, frame: Frame, query: Any) -> Any:
        nothing = supersteps.Arrived(b"", b"", b"")
        return [nothing for _ in query.pushed] if shard.number == 1 else pass_on(shard, frame, query)

    patch.setitem(member.PARTS, supersteps.PassOn, mutant)


def _stale_time(patch: pytest.MonkeyPatch) -> None:
    """Conductance is kept for all times alike."""
    of = supersteps.Conductances.of
    patch.setattr(supersteps.Conductances, "of", lambda self, frame, rules, now_us: of(self, frame, rules, 0 * now_us))


def run_several() -> None:
    for seed in range(12):
        run(seed, 4)


@pytest.mark.parametrize("mutant", [_least, _other_origins, _one_shard_silent, _stale_time])
def test_a_broken_step_is_found(mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        run_several()
