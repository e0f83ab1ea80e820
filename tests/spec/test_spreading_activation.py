"""The specification's spreading activation, as written; the comments say which outcome the text states."""

import re

import pytest

from memorygraph import EdgeType, MemoryEdge, MemoryGraph, MemoryNode


def small_world():
    graph = MemoryGraph()
    fact = MemoryNode("The Eiffel Tower is located in Paris, France.", importance=0.85)
    event = MemoryNode("User asked about European landmarks.", importance=0.6)
    node_a, node_b = MemoryNode("A painter", importance=1.0), MemoryNode("The Louvre", importance=1.0)
    graph.add_nodes([fact, event, node_a, node_b])
    graph.add_edges(
        [
            MemoryEdge(event.id, fact.id, EdgeType.CAUSAL, 0.9),
            MemoryEdge(fact.id, node_b.id, EdgeType.ASSOCIATION, 0.8),
            MemoryEdge(node_a.id, node_b.id, EdgeType.ASSOCIATION, 0.7),
            MemoryEdge(node_b.id, fact.id, EdgeType.SIMILARITY, 0.5),
        ]
    )
    return graph, fact, event, node_a, node_b


def test_spreading_activation(capsys):
    graph, fact, event, node_a, node_b = small_world()

    from memorygraph import SpreadingActivation, SpreadingConfig

    config = SpreadingConfig(
        max_depth=4,
        activation_decay=0.6,
        use_edge_weights=True,
        use_node_importance=True,
        use_temporal_boost=True,  # recently accessed nodes get a boost
        return_top_k=20,
        sort_by="activation",
    )

    spreader = SpreadingActivation(graph, config)
    activated = spreader.spread(source_ids=[fact.id])

    for result in activated:
        node = graph.get_node(result.node_id)
        print(f"[act={result.activation:.4f} depth={result.depth}] {node.content}")

    # Cognitive priming: does seeing A make B more accessible?
    primed = spreader.priming_search(prime_ids=[event.id], query_id=fact.id)

    # Find the conceptual chain between two distant memories
    chain = spreader.concept_chain(start_id=node_a.id, end_id=node_b.id)

    assert re.fullmatch(r"\[act=0\.43\d\d depth=1\] The Louvre\n", capsys.readouterr().out)
    # A(v) = A(u) * decay * weight * importance * boost; a new memory is labile, which counts 0.6 of its importance
    assert activated[0].activation == pytest.approx(1.0 * 0.6 * 0.8 * 0.6 * 1.5, rel=0.01)
    found = {result.node_id: result.activation for result in primed}
    assert found[fact.id] > 0  # seeing the event makes the fact accessible
    assert found[node_b.id] > activated[0].activation  # and what the fact leads to more than without
    assert chain == [node_a.id, node_b.id]
    assert spreader.concept_chain(start_id=event.id, end_id=node_a.id) == [event.id, fact.id, node_b.id, node_a.id]


def test_weight_aware_spreading():
    graph, fact, event, node_a, node_b = small_world()
    graph.add_edge(MemoryEdge(event.id, node_b.id, weight=0.9))
    del node_a

    from memorygraph.retrieval.spreading import SpreadingConfig

    cfg = SpreadingConfig(
        normalize_by_outdegree=True,  # ACT-R fan effect: hubs don't dominate
        aggregate_edges="sum",  # combine parallel edges (max/sum/mean)
    )

    from memorygraph.retrieval.spreading import SpreadingActivation

    fanned = {result.node_id: result.activation for result in SpreadingActivation(graph, cfg).spread([event.id])}
    plain = {result.node_id: result.activation for result in SpreadingActivation(graph).spread([event.id])}
    assert fanned[fact.id] == pytest.approx(plain[fact.id] / 0.9 / 2, rel=0.01)  # one of two equal shares
    graph.add_edge(MemoryEdge(event.id, fact.id, weight=0.9))
    summed = {result.node_id: result.activation for result in SpreadingActivation(graph, cfg).spread([event.id])}
    assert summed[fact.id] > fanned[fact.id]
    assert set(plain) == {fact.id, node_b.id}
