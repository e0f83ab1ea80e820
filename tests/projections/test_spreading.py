"""Activation: every mode against what it is by definition, on random graphs."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from memorygraph.events import records as ev
from memorygraph.events.types import ConsolidationState, DecayFunction, EdgeType
from memorygraph.projections.conductance import AGGREGATES, BOOST_S, MAX, PPR, REFERENCE, SUM, SpreadRules
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.spreading import Activation, spread, strongest_chain
from tests.projections.graph_model import check_whole, chunks_of, live_edges

NODES = 6
NOW_US = 10**15
PLAIN = SpreadRules(temporal_boost=False, direction="both")
nodes = st.integers(0, NODES - 1)
edges = st.lists(
    st.tuples(
        nodes, nodes, st.sampled_from([0.05, 0.5, 0.9, 1.0]), st.sampled_from([1.0, 0.8]), st.booleans()
    ).filter(lambda edge: edge[0] != edge[1]),
    max_size=12,
)  # fmt: skip
masks = st.lists(st.sampled_from([True, True, False]), min_size=NODES, max_size=NODES)
importances = st.lists(st.sampled_from([0.2, 0.7, 1.0]), min_size=NODES, max_size=NODES)
directions = st.sampled_from(["out", "in", "both"])
GOLDEN = json.loads(Path(__file__).with_name("data").joinpath("spreading_golden.json").read_text())


def settled(name: str, importance: float = 1.0) -> ev.NodeAdded:
    """A node whose effective importance is its importance."""
    return ev.NodeAdded(
        id=name,
        importance=importance,
        consolidation_state=ConsolidationState.CONSOLIDATED.code,
        decay_function=DecayFunction.NO_DECAY.code,
        recorded_us=NOW_US,
    )


def memory(edges, importances=(1.0,) * NODES, types=()) -> Frame:
    state = GraphState()
    names = [f"n{at:02}" for at in range(len(importances))]
    state.apply(1, 1, [settled(name, value) for name, value in zip(names, importances, strict=True)])
    source, target = ([names[edge[at]] for edge in edges] for at in range(2))
    weight, confidence, both = ([edge[at] for edge in edges] for at in range(2, 5))
    added = ev.EdgesAdded(
        sources=source, targets=target, weights=weight, confidences=confidence, undirected=both, types=list(types)
    )
    state.apply(2, 1, [added])
    return state.publish()


def arcs(frame: Frame, direction: str = "both") -> dict[int, list[tuple[int, float]]]:
    """(neighbour, weight times confidence) of each node."""
    found: dict[int, list[tuple[int, float]]] = {}
    for row in live_edges(frame):
        edge = frame.edge(row)
        source, target = frame.row(edge.source_id), frame.row(edge.target_id)
        strength = float(np.float32(edge.weight)) * edge.confidence
        if direction != "in" or not edge.directed:
            found.setdefault(source, []).append((target, strength))
        if direction != "out" or not edge.directed:
            found.setdefault(target, []).append((source, strength))
    return found


def by_hand(frame: Frame, seeds: dict[int, float], rules: SpreadRules, visible) -> dict[int, float]:
    """The best product over every path of at most ``max_depth`` edges, one path at a time."""
    neighbours = arcs(frame, rules.direction)
    best: dict[int, float] = {}

    def walk(node: int, value: float, left: int) -> None:
        best[node] = max(best.get(node, 0.0), value)
        for target, strength in neighbours.get(node, []) if left else []:
            onward = value * rules.decay * strength * frame.nodes.value("importance", target)
            if onward >= rules.min_activation and visible[target]:
                walk(target, onward, left - 1)

    for seed, value in seeds.items():
        if visible[seed] and value > 0:
            walk(seed, value, rules.max_depth)
    return best


def run(frame: Frame, seeds: dict[int, float], rules: SpreadRules = PLAIN, visible=None) -> Activation:
    mask = None if visible is None else np.array(visible)
    rows = np.array(sorted(seeds), dtype=np.int32)
    values = np.array([seeds[row] for row in rows.tolist()], dtype=np.float64)
    return spread(frame, rows, values, rules, NOW_US, visible=mask)


def levels(activation: Activation) -> dict[int, float]:
    return dict(zip(activation.rows.tolist(), activation.values.tolist(), strict=True))


def path(activation: Activation, row: int) -> list[int]:
    (trail,) = activation.trails.of(np.array([row], dtype=np.int32)).tolist()
    return [step for step in reversed(trail) if step >= 0]


@pytest.fixture(autouse=True, scope="module")
def small_chunks():
    with chunks_of(2):
        yield


@given(
    edges,
    importances,
    st.dictionaries(nodes, st.sampled_from([0.0, 0.3, 1.0]), max_size=3),
    st.integers(0, 4),
    masks,
    directions,
)
@settings(max_examples=150)
def test_every_node_gets_its_best_path(edges, importances, seeds, hops, visible, direction) -> None:
    frame = memory(edges, importances)
    rules = replace(PLAIN, max_depth=hops, direction=direction)
    activation = run(frame, seeds, rules, visible)
    assert levels(activation) == pytest.approx(by_hand(frame, seeds, rules, visible), rel=1e-9)
    for row, value in levels(activation).items():
        check_path(frame, path(activation, row), value, seeds, rules)
    check_whole(frame)


@given(edges, importances, st.dictionaries(nodes, st.sampled_from([0.3, 1.0]), min_size=1, max_size=3),
       st.integers(0, 5), st.integers(0, 4), st.sampled_from([0.6, 0.95]))  # fmt: skip
@settings(max_examples=150)
def test_who_wants_only_the_best_gets_the_same_ones(edges, importances, seeds, wanted, hops, decay) -> None:
    """What cannot be among the best is not followed; what is found is what there is."""
    frame = memory(edges, importances)
    rows = np.array(sorted(seeds), dtype=np.int32)
    values = np.array([seeds[row] for row in rows.tolist()])
    rules = SpreadRules(direction="both", decay=decay, max_depth=hops)
    found = [spread(frame, rows, values, rules, NOW_US, wanted=number) for number in (None, wanted)]
    best = [
        sorted(((-value, row) for row, value in levels(some).items() if row not in seeds))[:wanted] for some in found
    ]
    assert best[0] == best[1]
    for _, row in best[0]:
        assert path(found[0], row) == path(found[1], row)


def check_path(frame: Frame, path: list[int], value: float, seeds: dict[int, float], rules: SpreadRules) -> None:
    """The path leads from a seed over edges, within the hops, and its product is the activation."""
    assert len(path) <= rules.max_depth + 1
    product = seeds[path[0]]
    for source, target in itertools.pairwise(path):
        strength = max(strength for neighbour, strength in arcs(frame, rules.direction)[source] if neighbour == target)
        product *= rules.decay * strength * frame.nodes.value("importance", target)
    assert product == pytest.approx(value, rel=1e-9)


@given(edges, importances, nodes, directions)
@settings(max_examples=100)
def test_best_first_finds_the_same_where_no_depth_cuts(edges, importances, seed, direction) -> None:
    """The reference and the levels agree to 1e-6: no boost, no limit that a path comes to."""
    frame = memory(edges, importances)
    rules = replace(PLAIN, max_depth=NODES, direction=direction)
    found = run(frame, {seed: 1.0}, rules)
    reference = run(frame, {seed: 1.0}, replace(rules, mode=REFERENCE))
    assert levels(reference) == pytest.approx(levels(found), abs=1e-6)
    for row, value in levels(reference).items():
        check_path(frame, path(reference, row), value, {seed: 1.0}, rules)


@pytest.mark.parametrize("case", GOLDEN, ids=[json.dumps(case["config"]) for case in GOLDEN])
def test_the_reference_says_what_the_older_package_says(case) -> None:
    kinds = [EdgeType.of(edge[2]).code for edge in case["edges"]]
    columns = [(edge[0], edge[1], edge[3], edge[4], not edge[5]) for edge in case["edges"]]
    frame = memory(columns, case["nodes"], kinds)
    renamed = {
        "activation_decay": "decay", "use_edge_weights": "edge_weights", "use_node_importance": "importance",
        "use_edge_confidence": "edge_confidence", "normalize_by_outdegree": "fan", "aggregate_edges": "aggregate",
    }  # fmt: skip
    config = {
        renamed.get(name, name): value
        for name, value in case["config"].items()
        if name not in {"sort_by", "return_top_k"} and not name.endswith("_types")
    }
    types = {
        name.removesuffix("_types"): [EdgeType.of(kind).code for kind in value]
        for name, value in case["config"].items()
        if name.endswith("_types")
    }
    rules = SpreadRules(temporal_boost=False, mode=REFERENCE, **config, **types)
    activation = run(frame, dict.fromkeys(case["sources"], 1.0), rules)
    found = {row: value for row, value in levels(activation).items() if row not in case["sources"]}
    expected = {row: value for row, value, _, _ in case["results"]}
    assert expected
    if "return_top_k" in case["config"]:
        found = {row: found[row] for row in expected}
    assert found == pytest.approx(expected, abs=1e-6)
    for row, _, depth, way in case["results"]:
        assert path(activation, row) == way
        assert len(way) - 1 == depth


@given(edges, importances, nodes, st.integers(0, 4), directions, st.sampled_from(AGGREGATES), st.booleans())
@settings(max_examples=100)
def test_sum_is_a_power_series_of_the_matrix(edges, importances, seed, hops, direction, aggregate, fan) -> None:
    frame = memory(edges, importances)
    rules = replace(
        PLAIN, mode=SUM, max_depth=hops, min_activation=0.0, direction=direction, aggregate=aggregate, fan=fan
    )
    matrix = strength_matrix(frame, direction, aggregate)
    if fan:
        totals = matrix.sum(axis=1, keepdims=True)
        matrix = np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
    matrix *= rules.decay * np.array(importances)
    wave = total = np.eye(NODES)[seed]
    for _ in range(hops):
        wave = wave @ matrix
        total = total + wave
    found = run(frame, {seed: 1.0}, rules)
    assert levels(found) == pytest.approx({row: value for row, value in enumerate(total.tolist()) if value}, rel=1e-9)
    for row in levels(found):
        way = path(found, row)
        assert (way[0], way[-1]) == (seed, row)
        assert len(way) - 1 == nx.shortest_path_length(nx.DiGraph(np.array(matrix > 0)), seed, row)


def strength_matrix(frame: Frame, direction: str, aggregate: str = MAX):
    matrix = np.zeros((NODES, NODES))
    combine = {"max": max, "sum": lambda found: min(1.0, sum(found)), "mean": lambda found: sum(found) / len(found)}
    for source, found in arcs(frame, direction).items():
        for target in {end for end, _ in found}:
            matrix[source, target] = combine[aggregate]([strength for end, strength in found if end == target])
    return matrix


@given(edges, importances, st.dictionaries(nodes, st.sampled_from([0.3, 1.0]), min_size=1, max_size=3), directions)
@settings(max_examples=60)
def test_ppr_is_the_page_rank_of_networkx(edges, importances, seeds, direction) -> None:
    frame = memory(edges, importances)
    rules = replace(PLAIN, mode=PPR, decay=0.85, direction=direction)
    peer = nx.from_numpy_array(strength_matrix(frame, direction) * np.array(importances), create_using=nx.DiGraph)
    wanted = nx.pagerank(peer, alpha=0.85, personalization=seeds, tol=1e-12, max_iter=1000)
    found = levels(run(frame, seeds, rules))
    assert sum(found.values()) == pytest.approx(1.0)
    assert {row: found.get(row, 0.0) for row in range(NODES)} == pytest.approx(wanted, abs=1e-5)


@given(edges, importances, nodes, directions)
@settings(max_examples=60)
def test_activation_flows_back_damped(edges, importances, seed, direction) -> None:
    frame = memory(edges, importances)
    rules = replace(PLAIN, direction=direction, feedback=2)
    expected = levels(run(frame, {seed: 1.0}, replace(rules, feedback=0)))
    back = strength_matrix(frame, {"out": "in", "in": "out"}.get(direction, "both"))
    damping = 1.0
    for _ in range(2):
        damping *= rules.damping
        before = dict(expected)
        for source, value in before.items():
            for target in range(NODES) if source != seed else ():
                gained = value * damping * rules.decay * back[source, target]
                if gained >= rules.min_activation:
                    expected[target] = max(expected.get(target, 0.0), gained)
    for mode in (MAX, REFERENCE):
        found = run(frame, {seed: 1.0}, replace(rules, mode=mode, max_depth=4 if mode == MAX else NODES))
        if mode == MAX:
            assert levels(found) == pytest.approx(expected, rel=1e-9)
        for row in levels(found):
            way = path(found, row)
            assert (way[0], way[-1]) == (seed, row)
            assert all(frame_links(frame, one, two) for one, two in itertools.pairwise(way))


def frame_links(frame: Frame, one: int, two: int) -> bool:
    return two in {end for end, _ in arcs(frame)[one]}


@given(edges, st.integers(1, 4), st.randoms(use_true_random=False), st.sampled_from([MAX, SUM, PPR]))
@settings(max_examples=60)
def test_the_order_of_edges_and_seeds_changes_nothing(edges, hops, random, mode) -> None:
    seeds = {0: 1.0, 1: 0.5, 2: 0.25}
    shuffled = list(edges)
    random.shuffle(shuffled)
    rules = replace(PLAIN, max_depth=hops, mode=mode)
    one, other = run(memory(edges), seeds, rules), run(memory(shuffled), seeds, rules)
    assert levels(one) == (levels(other) if mode == MAX else pytest.approx(levels(other)))
    if mode == MAX:
        assert [path(one, row) for row in one.rows.tolist()] == [path(other, row) for row in other.rows.tolist()]


@given(edges, nodes, nodes, st.integers(0, 5))
@settings(max_examples=100)
def test_the_strongest_chain(edges, start, end, hops) -> None:
    frame = memory(edges)
    chain = strongest_chain(frame, start, end, PLAIN, hops)
    rules = replace(PLAIN, max_depth=hops, importance=False, min_activation=0.0)
    best = by_hand(frame, {start: 1.0}, rules, [True] * NODES).get(end)
    if best is None:
        assert chain is None
        return
    assert chain is not None
    assert (chain[0], chain[-1], len(set(chain))) == (start, end, len(chain))
    check_path(frame, chain, best, {start: 1.0}, rules)


def test_a_path_tells_where_the_activation_came_from() -> None:
    """A node reached early keeps its path, also when the node before it finds a better one later."""
    weak, strong = 0.05, 1.0
    edges = [(0, 1, weak), (0, 2, strong), (2, 1, strong), (1, 3, strong)]
    activation = run(memory([(*edge, 1.0, False) for edge in edges]), {0: 1.0}, replace(PLAIN, max_depth=2))
    assert path(activation, 1) == [0, 2, 1]
    assert path(activation, 3) == [0, 1, 3]


def test_hidden_nodes_carry_nothing_and_do_not_dilute() -> None:
    frame = memory([(0, 1, 1.0, 1.0, False), (1, 2, 1.0, 1.0, False)])
    hidden = [node != 1 for node in range(NODES)]
    assert list(levels(run(frame, {0: 1.0}))) == [0, 1, 2]
    assert list(levels(run(frame, {0: 1.0}, visible=hidden))) == [0]
    assert list(levels(run(frame, {1: 1.0}, visible=hidden))) == []
    fork = memory([(0, 1, 1.0, 1.0, False), (0, 2, 1.0, 1.0, False)])
    rules = replace(PLAIN, fan=True)
    assert levels(run(fork, {0: 1.0}, rules))[2] == pytest.approx(0.3)
    assert levels(run(fork, {0: 1.0}, rules, hidden))[2] == pytest.approx(0.6)


def test_removed_edges_and_nodes_carry_nothing() -> None:
    state = GraphState()
    state.apply(1, 1, [settled(name) for name in "abcd"])
    state.apply(2, 1, [ev.EdgesAdded(sources=["a", "a", "b"], targets=["b", "c", "d"])])
    state.apply(3, 1, [ev.EdgesRemoved(ids=("2.1",)), ev.NodesForgotten(ids=("d",))])
    assert list(levels(run(state.publish(), {0: 1.0}))) == [0, 1]


def test_what_is_too_weak_stops() -> None:
    frame = memory([(node, node + 1, 0.25, 1.0, False) for node in range(NODES - 1)])
    assert len(levels(run(frame, {0: 1.0}, replace(PLAIN, max_depth=5)))) == 3  # 0.15, 0.0225, 0.003375


def test_what_was_recalled_lately_conducts_better_and_what_fades_worse() -> None:
    state = GraphState()
    hour_us = int(BOOST_S * 1e6)
    state.apply(1, NOW_US - hour_us, [ev.NodeAdded(id=name, importance=1.0) for name in "abc"])
    state.apply(2, NOW_US - hour_us, [ev.EdgesAdded(sources=["a", "a"], targets=["b", "c"])])
    state.apply(3, NOW_US, [ev.AccessesRecorded(ids=("c",), times_us=(NOW_US,))])
    frame = state.publish()
    boosted = levels(run(frame, {0: 1.0}, SpreadRules()))
    faded = 0.6 * 0.6 * np.exp(-1.0)  # decay, labile, an hour of a stability of an hour
    assert boosted[1] == pytest.approx(faded * (1 + 0.5 * np.exp(-1.0)))
    assert boosted[2] == pytest.approx(0.6 * 0.6 * 1.5)
    assert levels(run(frame, {0: 1.0}, SpreadRules(temporal_boost=False)))[1] == pytest.approx(faded)
    assert levels(run(frame, {0: 1.0}, SpreadRules(temporal_boost=False, importance=False)))[1] == pytest.approx(0.6)


def test_a_way_that_is_too_long_for_best_first() -> None:
    """What makes the reference less than exact: the strong way uses up the depth of the weak one."""
    edges = [(0, 1, 0.1, 1.0, False), (0, 2, 1.0, 1.0, False), (2, 1, 1.0, 1.0, False), (1, 3, 1.0, 1.0, False)]
    frame = memory(edges)
    rules = replace(PLAIN, max_depth=2, direction="out")
    assert 3 in levels(run(frame, {0: 1.0}, rules))
    assert 3 not in levels(run(frame, {0: 1.0}, replace(rules, mode=REFERENCE)))


def test_the_check_of_paths_can_fail() -> None:
    frame = memory([(0, 1, 0.5, 1.0, False)])
    value = levels(run(frame, {0: 1.0}))[1]
    with pytest.raises(AssertionError):
        check_path(frame, [0, 1], value * 1.01, {0: 1.0}, PLAIN)
