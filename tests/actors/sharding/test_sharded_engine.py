"""Several shards behind the engine's port keep what every engine promises."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from memorygraph.actors import commands as cmd
from memorygraph.actors.engine import Engine
from memorygraph.actors.local import LocalEngine
from memorygraph.actors.replay import rebuilt_digest
from memorygraph.actors.sharding import kept, placement
from memorygraph.actors.sharding.engine import PAST_MAX, ShardedEngine
from memorygraph.actors.sharding.group import ShardGroup
from memorygraph.actors.sharding.placement import Placement, balanced, placed_on, split_where_due
from memorygraph.events import records as ev
from memorygraph.events.errors import InputError
from memorygraph.events.stores.memory import MemoryLog
from memorygraph.projections.sight import PUBLIC
from tests.actors.engine_contract import Counted, EngineContract, Home, Ticks, adding, ask, do, names


def by_id(shards: int) -> Placement:
    """A placement of all that is public by ids, from the first on."""
    return replace(placed_on(shards), splits={PUBLIC: 1})


class ShardedHome(Home):
    """Opening again copies the frames of the log before."""

    def __init__(self) -> None:
        self.log: MemoryLog | None = None

    def open(self, *, read_only: bool = False, **options: Any) -> Engine:
        before, self.log = self.log, MemoryLog(self.log and self.log.memory_id)
        with self.log.lock():
            for frame in before._frames if before else ():
                self.log.adopt(frame)
        self.log.read_only = read_only
        return ShardedEngine(LocalEngine(self.log, **options), by_id(4), options.get("clock"))


class TestOverShards(EngineContract):
    @pytest.fixture
    def home(self):
        return ShardedHome()


@pytest.fixture
def engine():
    engine = ShardedEngine(LocalEngine(MemoryLog(), name="m", ids=Counted()), by_id(3), Ticks())
    yield engine
    engine.close()


def test_a_transaction_sees_itself(engine) -> None:
    do(engine, adding("a"))
    with engine.transaction():
        do(engine, adding("b"))
        assert names(engine) == ["a", "b"]
        assert names(engine.pinned()) == ["a", "b"]
        assert engine.in_transaction
    assert names(engine) == ["a", "b"]
    assert engine.group().position == engine.head().position


def test_a_pinned_view_outlives_what_is_kept(engine) -> None:
    do(engine, adding("a", content="the first"))
    view = engine.pinned()
    for name in ("b", "c"):
        engine._clock.offset_us += 2 * kept.KEPT_US
        do(engine, adding(name, content="the second"))
        assert names(engine)[-1] == name
    assert names(view) == ["a"]
    assert [hit.node.content for hit in ask(view, cmd.Recall(text="first", k=3))] == ["the first"]
    assert view._group is not engine.group()


def test_few_views_of_the_past_are_kept(engine) -> None:
    for name in "abcdefgh":
        do(engine, adding(name))
    for position in range(8):
        assert ask(engine.at(position), cmd.Describe()).nodes == max(position - 1, 0)
    assert len(engine._past) == PAST_MAX
    assert engine.at(3).notes == engine.notes


def test_an_interrupted_apply_is_begun_anew(engine, monkeypatch) -> None:
    do(engine, adding("a"))
    assert names(engine) == ["a"]
    publish = ShardGroup._publish

    def interrupted(self: ShardGroup) -> None:
        self.members[0].publish()
        raise KeyboardInterrupt

    monkeypatch.setattr(ShardGroup, "_publish", interrupted)
    do(engine, adding("b"))
    with pytest.raises(KeyboardInterrupt):
        names(engine)
    monkeypatch.setattr(ShardGroup, "_publish", publish)
    assert names(engine) == ["a", "b"]


def test_what_has_expired_is_not_found_by_readers_that_cannot_forget_it() -> None:
    home, clock = ShardedHome(), Ticks()
    engine = home.open(clock=clock)
    do(engine, cmd.AddNodes(nodes=[ev.NodeAdded(id="a", expires_us=1_000), ev.NodeAdded(id="b", content="stays")]))
    engine.close()
    reader = home.open(read_only=True, clock=clock)
    assert names(reader) == ["a", "b"]
    clock.offset_us = 2_000
    assert names(reader) == ["b"]
    assert [hit.node.id for hit in ask(reader, cmd.Recall(text="stays", k=5))] == ["b"]
    assert names(reader.pinned()) == ["b"]
    reader.close()


def test_shards_join_leave_and_split_while_the_memory_is_used(engine, monkeypatch) -> None:
    asked = cmd.Recall(text="a word of the garden", k=50)
    expected: list[str] = []
    monkeypatch.setattr(placement, "SPLIT_NODES", 10)
    engine.place(placed_on(1))
    for round_, shards in enumerate(([0, 1, 2], [1, 2], [1, 2, 7, 9], [7])):
        do(engine, *(adding(f"n{round_}-{at}", content=f"word {at} of the garden {round_}") for at in range(6)))
        before = ask(engine, asked)
        placed = split_where_due(balanced(engine.placement, shards), engine.sizes(), engine.head().position)
        engine.place(placed)
        assert [hit.node for hit in ask(engine, asked)] == [hit.node for hit in before]
        assert [member.number for member in engine.group().members] == shards
        expected += [f"n{round_}-{at}" for at in range(6)]
        assert names(engine) == expected
        assert ask(engine, cmd.Digest()) == rebuilt_digest(engine)
    assert engine.placement.splits == {PUBLIC: 4}
    assert engine.sizes() == {PUBLIC: 24}
    engine.place(balanced(engine.placement, range(4)))
    held = [len(member.own_nodes(member.frame).nonzero()[0]) for member in engine.group().members]
    assert sum(held) == 24
    assert sum(1 for count in held if count) > 1


def test_there_is_no_position_beyond_the_newest(engine) -> None:
    with pytest.raises(InputError, match="holds 0 to 1"):
        engine.at(2)
