"""The specification's graph algorithms, as written; the comments say which outcome the text states."""

from memorygraph import EdgeType, MemoryEdge, MemoryGraph, MemoryNode


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
