from __future__ import annotations

import subprocess
import sys
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.projections import digest
from memorygraph.projections.digest import DigestCache
from memorygraph.projections.graph import GraphState
from memorygraph.projections.tables import View
from tests.projections.graph_model import Writer, check_whole, chunks_of

randoms = st.randoms(use_true_random=False)


def fresh(state: GraphState) -> str:
    return DigestCache().digest(state.publish())


def written(steps: int, seed: int) -> Writer:
    writer = Writer(Random(seed))
    for _ in range(steps):
        writer.step()
    return writer


@given(randoms, st.integers(0, 12))
@settings(max_examples=40)
def test_rebuilding_gives_the_same_digest_however_it_is_done(random, steps) -> None:
    with chunks_of(2):
        writer = Writer(random)
        for _ in range(steps):
            writer.step()
        expected = fresh(writer.state)
        each, some = GraphState(), GraphState()
        for record in writer.records:
            each.apply(*record)
            each.publish()
            some.apply(*record)
            if random.random() < 0.3:
                some.publish()
        whole = GraphState()
        for position, time_us, events in writer.records:
            packed = [ev.pack_event(event) for event in events]
            whole.apply(position, time_us, [ev.unpack_event(one, position) for one in packed])
    with chunks_of(12):  # the size of chunks is nobody's business
        wide = GraphState()
        for record in writer.records:
            wide.apply(*record)
        assert fresh(wide) == expected
    with chunks_of(2):
        assert [fresh(state) for state in (each, some, whole)] == [expected] * 3
        check_whole(whole.publish())


def cached_and_fresh(steps: int) -> list[tuple[str, str]]:
    """The digests after each step, with one cache for all and with a new one each."""
    cache = DigestCache()
    pairs = []
    with chunks_of(2):
        writer = Writer(Random(3))
        frames = []
        for _ in range(steps):
            writer.step()
            frames.append(writer.state.publish())
            pairs.append((cache.digest(frames[-1]), fresh(writer.state)))
        pairs += [(cache.digest(frame), DigestCache().digest(frame)) for frame in frames[::-1]]
    return pairs


def test_a_cached_digest_is_a_fresh_one() -> None:
    pairs = cached_and_fresh(80)
    assert all(cached == new for cached, new in pairs)
    assert len({new for _, new in pairs}) > 60


def test_a_cache_that_ignores_versions_is_caught(monkeypatch) -> None:
    real = DigestCache._table

    def blind(cache, kind, view, canonical, rest) -> int:
        return real(cache, kind, View(view.count, view.chunks, (1,) * len(view.versions), view.kinds), canonical, rest)

    monkeypatch.setattr(DigestCache, "_table", blind)
    assert any(cached != new for cached, new in cached_and_fresh(80))


def test_a_digest_of_dead_rows_too_is_caught(monkeypatch) -> None:
    """A node that came and went leaves no trace in the digest."""

    def states() -> tuple[str, str]:
        gone, never = GraphState(), GraphState()
        for state in (gone, never):
            state.apply(1, 1, [ev.NodeAdded(id="a")])
        gone.apply(2, 2, [ev.NodeAdded(id="b"), ev.EdgesAdded(sources=["a"], targets=["b"])])
        gone.apply(3, 3, [ev.NodesForgotten(ids=("b",))])
        return fresh(gone), fresh(never)

    one, other = states()
    assert one == other
    monkeypatch.setattr(digest, "_node_rows", lambda frame, rows: [("node", frame.node(row)) for row in rows])
    one, other = states()
    assert one != other


NODE = ev.NodeAdded(id="a", content="x", vector=bytes(8))
EDGE = ev.EdgesAdded(sources=["a"], targets=["b"])
SPACE = ev.SpaceDeclared(space=1, name="s", dim=2)
VARIANTS = {
    "base": [SPACE, NODE, EDGE],
    "content": [SPACE, msgspec.structs.replace(NODE, content="y"), EDGE],
    "importance": [SPACE, msgspec.structs.replace(NODE, importance=0.5 + 1e-15), EDGE],
    "metadata": [SPACE, msgspec.structs.replace(NODE, metadata={"k": None}), EDGE],
    "vector": [SPACE, msgspec.structs.replace(NODE, vector=bytes(7) + b"\1"), EDGE],
    "session text or number": [SPACE, msgspec.structs.replace(NODE, session="1"), EDGE],
    "session number": [SPACE, msgspec.structs.replace(NODE, session=1), EDGE],
    "partition": [SPACE, msgspec.structs.replace(NODE, partition=ev.Partition(1, "ann")), EDGE],
    "order": [SPACE, NODE, msgspec.structs.replace(EDGE, sources=["b"], targets=["a"])],
    "direction": [SPACE, NODE, msgspec.structs.replace(EDGE, undirected=[True])],
    "weight": [SPACE, NODE, msgspec.structs.replace(EDGE, weights=[0.5])],
    "edge id": [SPACE, NODE, msgspec.structs.replace(EDGE, ids=["e"])],
    "two edges": [SPACE, NODE, msgspec.structs.replace(EDGE, sources=["a", "a"], targets=["b", "b"])],
    "space": [msgspec.structs.replace(SPACE, version="2"), NODE, EDGE],
}


def test_states_that_differ_have_digests_that_differ() -> None:
    found = {}
    for name, events in VARIANTS.items():
        state = GraphState()
        state.apply(1, 1, [ev.NodeAdded(id="b")])
        state.apply(2, 2, events)
        found[name] = fresh(state)
    assert len(set(found.values())) == len(VARIANTS), found


def test_an_empty_memory_has_the_digest_zero() -> None:
    assert fresh(GraphState()) == "0" * 64


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_hash_seeds_change_nothing(seed) -> None:
    program = "from tests.projections.test_digest import fresh, written; print(fresh(written(40, 9).state))"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."}, capture_output=True, check=True)
    assert done.stdout.decode().strip() == fresh(written(40, 9).state)


def test_minus_zero_is_zero_whatever_was_digested_before() -> None:
    def found(valence: float) -> str:
        state = GraphState()
        state.apply(1, 1, [ev.NodeAdded(id="a", emotional_valence=valence)])
        return fresh(state)

    assert found(-0.0) == found(0.0) == found(-0.0)
