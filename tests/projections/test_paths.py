"""Ways and components against networkx, on random graphs with directed and undirected edges, some of them removed."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.events.types import EdgeType
from memorygraph.projections import paths
from memorygraph.projections.arcs import BOTH, DIRECTIONS, IN, OUT, all_arcs, arcs_at, types_mask
from memorygraph.projections.components import grouped, strong_labels, weak_labels
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.paths import breadth_first, cheapest_path, depth_first
from tests.projections.graph_model import chunks_of

NODES = 9
CAUSAL, TEMPORAL = EdgeType.CAUSAL.code, EdgeType.TEMPORAL.code
nodes = st.integers(0, NODES - 1)
edge = st.tuples(
    nodes,
    nodes,
    st.sampled_from([0.125, 0.25, 0.5, 0.75, 1.0]),
    st.sampled_from([1.0, 0.5]),
    st.sampled_from([CAUSAL, TEMPORAL]),
    st.booleans(),  # undirected
    st.sampled_from([False, False, False, True]),  # removed later
).filter(lambda edge: edge[0] != edge[1])
edges = st.lists(edge, max_size=24)


@pytest.fixture(autouse=True, scope="module")
def small_chunks():
    with chunks_of(2):
        yield


def frame_of(edges) -> Frame:
    state = GraphState()
    names = [f"n{at}" for at in range(NODES)]
    state.apply(1, 1, [ev.NodeAdded(id=name) for name in names])
    columns = [list(column) for column in zip(*edges, strict=True)] or [[]] * 7
    state.apply(
        2,
        1,
        [
            ev.EdgesAdded(
                sources=[names[at] for at in columns[0]],
                targets=[names[at] for at in columns[1]],
                weights=columns[2],
                confidences=columns[3],
                types=columns[4],
                undirected=columns[5],
            )
        ],
    )
    gone = tuple(f"2.{place}" for place, edge in enumerate(edges) if edge[6])
    state.apply(3, 1, [ev.EdgesRemoved(ids=gone)] if gone else [])
    return state.publish()


def peer_of(edges, direction: str = OUT, types=(CAUSAL, TEMPORAL)) -> nx.DiGraph:
    """The same graph in networkx; of parallel edges the cheapest, neighbours in the order of their oldest edge."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(NODES))
    for source, target, weight, confidence, edge_type, undirected, gone in edges:
        if gone or edge_type not in types:
            continue
        ways = {(source, target)} if direction != IN else {(target, source)}
        if undirected or direction == BOTH:
            ways = {(source, target), (target, source)}
        for way in ways:
            cost = min(1.0 - weight * confidence, graph.edges[way]["cost"] if graph.has_edge(*way) else 1.0)
            graph.add_edge(*way, cost=cost)
    return graph


@given(edges, nodes, st.integers(0, 5), st.sampled_from(DIRECTIONS), st.sampled_from([None, CAUSAL]))
@settings(max_examples=150)
def test_breadth_first_is_shortest_path_lengths(edges, start, depth, direction, edge_type) -> None:
    types = None if edge_type is None else types_mask([edge_type])
    rows, depths = breadth_first(frame_of(edges), start, depth, direction, types)
    wanted = (CAUSAL, TEMPORAL) if edge_type is None else (edge_type,)
    lengths = nx.single_source_shortest_path_length(peer_of(edges, direction, wanted), start, depth)
    assert dict(zip(rows.tolist(), depths.tolist(), strict=True)) == dict(lengths)
    assert list(zip(depths.tolist(), rows.tolist(), strict=True)) == sorted(
        zip(depths.tolist(), rows.tolist(), strict=True)
    )


@given(edges, nodes, st.integers(0, 6), st.sampled_from(DIRECTIONS))
@settings(max_examples=150)
def test_depth_first_is_the_preorder_of_networkx(edges, start, depth, direction) -> None:
    rows, depths = depth_first(frame_of(edges), start, depth, direction)
    graph = peer_of(edges, direction)
    found = [start, *(end for _, end in nx.dfs_edges(graph, start, depth_limit=depth))] if depth else [start]
    assert rows == found
    away = {start: 0}
    for source, end in nx.dfs_edges(graph, start, depth_limit=depth) if depth else ():
        away[end] = away[source] + 1
    assert dict(zip(rows, depths, strict=True)) == away


@given(edges, nodes, nodes, st.sampled_from([1, 8]))
@settings(max_examples=200)
def test_the_cheapest_path_costs_what_dijkstra_says(edges, source, target, ahead) -> None:
    graph, frame = peer_of(edges), frame_of(edges)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "AHEAD", ahead)
        path = cheapest_path(frame, source, target)
    try:
        cost = nx.dijkstra_path_length(graph, source, target, weight="cost")
    except nx.NetworkXNoPath:
        assert path is None
        return
    assert path is not None
    assert (path[0], path[-1], len(set(path))) == (source, target, len(path))
    assert sum(graph.edges[way]["cost"] for way in itertools.pairwise(path)) == pytest.approx(cost)
    assert cheapest_path(frame, source, target, cost) is not None
    assert cheapest_path(frame, source, target, cost - 1e-9) is None or source == target


@given(edges)
@settings(max_examples=150)
def test_components_are_those_of_networkx(edges) -> None:
    frame, graph = frame_of(edges), peer_of(edges)
    for compiled in (True, False):
        found = grouped(frame, strong_labels(frame, compiled=compiled))
        assert set(map(frozenset, found)) == set(map(frozenset, nx.strongly_connected_components(graph)))
        assert found == sorted((sorted(group) for group in found), key=lambda group: (-len(group), group))
    weak = grouped(frame, weak_labels(frame))
    assert set(map(frozenset, weak)) == set(map(frozenset, nx.weakly_connected_components(graph)))


@given(edges, st.sampled_from(DIRECTIONS))
@settings(max_examples=60)
def test_the_arcs_of_all_nodes_are_all_arcs(edges, direction) -> None:
    frame = frame_of(edges)
    at_nodes = arcs_at(frame, np.arange(NODES, dtype=np.int32), direction)
    everywhere = all_arcs(frame, direction)
    assert sorted(zip(*map(np.ndarray.tolist, at_nodes), strict=True)) == sorted(
        zip(*map(np.ndarray.tolist, everywhere), strict=True)
    )


def test_forgotten_nodes_are_in_no_component() -> None:
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id=name) for name in "abc"])
    state.apply(2, 1, [ev.EdgesAdded(sources=["a", "b"], targets=["b", "c"]), ev.NodesForgotten(ids=("b",))])
    frame = state.publish()
    assert grouped(frame, weak_labels(frame)) == [[0], [2]]
    assert cheapest_path(frame, 0, 2) is None
