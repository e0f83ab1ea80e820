"""Which records a policy lets go, and that what is left comes to the same state."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.actors import compaction
from memorygraph.actors.compaction import Plan, RetentionPolicy, plan
from memorygraph.events import records as ev
from memorygraph.events.errors import DamagedLog
from memorygraph.projections.digest import DigestCache
from memorygraph.projections.graph import GraphState
from tests.projections.graph_model import Writer, check_whole, chunks_of, contents

END_US = 10**6
NOTHING = RetentionPolicy(keep_accesses=timedelta(0), keep_forgotten=timedelta(0))
randoms = st.randoms(use_true_random=False)
lengths = st.none() | st.integers(0, END_US).map(lambda us: timedelta(microseconds=us))
policies = st.builds(
    RetentionPolicy,
    keep_accesses=lengths,
    keep_access_positions=st.none() | st.integers(0, 40),
    keep_forgotten=lengths,
)


def encoded(writer: Writer) -> list[tuple[int, bytes]]:
    return [
        (
            position,
            ev.encode_record(
                ev.Record("c", b"", "", {}, time_us, 0, None, "", tuple(ev.pack_event(one) for one in events))
            ),
        )
        for position, time_us, events in writer.records
    ]


def planned(writer: Writer, policy: RetentionPolicy, gone: frozenset[int] = frozenset()) -> Plan:
    records = [(position, b"" if position in gone else data) for position, data in encoded(writer)]
    return plan(lambda: records, policy, END_US, len(records), is_live=writer.model.nodes.__contains__)


def fold(writer: Writer, ids: tuple[str, ...]) -> None:
    """Write what a compaction writes before it replaces anything."""
    states = [writer.model.nodes[node_id] for node_id in ids]
    columns = {
        name: tuple(getattr(state, name) for state in states)
        for name in ("access_count", "accessed_us", "access_times_us")
    }
    columns["access_counts"] = columns.pop("access_count")
    writer.write([ev.AccessesFolded(ids=ids, **columns)], END_US)


def left(writer: Writer, gone: frozenset[int]) -> GraphState:
    """The state of what is left of the log."""
    state = GraphState()
    for position, time_us, events in writer.records:
        state.apply(position, time_us, None if position in gone else events)
    return state


def digest(state: GraphState) -> str:
    return DigestCache().digest(state.publish())


def compacted(writer: Writer, policy: RetentionPolicy, gone: frozenset[int], random: Random) -> frozenset[int]:
    """Compact once, checking that the state stays, also if only some of the records were replaced so far."""
    found = planned(writer, policy, gone)
    assert not found.positions & gone
    if found.fold:
        fold(writer, found.fold)
    before = digest(writer.state)
    some = frozenset(position for position in found.positions if random.random() < 0.5)
    for now_gone in (gone | some, gone | found.positions):
        state = left(writer, now_gone)
        frame = state.publish()
        check_whole(frame)
        assert contents(frame) == writer.model.copy()
        assert digest(state) == before
    return gone | found.positions


def check_compaction(random: Random, steps: int, wanted: list[RetentionPolicy]) -> None:
    with chunks_of(2):
        writer, gone = Writer(random), frozenset()
        for policy in wanted:
            for _ in range(steps):
                writer.step()
            gone = compacted(writer, policy, gone, random)
        state = GraphState()
        for position, time_us, events in writer.records:  # each past view can be made
            state.apply(position, time_us, None if position in gone else events)
            check_whole(state.publish())


@given(randoms, st.integers(1, 25), st.lists(policies, min_size=1, max_size=3))
@settings(max_examples=40)
def test_what_is_left_comes_to_the_same_state(random, steps, wanted) -> None:
    check_compaction(random, steps, wanted)


def test_a_fold_that_goes_with_its_record_is_said_anew() -> None:
    writer = Writer(Random(0))
    writer.write([ev.MemoryCreated(name="m")], 1)
    writer.write([ev.NodeAdded(id="a")], 2)
    folded = ev.AccessesFolded(ids=("a",), access_counts=(1,), accessed_us=(3,), access_times_us=((3,),))
    writer.write([ev.AccessesRecorded(ids=("a",), times_us=(3,)), folded], 3)
    found = planned(writer, NOTHING)
    assert (found.positions, found.fold) == ({len(writer.records)}, ("a",))


def many_compactions() -> None:
    for seed in range(60):
        check_compaction(Random(seed), 20, [NOTHING, NOTHING])


def is_over_anyhow(judge, event, position, _lives):
    """Also what is partly about the living."""
    ids = [event.id] if hasattr(event, "id") else list(getattr(event, "ids", ())) + list(getattr(event, "sources", ()))
    return any(judge._history.ended_life(one, position) for one in ids)


IS_OVER = compaction._Judge._is_over


def is_over_when_forgotten(judge, event, position, lives):
    """Also what says that they are gone."""
    return isinstance(event, ev.NodesForgotten) or IS_OVER(judge, event, position, lives)


def ended_in_any_life(history, node_id, _position):
    return next(iter(history._ended.get(node_id, ())), None)


class Adding(GraphState):
    """Takes what was folded for what is to be added."""

    def _accesses_folded(self, event: ev.AccessesFolded, _: int) -> None:
        for row, (count, _) in self._with_rows(
            event.ids, list(zip(event.access_counts, event.accessed_us, strict=True))
        ):
            self.nodes.set("access_count", row, self.nodes.value("access_count", row) + count)


@pytest.mark.parametrize(
    ("target", "name", "wrong"),
    [
        (compaction._Judge, "_is_over", is_over_anyhow),
        (compaction._History, "ended_life", ended_in_any_life),
        (compaction._Judge, "_is_over", is_over_when_forgotten),
        (GraphState, "_accesses_folded", Adding._accesses_folded),
    ],
)
def test_a_wrong_compaction_is_noticed(monkeypatch: pytest.MonkeyPatch, target, name, wrong) -> None:
    monkeypatch.setattr(target, name, wrong)
    with pytest.raises((AssertionError, DamagedLog)):  # a wrong state, or one that what follows does not fit
        many_compactions()


def written(*records: tuple[int, list[ev.Event]]) -> Writer:
    """A log of these records (time, events), from position 2 on."""
    writer = Writer(Random(0))
    for time_us, events in records:
        writer.write(events, time_us)
    return writer


def test_accesses_go_by_age_or_by_distance() -> None:
    recall = ev.AccessesRecorded(ids=("n0",), times_us=(5,))
    writer = written((10, [ev.NodeAdded(id="n0")]), (20, [recall]), (30, [recall]), (40, [recall]))

    def gone(**policy) -> set[int]:
        return set(planned(writer, RetentionPolicy(**policy)).positions)

    assert gone(keep_accesses=timedelta(microseconds=END_US - 30)) == {3, 4}
    assert gone(keep_accesses=None) == set()
    assert gone(keep_accesses=None, keep_access_positions=1) == {3, 4}
    assert gone(keep_accesses=None, keep_access_positions=0) == {3, 4, 5}
    assert gone() == set()


def test_a_fold_is_folded_again_only_when_others_take_its_place() -> None:
    recall = ev.AccessesRecorded(ids=("n0",), times_us=(5,))
    writer = written((10, [ev.NodeAdded(id="n0"), ev.NodeAdded(id="n1")]), (20, [recall]))
    first = planned(writer, NOTHING)
    assert (set(first.positions), first.fold) == ({3}, ("n0",))
    fold(writer, first.fold)
    again = planned(writer, NOTHING, first.positions)
    assert (again.positions, again.fold, again.replaced) == (frozenset(), (), 1)
    # A crash before anything was replaced: what was folded need not be said again.
    assert planned(writer, NOTHING) == Plan(frozenset({3}))
    writer.write([recall], 40)
    later = planned(writer, NOTHING, first.positions)
    assert (set(later.positions), later.fold) == ({4, 5}, ("n0",))


def test_what_was_forgotten_long_ago_goes_and_what_mixes_stays() -> None:
    writer = written(
        (10, [ev.NodeAdded(id="n0", content="goes"), ev.EdgesAdded(sources=[], targets=[])]),
        (20, [ev.NodeAdded(id="n1", content="stays")]),
        (30, [ev.EdgesAdded(sources=["n0", "n1"], targets=["n1", "n0"])]),
        (40, [ev.NodeRevised(id="n0", content="goes, too"), ev.NodesReinforced(ids=("n0",), deltas=(0.1,))]),
        (50, [ev.NodesReinforced(ids=("n0", "n1"), deltas=(0.1, 0.1))]),
        (60, [ev.EdgeRevised(id="4.0", weight=0.5, nodes=("n0", "n1"))]),
        (70, [ev.NodesForgotten(ids=("n0",))]),
        (80, [ev.NodeAdded(id="n0", content="another life")]),
    )
    found = planned(writer, RetentionPolicy(keep_forgotten=timedelta(microseconds=END_US - 70)))
    assert (set(found.positions), found.memories) == ({2, 4, 5, 7}, 1)
    assert not planned(writer, RetentionPolicy(keep_forgotten=timedelta(microseconds=END_US - 69))).positions


def test_a_command_that_may_be_sent_again_is_kept() -> None:
    now_us = 10 * compaction.KEPT_US

    def gone(body_hash: bytes, time_us: int) -> set[int]:
        records = [
            ev.encode_record(ev.Record("c", body_hash, "", {}, time_us, 0, None, "", (ev.pack_event(event),)))
            for event in (ev.NodeAdded(id="a"), ev.NodesForgotten(ids=("a",)))
        ]
        return set(plan(lambda: enumerate(records, 1), NOTHING, now_us, 2, is_live=lambda _: False).positions)

    assert gone(bytes(16), now_us - compaction.KEPT_US + 1) == set()
    assert gone(bytes(16), now_us - compaction.KEPT_US) == {1}
    assert gone(b"", now_us) == {1}
