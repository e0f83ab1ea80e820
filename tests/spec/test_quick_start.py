"""The specification's Quick Start, as written; the comments say which outcome the text states."""

import re

import numpy as np

from memorygraph import AgentMemory as AnyMemory
from memorygraph import (
    EdgeType,
    HashingEmbedder,
    MemoryEdge,
    MemoryGraph,
    MemoryNode,
    MemoryType,
)


def test_agent_memory_in_6_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    from memorygraph import AgentMemory

    mem = AgentMemory()  # zero config

    mem.remember("The user's name is Leyla", importance=0.95, tags=["user"])
    mem.remember("Leyla lives in Istanbul", importance=0.9)
    mem.remember("Leyla is a machine-learning engineer")

    # Semantic recall
    for hit in mem.recall("Where does Leyla live?", k=3):
        print(f"[{hit.score:.2f}] {hit.content}")

    # "surfaces linked but non-matching memories"
    related = mem.reason("Leyla", hops=2)

    mem.save("agent_memory.json")  # persist
    mem = AgentMemory.load("agent_memory.json")

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r"\[[01]\.\d\d\] Leyla lives in Istanbul", lines[0])
    scores = [float(line[1:5]) for line in lines]
    assert scores == sorted(scores, reverse=True)
    assert 0 < scores[0] <= 1
    assert {hit.content for hit in related} == {node.content for node in mem}
    assert len(mem) == 3
    name = mem.recall("name", k=1)[0]
    assert (name.content, name.importance, name.tags) == ("The user's name is Leyla", 0.95, ["user"])
    assert (tmp_path / "agent_memory.json").exists()


def test_the_default_embedder_is_deterministic_and_dependency_free():
    first, second = AnyMemory(), AnyMemory()
    assert isinstance(first.embedder, HashingEmbedder)
    assert np.array_equal(first.remember("Leyla").embedding, second.remember("Leyla").embedding)


def test_reason_surfaces_linked_but_non_matching_memories():
    mem = AnyMemory()
    leyla = mem.remember("Leyla is a machine-learning engineer")
    other = mem.remember("The quarterly report is due on Friday")
    assert mem.recall("Leyla", threshold=0.01)[0].node_id == leyla.id
    assert other.id not in {hit.node_id for hit in mem.recall("Leyla", threshold=0.01)}
    mem.link(leyla, other)
    related = {hit.node_id: hit for hit in mem.reason("Leyla", hops=2)}
    assert related[other.id].why.path == (leyla.id, other.id)


def basic_memory_graph():
    # Create a graph with 768-dimensional embeddings (e.g. BERT output size)
    graph = MemoryGraph(embedding_dim=768, name="agent_memory")
    random = np.random.default_rng(1)

    # Add a semantic memory node
    fact = MemoryNode(
        content="The Eiffel Tower is located in Paris, France.",
        memory_type=MemoryType.SEMANTIC,
        embedding=random.standard_normal(768).astype(np.float32),
        importance=0.85,
        tags=["geography", "landmarks", "europe"],
    )
    graph.add_node(fact)

    # Add an episodic memory
    event = MemoryNode(
        content="User asked about European landmarks at 14:32.",
        memory_type=MemoryType.EPISODIC,
        embedding=random.standard_normal(768).astype(np.float32),
        importance=0.6,
        emotional_valence=0.2,  # slightly positive
    )
    graph.add_node(event)

    # Link them causally
    graph.add_edge(
        MemoryEdge(
            source_id=event.id,
            target_id=fact.id,
            edge_type=EdgeType.CAUSAL,
            weight=0.9,
        )
    )
    return graph, fact, event


def test_basic_memory_graph():
    graph, fact, event = basic_memory_graph()
    stats = graph.stats()
    print(stats)
    assert (stats.num_nodes, stats.num_edges, stats.embedding_dim) == (2, 1, 768)
    assert stats.type_distribution == {"episodic": 1, "semantic": 1}
    assert stats.edge_type_distribution == {"causal": 1}
    assert (graph.name, graph.embedding_dim) == ("agent_memory", 768)
    assert graph.get_node(fact.id).importance == 0.85
    assert graph.get_node(event.id).emotional_valence == 0.2
    (edge,) = graph.get_edges_between(event.id, fact.id)
    assert (edge.edge_type, edge.weight) == (EdgeType.CAUSAL, 0.9)
    assert graph.get_edges_between(fact.id, event.id) == []
    assert [node.id for node in graph.query_by_type(MemoryType.SEMANTIC)] == [fact.id]


def test_embedding_based_retrieval(capsys):
    graph, fact, event = basic_memory_graph()
    # The block draws its query at random, with threshold 0.5; near the fact it has an outcome to assert.
    query_embedding = fact.embedding + 0.1 * event.embedding

    results = graph.similarity_search(
        query=query_embedding,
        k=10,
        threshold=0.5,
        memory_type=MemoryType.SEMANTIC,  # optional filter
        tags=["geography"],  # optional tag filter (AND)
    )

    for result in results:
        node = graph.get_node(result.node_id)
        print(f"[{result.score:.4f}] {node.content}")

    assert re.fullmatch(r"\[0\.99\d\d\] The Eiffel Tower is located in Paris, France\.\n", capsys.readouterr().out)
    everything = graph.similarity_search(query_embedding, threshold=-1.0)
    assert [result.node_id for result in everything] == [fact.id, event.id]
    assert everything[0].score > everything[1].score
    assert graph.similarity_search(query_embedding, tags=["geography", "asia"]) == []
    assert graph.similarity_search(query_embedding, memory_type=MemoryType.EPISODIC, threshold=0.5) == []
    assert len(graph.similarity_search(query_embedding, k=1, threshold=-1.0)) == 1
