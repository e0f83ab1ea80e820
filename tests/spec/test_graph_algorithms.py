"""The specification's graph algorithms, as written; the comments say which outcome the text states."""

import contextlib
import math

from memorygraph import EdgeType, MemoryEdge, MemoryGraph, MemoryNode, RetrievalStrategy, SpreadingActivation


def graph_of_causes():
    graph = MemoryGraph()
    graph.add_nodes([MemoryNode(f"node {name}", node_id=name) for name in "abcde"])
    for source, target, edge_type, weight in [
        ("a", "b", EdgeType.CAUSAL, 0.9),
        ("b", "c", EdgeType.CAUSAL, 0.9),
        ("a", "c", EdgeType.TEMPORAL, 0.7),
        ("c", "a", EdgeType.INFERENCE, 0.5),
        ("a", "d", EdgeType.EMOTIONAL, 0.5),
    ]:
        graph.add_edge(MemoryEdge(source_id=source, target_id=target, edge_type=edge_type, weight=weight))
    return graph


def test_graph_algorithms():
    graph = graph_of_causes()
    start_id, source_id, target_id = "a", "a", "c"

    # Breadth-first search up to depth 3, only CAUSAL edges
    nodes = graph.bfs(start_id, max_depth=3, edge_type=EdgeType.CAUSAL)

    # Dijkstra shortest path (cost = 1 - edge_weight)
    path = graph.shortest_path(source_id, target_id)

    # Strongly connected components (Kosaraju's algorithm)
    sccs = graph.strongly_connected_components()

    assert [(visit.node.id, visit.depth) for visit in nodes] == [("a", 0), ("b", 1), ("c", 2)]
    assert path == ["a", "b", "c"]  # 0.1 + 0.1, less than 0.3
    assert sccs == [["a", "b", "c"], ["d"], ["e"]]

    found = graph.bfs(start_id, filter_fn=lambda node: node.id != "c")
    assert [(visit.id, visit.depth) for visit in found] == [("a", 0), ("b", 1), ("d", 1)]
    assert graph.dfs(start_id, filter_fn=lambda node: node.id in "cd", direction="out").ids == ["c", "d"]


def test_merging_and_pruning():
    graph = MemoryGraph()
    graph.add_nodes(
        [
            MemoryNode("The Eiffel Tower is in Paris.", embedding=[1.0, 0.0], node_id="tower"),
            MemoryNode("The Eiffel tower stands in Paris", embedding=[1.0, 0.1], node_id="again"),
            MemoryNode("Cats sleep a lot.", embedding=[0.0, 1.0], node_id="cats"),
        ]
    )
    long_ago = {"content": "", "created_at": 1.6e9, "decay_rate": 24.0}
    graph.add_nodes(
        [
            MemoryNode.from_dict({**long_ago, "id": "faded"}),
            MemoryNode.from_dict({**long_ago, "id": "settled", "consolidation_state": "long_term"}),
        ]
    )

    # Merge near-duplicate nodes (cosine similarity > threshold)
    merged = graph.merge_similar_nodes(similarity_threshold=0.92)

    # Remove forgotten memories below retention threshold
    pruned = graph.prune_forgotten(retention_threshold=0.1)

    assert merged == 1
    assert pruned == ["faded"]  # "Long-term memories are protected from prune_forgotten()."
    assert [node.id for node in graph] == ["tower", "cats", "settled"]


def test_consolidation_states():
    graph = MemoryGraph()
    node_id = graph.add_node(MemoryNode("a memory"))

    # To progress a node through the consolidation pipeline, call advance_consolidation.
    states = [graph.advance_consolidation(node_id) for _ in range(5)]

    assert [state.name for state in states] == [
        "CONSOLIDATING",
        "CONSOLIDATED",
        "LONG_TERM",
        "RECONSOLIDATING",
        "LABILE",
    ]


def test_edge_types():
    graph = graph_of_causes()
    names = [
        "ASSOCIATION", "CAUSAL", "TEMPORAL", "HIERARCHICAL", "SIMILARITY", "CONTRADICTS", "COMPOSITIONAL", "EMOTIONAL",
        "EPISODIC_LINK", "INFERENCE",
    ]  # fmt: skip
    for name in names:
        edge = MemoryEdge(source_id="d", target_id="e", edge_type=EdgeType[name])
        graph.add_edge(edge)
        assert graph.get_edge(edge.id).edge_type is EdgeType[name]
    assert len(graph.get_edges_between("d", "e")) == len(names)
    assert graph.bfs("d", edge_type=EdgeType.INFERENCE).ids == ["d", "e"]


def test_act_r_base_level_learning():
    """A_i = ln(sum_j t_j^-d) + alpha e_i c_i, with d = 0.5 and alpha = 0.5."""
    node = MemoryNode.from_dict(
        {"content": "", "created_at": 0.0, "access_times": [75.0, 96.0], "emotional_valence": -0.8, "confidence": 0.5}
    )
    assert abs(node.activation_score(time_now=100.0) - (math.log(1 / 10 + 1 / 5 + 1 / 2) - 0.5 * 0.8 * 0.5)) < 1e-9


def test_transactions():
    graph = MemoryGraph()
    node_a, node_b = MemoryNode("a"), MemoryNode("b")
    edge = MemoryEdge(node_a.id, node_b.id)

    with graph.transaction():
        graph.add_node(node_a)
        graph.add_node(node_b)
        graph.add_edge(edge)
        # If any operation raises an exception, the entire transaction rolls back

    assert (len(graph), graph.edge_count) == (2, 1)
    with contextlib.suppress(ZeroDivisionError), graph.transaction():
        graph.add_node(MemoryNode("c"))
        graph.remove_edge(edge.id)
        graph.remove_node(node_a.id)
        raise ZeroDivisionError
    assert (len(graph), graph.edge_count) == (2, 1)
    assert graph.get_node(node_a.id).content == "a"


def test_results_say_how_they_were_found():
    graph = graph_of_causes()
    graph.update_node_embedding("a", [1.0, 0.0])
    assert graph.similarity_search([1.0, 0.0], k=1)[0].strategy is RetrievalStrategy.SIMILARITY
    assert SpreadingActivation(graph).spread(["a"])[0].strategy is RetrievalStrategy.SPREADING
    assert RetrievalStrategy("cued_recall") is RetrievalStrategy.CUED_RECALL
