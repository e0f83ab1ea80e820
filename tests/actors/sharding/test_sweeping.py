"""Sweeps over shards find what one pass over the whole finds, and the ledger does what still holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from memorygraph.actors import commands as cmd
from memorygraph.actors.local import LocalEngine
from memorygraph.actors.sharding import member, sweeping
from memorygraph.actors.sharding.group import ShardGroup
from memorygraph.actors.sharding.placement import placed_on
from memorygraph.actors.sharding.sweeping import Advance, Swept, carry_out, proposed
from memorygraph.events import records as ev
from memorygraph.events.stores.memory import MemoryLog
from memorygraph.events.types import ConsolidationState
from memorygraph.projections.fading import SweepRules
from memorygraph.projections.sight import PRESENT, PUBLIC, seen
from tests.actors.engine_contract import DAY_US, Ticks, adding, do, node
from tests.actors.sharding.histories import HOUR_US, History, embedded

RULES = SweepRules(forget_below=0.1, archive_below=0.5, archive_importance=0.6, advance_from=0.2, advance_recalls=1)
LABILE, SETTLING, LONG_TERM = (
    state.code for state in (ConsolidationState.LABILE, ConsolidationState.CONSOLIDATING, ConsolidationState.LONG_TERM)
)


def ordered(found: Swept) -> tuple[list[Any], ...]:
    return sorted(found.forget), sorted(found.archive), sorted(found.advance, key=lambda each: each.id)


def run(seed: int, shards: int) -> Swept:
    history = History(seed)
    history.grow(60)
    group = ShardGroup(placed_on(shards))
    group.follow(history.records)
    whole = seen(embedded(history.records).frame, PRESENT)
    now_us = (len(history.records) - history.random.randint(0, 20)) * HOUR_US
    found = group.sweep(RULES, now_us).value
    rows = np.flatnonzero(whole.live_rows()).astype(np.int32)
    expected = proposed(whole, rows, RULES, now_us)
    assert ordered(found) == ordered(expected)
    return expected


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), shards=st.sampled_from((1, 2, 4, 8)))
def test_shards_propose_together_what_one_pass_finds(seed: int, shards: int) -> None:
    run(seed, shards)


def test_the_histories_have_something_to_find() -> None:
    found = [run(seed, 2) for seed in range(6)]
    assert all(any(getattr(each, name) for each in found) for name in ("forget", "archive", "advance"))


def _all_of_it(patch: pytest.MonkeyPatch) -> None:
    """Every shard looks at all memories."""

    def mutant(_: Any, frame: Any, query: Any) -> Swept:
        return proposed(frame, np.flatnonzero(frame.live_rows()).astype(np.int32), query.rules, query.now_us)

    patch.setitem(member.PARTS, sweeping.SweepOf, mutant)


def _another_time(patch: pytest.MonkeyPatch) -> None:
    """A shard goes by its own clock."""
    sweep_of = sweeping.sweep_of

    def mutant(shard: Any, frame: Any, query: Any) -> Swept:
        return sweep_of(shard, frame, sweeping.SweepOf(rules=query.rules, now_us=query.now_us + shard.number * DAY_US))

    patch.setitem(member.PARTS, sweeping.SweepOf, mutant)


def run_several() -> None:
    for seed in range(8):
        run(seed, 4)


@pytest.mark.parametrize("mutant", [_all_of_it, _another_time])
def test_a_broken_sweep_is_found(mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        run_several()


# -- what the ledger makes of it ---------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Ticks:
    return Ticks()


@pytest.fixture
def engine(clock):
    """A memory with something to forget, to put away and to advance, ten days ago."""
    engine = LocalEngine(MemoryLog(), name="m", clock=clock)
    do(engine, adding("old", importance=0.5), adding("vip", importance=0.9), adding("ever", decay_function=6))
    do(engine, adding("cold", importance=0.1, decay_rate=200.0), adding("warm", importance=0.8, decay_rate=200.0))
    do(engine, adding("used", decay_rate=10_000.0, consolidation_state=LABILE, importance=0.8))
    do(engine, adding("done", decay_rate=10_000.0, consolidation_state=LONG_TERM, importance=0.8))
    for name in ("used", "done"):
        do(engine, cmd.RecordAccesses(ids=[name, name], times_us=[1, 2]))
    clock.offset_us = 10 * DAY_US
    yield engine
    engine.close()


def swept(engine: LocalEngine, now_us: int) -> Swept:
    group = ShardGroup(replace(placed_on(4), splits={PUBLIC: 1}))
    group.follow(engine.read(1))
    found: Swept = group.sweep(RULES, now_us).value
    return found


def test_the_ledger_carries_out_what_was_named(engine, clock) -> None:
    found = swept(engine, clock.now_us())
    assert (found.forget, found.archive) == (["old"], ["cold"])
    assert [(each.id, each.state) for each in found.advance] == [("used", SETTLING)]
    assert carry_out(engine, found, RULES, "sweep") == found
    assert node(engine, "old") is None
    assert node(engine, "cold") is None
    assert node(engine, "used").consolidation_state == SETTLING
    assert all(node(engine, name) is not None for name in ("vip", "ever", "warm", "done"))
    position = engine.head().position
    assert carry_out(engine, found, RULES, "sweep") == found, "it says what was done"
    assert engine.head().position == position, "and does nothing twice"


def test_what_changed_meanwhile_is_passed_over(engine, clock) -> None:
    found = swept(engine, clock.now_us())
    do(engine, adding("other", importance=0.1))
    named = Swept(forget=[*found.forget, "gone"], archive=["gone", *found.archive], advance=found.advance)
    do(engine, cmd.RecordAccesses(ids=["old"], times_us=[clock.now_us()]))
    do(engine, cmd.ReviseNodes(changes=[ev.NodeRevised(id="used", consolidation_state=LONG_TERM)]))
    done = carry_out(engine, named, RULES, "sweep")
    assert done == Swept(archive=["cold"])
    assert node(engine, "old") is not None, "it was recalled since"
    assert node(engine, "used").consolidation_state == LONG_TERM


def test_a_large_sweep_is_several_commands(engine, clock, monkeypatch) -> None:
    monkeypatch.setattr(sweeping, "CHUNK_ITEMS", 2)
    ids = [f"n{at}" for at in range(5)]
    do(engine, *(adding(name) for name in ids))
    clock.offset_us += 10 * DAY_US
    before = engine.head().position
    done = carry_out(engine, Swept(forget=ids, advance=[Advance("vip", SETTLING, 2)]), RULES, "sweep")
    assert done.forget == ids
    assert [record.command_id for record in engine.read(before + 1)] == [
        "sweep/forget/0",
        "sweep/forget/1",
        "sweep/forget/2",
        "sweep/advance/0",
    ]
