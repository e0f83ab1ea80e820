"""Algorithms of ``MemoryGraph``: what users call, on graphs small enough to see the answer."""

import networkx as nx
import numpy as np
import pytest

from memorygraph import AgentMemory, EdgeType, MemoryEdge, MemoryGraph, MemoryNode
from memorygraph.core.types import InputError, NodeNotFoundError


@pytest.fixture
def graph():
    """a -> b -> c -> d by strong links, a -> d by a weak one, d -- e undirected, f alone."""
    graph = MemoryGraph()
    graph.add_nodes([MemoryNode(f"node {name}", node_id=name) for name in "abcdef"])
    graph.add_edges(
        [
            MemoryEdge("a", "b", EdgeType.CAUSAL, 0.9),
            MemoryEdge("b", "c", EdgeType.CAUSAL, 0.9),
            MemoryEdge("c", "d", EdgeType.TEMPORAL, 0.9),
            MemoryEdge("a", "d", EdgeType.TEMPORAL, 0.5),
            MemoryEdge("d", "e", EdgeType.SIMILARITY, 1.0, directed=False),
        ]
    )
    return graph


def test_bfs_gives_nodes_with_their_depths(graph):
    found = graph.bfs("a", max_depth=2, direction="out")
    assert [(node.id, depth) for node, depth in found] == [("a", 0), ("b", 1), ("d", 1), ("c", 2), ("e", 2)]
    assert found[1].node.content == "node b"
    assert ([visit.id for visit in found], found.ids[-1], len(found)) == (["a", "b", "d", "c", "e"], "e", 5)
    assert [visit.id for visit in graph.bfs("b", 1)] == ["b", "a", "c"]
    assert [visit.id for visit in graph.bfs("a", max_depth=3, edge_type=EdgeType.CAUSAL)] == ["a", "b", "c"]
    assert [visit.id for visit in graph.bfs("c", 1, "causal", "in")] == ["c", "b"]
    assert [visit.id for visit in graph.bfs("f")] == ["f"]
    assert found == graph.bfs("a", max_depth=2, direction="out")
    assert found[-1] == found[4]
    assert [visit.depth for visit in found[3:]] == [2, 2]


def test_dfs_goes_deep_first(graph):
    assert [(visit.id, visit.depth) for visit in graph.dfs("a", direction="out")] == [
        ("a", 0), ("b", 1), ("c", 2), ("d", 3), ("e", 4),
    ]  # fmt: skip
    assert [(visit.id, visit.depth) for visit in graph.dfs("a", 1)] == [("a", 0), ("b", 1), ("d", 1)]


def test_what_was_found_stays_what_it_was(graph):
    found = graph.bfs("a", direction="out")
    graph.remove_node("b")
    graph.get_node("c").add_tag("new")
    assert [visit.node.content for visit in found if visit.id == "b"] == ["node b"]
    assert [visit.node.tags for visit in found if visit.id == "c"] == [[]]


def test_a_search_in_a_transaction_sees_what_was_done_in_it(graph):
    with graph.transaction():
        graph.add_edge(MemoryEdge("f", "a"))
        assert [visit.id for visit in graph.bfs("f", 1)] == ["f", "a"]
        assert graph.shortest_path("f", "b") == ["f", "a", "b"]
        assert graph.neighbors("f") == ["a"]


def test_shortest_path_prefers_strong_links(graph):
    assert graph.shortest_path("a", "d") == ["a", "b", "c", "d"]
    assert graph.shortest_path("a", "e", max_length=0.31) == ["a", "b", "c", "d", "e"]
    assert graph.shortest_path("a", "e", max_length=0.29) is None
    assert graph.shortest_path("e", "d") == ["e", "d"]
    assert graph.shortest_path("d", "a") is None
    assert graph.shortest_path("f", "f") == ["f"]
    doubted = graph.get_edges_between("b", "c")[0]
    graph.revise_edge(doubted, confidence=0.1)
    assert graph.shortest_path("a", "d") == ["a", "d"]


