from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.spreading import ACTIVATION_MIN, DECAY, Activation, spread
from tests.projections.graph_model import check_whole, chunks_of, live_edges

NODES = 6
nodes = st.integers(0, NODES - 1)
edges = st.lists(
    st.tuples(nodes, nodes, st.sampled_from([0.05, 0.5, 0.9, 1.0]), st.sampled_from([1.0, 0.8]), st.booleans()),
    max_size=12,
)
masks = st.lists(st.sampled_from([True, True, False]), min_size=NODES, max_size=NODES)
importances = st.lists(st.sampled_from([0.2, 0.7, 1.0]), min_size=NODES, max_size=NODES)


def memory(edges, importances=(1.0,) * NODES) -> Frame:
    state = GraphState()
    names = [f"n{at}" for at in range(NODES)]
    state.apply(1, 1, [ev.NodeAdded(id=name, importance=value) for name, value in zip(names, importances, strict=True)])
    source, target = ([names[edge[at]] for edge in edges] for at in range(2))
    weight, confidence, both = ([edge[at] for edge in edges] for at in range(2, 5))
    state.apply(
        2,
        1,
        [ev.EdgesAdded(sources=source, targets=target, weights=weight, confidences=confidence, undirected=both)],
    )
    return state.publish()


def arcs(frame: Frame) -> dict[int, list[tuple[int, float]]]:
    """(neighbour, weight times confidence) of each node; every edge carries both ways."""
    found: dict[int, list[tuple[int, float]]] = {}
    for row in live_edges(frame):
        edge = frame.edge(row)
        source, target = frame.row(edge.source_id), frame.row(edge.target_id)
        strength = float(np.float32(edge.weight)) * edge.confidence
        found.setdefault(source, []).append((target, strength))
        found.setdefault(target, []).append((source, strength))
    return found


def by_hand(frame: Frame, seeds: dict[int, float], hops: int, visible) -> dict[int, float]:
    """The best product over every path of at most ``hops`` edges, one path at a time."""
    neighbours = arcs(frame)
    best: dict[int, float] = {}

    def walk(node: int, value: float, left: int) -> None:
        best[node] = max(best.get(node, 0.0), value)
        for target, strength in neighbours.get(node, []) if left else []:
            onward = value * DECAY * strength * frame.nodes.value("importance", target)
            if onward >= ACTIVATION_MIN and visible[target]:
                walk(target, onward, left - 1)

    for seed, value in seeds.items():
        if visible[seed] and value > 0:
            walk(seed, value, hops)
    return best


def run(frame: Frame, seeds: dict[int, float], hops: int, visible=None) -> Activation:
    mask = frame.live_rows() if visible is None else np.array(visible)
    rows = np.array(list(seeds), dtype=np.int32)
    return spread(frame, rows, np.array(list(seeds.values()), dtype=np.float64), hops, visible=mask)


def levels(activation: Activation) -> dict[int, float]:
    return dict(zip(activation.rows.tolist(), activation.values.tolist(), strict=True))


@pytest.fixture(autouse=True, scope="module")
def small_chunks():
    with chunks_of(2):
        yield


@given(
    edges, importances, st.dictionaries(nodes, st.sampled_from([0.0, 0.3, 1.0]), max_size=3), st.integers(0, 4), masks
)
@settings(max_examples=150)
def test_every_node_gets_its_best_path(edges, importances, seeds, hops, visible) -> None:
    frame = memory(edges, importances)
    activation = run(frame, seeds, hops, visible)
    assert levels(activation) == pytest.approx(by_hand(frame, seeds, hops, visible), rel=1e-12)
    for row, value in levels(activation).items():
        check_path(frame, activation.path(row), value, seeds, hops)
    check_whole(frame)


def check_path(frame: Frame, path: list[int], value: float, seeds: dict[int, float], hops: int) -> None:
    """The path leads from a seed over edges, within the hops, and its product is the activation."""
    assert len(path) <= hops + 1
    product = seeds[path[0]]
    for source, target in itertools.pairwise(path):
        strength = max(strength for neighbour, strength in arcs(frame)[source] if neighbour == target)
        product *= DECAY * strength * frame.nodes.value("importance", target)
    assert product == pytest.approx(value, rel=1e-12)


@given(edges, st.integers(1, 4), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_the_order_of_edges_and_seeds_changes_nothing(edges, hops, random) -> None:
    seeds = {0: 1.0, 1: 0.5, 2: 0.25}
    shuffled, turned = list(edges), list(seeds.items())
    random.shuffle(shuffled)
    random.shuffle(turned)
    one, other = run(memory(edges), seeds, hops), run(memory(shuffled), dict(turned), hops)
    assert levels(one) == levels(other)
    assert [one.path(row) for row in one.rows.tolist()] == [other.path(row) for row in other.rows.tolist()]


def test_a_path_tells_where_the_activation_came_from() -> None:
    """A node reached early keeps its path, also when the node before it finds a better one later."""
    weak, strong = 0.05, 1.0
    edges = [(0, 1, weak), (0, 2, strong), (2, 1, strong), (1, 3, strong)]
    activation = run(memory([(*edge, 1.0, False) for edge in edges]), {0: 1.0}, 2)
    assert activation.path(1) == [0, 2, 1]
    assert activation.path(3) == [0, 1, 3]


def test_hidden_nodes_carry_nothing() -> None:
    frame = memory([(0, 1, 1.0, 1.0, False), (1, 2, 1.0, 1.0, False)])
    assert list(levels(run(frame, {0: 1.0}, 3))) == [0, 1, 2]
    assert list(levels(run(frame, {0: 1.0}, 3, [node != 1 for node in range(NODES)]))) == [0]
    assert list(levels(run(frame, {1: 1.0}, 3, [node != 1 for node in range(NODES)]))) == []


def test_removed_edges_and_nodes_carry_nothing() -> None:
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id=name, importance=1.0) for name in "abcd"])
    state.apply(2, 1, [ev.EdgesAdded(sources=["a", "a", "b"], targets=["b", "c", "d"])])
    state.apply(3, 1, [ev.EdgesRemoved(ids=("2.1",)), ev.NodesForgotten(ids=("d",))])
    assert list(levels(run(state.publish(), {0: 1.0}, 3))) == [0, 1]


def test_what_is_too_weak_stops() -> None:
    frame = memory([(node, node + 1, 0.25, 1.0, False) for node in range(NODES - 1)])
    assert len(levels(run(frame, {0: 1.0}, 5))) == 3  # 0.15, 0.0225, 0.003375
