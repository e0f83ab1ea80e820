from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.projections import adjacency
from memorygraph.projections.adjacency import Adjacency
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from tests.projections.graph_model import check_whole, chunks_of, live_edges

NODES = 6
ends = st.integers(0, NODES - 1)
batches = st.lists(st.lists(st.tuples(ends, ends), max_size=6), min_size=1, max_size=8)


@pytest.fixture(autouse=True, params=[0, 3, 16_384], scope="module")
def tail_rows(request):
    """Splice at small sizes, too."""
    with pytest.MonkeyPatch.context() as patch, chunks_of(2):
        patch.setattr(adjacency, "TAIL_ROWS_MIN", request.param)
        yield request.param


def names(count: int = NODES) -> list[str]:
    return [f"n{node}" for node in range(count)]


def by_hand(frame: Frame, nodes: list[int]) -> dict[str, list[int]]:
    pairs = [(row, frame.edges.value("source", row), frame.edges.value("target", row)) for row in live_edges(frame)]
    return {
        "outgoing": [row for node in nodes for row, source, _ in pairs if source == node],
        "incoming": [row for node in nodes for row, _, target in pairs if target == node],
        "incident": [row for row, source, target in pairs if source in nodes or target in nodes],
    }


def check(frame: Frame, nodes: list[int]) -> None:
    wanted = np.array(nodes, dtype=np.int32)
    for direction, expected in by_hand(frame, nodes).items():
        found = getattr(frame.adjacency, direction)(frame.edges, wanted).tolist()
        assert sorted(found) == sorted(expected), direction
        if direction == "incident" or len(nodes) == 1:
            assert found == expected  # in row order


@given(batches, st.lists(st.sets(ends, max_size=4), min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_it_finds_what_a_scan_finds_in_every_frame(batches, asked, random) -> None:
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id=name) for name in names()])
    frames = [state.publish()]
    for batch in batches:
        sources, targets = [f"n{pair[0]}" for pair in batch], [f"n{pair[1]}" for pair in batch]
        events: list[ev.Event] = [ev.EdgesAdded(sources=sources, targets=targets)]
        alive = [frames[-1].edge(row).id for row in live_edges(frames[-1])]
        if alive and random.random() < 0.5:
            events.append(ev.EdgesRemoved(ids=tuple(random.sample(alive, random.randint(1, len(alive))))))
        state.apply(state.position + 1, 1, events)
        frames.append(state.publish())
        check(frames[-1], sorted(asked[0]))
        for node in range(NODES):
            check(frames[-1], [node])
    for frame in frames:  # older frames, after the index went on
        for nodes in asked:
            check(frame, sorted(nodes))
        check_whole(frame)


def test_rows_beyond_a_frame_are_left_out() -> None:
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id=name) for name in names()])
    state.apply(2, 1, [ev.EdgesAdded(sources=["n0"], targets=["n1"])])
    old = state.publish()
    state.apply(3, 1, [ev.EdgesAdded(sources=["n0"] * 9, targets=["n5"] * 9)])
    new = state.publish()
    new.adjacency.compact(new.edges)
    old.adjacency.compact(old.edges)
    assert [len(frame.adjacency.outgoing(frame.edges, np.array([0], np.int32))) for frame in (old, new)] == [1, 10]
    assert new.adjacency.size_bytes() >= 2 * 10 * 4


def test_no_node_no_edge() -> None:
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id="a")])
    frame = state.publish()
    check(frame, [])
    check(frame, [0])


def test_a_splice_that_forgets_the_older_rows_is_caught(monkeypatch) -> None:
    def forgetful(old: adjacency._Built, edges) -> adjacency._Built:
        return real(adjacency._empty(), edges)._replace(by_source=real(old, edges).by_target)

    real = adjacency._spliced
    monkeypatch.setattr(adjacency, "_spliced", forgetful)
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id=name) for name in names()])
    state.apply(2, 1, [ev.EdgesAdded(sources=["n0", "n0"], targets=["n1", "n1"])])
    frame = state.publish()
    frame.adjacency.compact(frame.edges)
    with pytest.raises(AssertionError):
        check(frame, [0])


def test_an_empty_index_compacts_to_nothing() -> None:
    index = Adjacency()
    index.compact(GraphState().publish().edges)
    assert index.outgoing(GraphState().publish().edges, np.array([0], np.int32)).tolist() == []