def test_components(graph):
    assert graph.strongly_connected_components() == [["d", "e"], ["a"], ["b"], ["c"], ["f"]]
    assert graph.connected_components() == [["a", "b", "c", "d", "e"], ["f"]]
    graph.add_edge(MemoryEdge("d", "a"))
    assert graph.strongly_connected_components() == [["a", "b", "c", "d", "e"], ["f"]]
    assert MemoryGraph().strongly_connected_components() == MemoryGraph().connected_components() == []


def test_neighbours_by_direction_and_type(graph):
    assert (graph.neighbors("d"), graph.neighbors("d", "out"), graph.neighbors("d", "in")) == (
        ["c", "a", "e"], ["e"], ["c", "a", "e"],
    )  # fmt: skip
    assert graph.neighbors("a", edge_type=EdgeType.TEMPORAL) == graph.successors("a", "temporal") == ["d"]
    assert graph.predecessors("c", EdgeType.CAUSAL) == ["b"]
    assert (graph.degree("d"), graph.degree("d", "out"), graph.degree("d", "in"), graph.degree("f")) == (3, 1, 3, 0)


def test_an_undirected_edge_is_one_edge_and_goes_as_one(graph):
    (edge,) = graph.get_edges_between("e", "d", EdgeType.SIMILARITY)
    assert graph.get_edges_between("d", "e") == [edge]
    assert graph.get_edges_between("d", "e", "causal") == []
    graph.remove_edge(edge.id)
    assert (graph.neighbors("d", "out"), graph.neighbors("e")) == ([], [])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda graph: graph.bfs("x"), NodeNotFoundError, "there is no node 'x'"),
        (lambda graph: graph.dfs("x"), NodeNotFoundError, "there is no node 'x'"),
        (lambda graph: graph.shortest_path("a", "x"), NodeNotFoundError, "there is no node 'x'"),
        (lambda graph: graph.bfs("a", -1), InputError, "max_depth must be a whole number"),
        (lambda graph: graph.bfs("a", direction="up"), InputError, "direction must be one of both, out, in"),
        (lambda graph: graph.neighbors("a", edge_type="friend"), InputError, "'friend' is no EdgeType"),
        (lambda graph: graph.shortest_path("a", "b", "far"), InputError, "max_length must be a number"),
    ],
)
def test_bad_input_is_named(graph, call, error, says):
    with pytest.raises(error, match=says):
        call(graph)


def test_a_larger_graph_against_networkx():
    random = np.random.default_rng(3)
    memory = AgentMemory(auto_associate=False)
    ids = [node.id for node in memory.remember_many([f"note {at}" for at in range(300)])]
    pairs = {(int(one), int(other)) for one, other in random.integers(0, 300, (600, 2)) if one != other}
    links = [(one, other, float(random.random())) for one, other in sorted(pairs)]
    memory.link_many([(ids[one], ids[other], EdgeType.CAUSAL, weight) for one, other, weight in links])
    peer = nx.DiGraph()
    peer.add_nodes_from(ids)
    peer.add_weighted_edges_from(
        (ids[one], ids[other], 1.0 - float(np.float32(weight))) for one, other, weight in links
    )
    graph = memory.graph
    assert set(map(frozenset, graph.strongly_connected_components())) == set(
        map(frozenset, nx.strongly_connected_components(peer))
    )
    assert set(map(frozenset, graph.connected_components())) == set(
        map(frozenset, nx.weakly_connected_components(peer))
    )
    for start in ids[:20]:
        lengths = nx.single_source_shortest_path_length(peer, start, 4)
        found = graph.bfs(start, 4, direction="out")
        assert dict(zip(found.ids, found.depths, strict=True)) == lengths
        costs = nx.single_source_dijkstra_path_length(peer, start)
        for end in ids[::40]:
            path = graph.shortest_path(start, end, max_length=1000)
            assert (path is None) == (end not in costs)
            if path is not None:
                assert nx.path_weight(peer, path, "weight") == pytest.approx(costs[end], abs=1e-6)
