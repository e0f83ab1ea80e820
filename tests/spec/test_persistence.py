"""The specification's Persistence, as written."""

import numpy as np

from memorygraph import MemoryEdge, MemoryGraph, MemoryNode


def test_persistence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    graph = MemoryGraph(embedding_dim=8)
    for name in ("a", "b"):
        graph.add_node(MemoryNode(name, embedding=np.ones(8), node_id=name))
    graph.add_edge(MemoryEdge("a", "b"))
    before = graph

    from memorygraph import GraphStorageManager

    manager = GraphStorageManager(backend="sqlite")  # or "json", "pickle"
    manager.save(graph, "agent_memory.db")

    # Load back
    graph = manager.load("agent_memory.db")
    assert [(node.id, node.content) for node in graph] == [(node.id, node.content) for node in before]
    assert graph.stats().num_edges == 1

    # Automatic backup rotation, which "keeps last 3 backups"
    for _ in range(5):
        manager.save_with_backup("agent_memory.db", keep_backups=3)
    assert len(list(tmp_path.glob("agent_memory.db*.bak"))) == 3

    # Periodic checkpoints
    manager.checkpoint(directory="./checkpoints", prefix="agent")
    assert len(manager.list_checkpoints("./checkpoints", prefix="agent")) == 1

    # Export / import embeddings separately (for fine-tuning pipelines)
    manager.export_embeddings(graph, "embeddings.npz")
    with np.load("embeddings.npz") as found:
        np.savez("embeddings_v2.npz", ids=found["ids"], embeddings=found["embeddings"] * 2)
    manager.import_embeddings(graph, "embeddings_v2.npz")
    np.testing.assert_array_equal(graph.get_node("b").embedding, 2 * np.ones(8))


def test_the_documented_import_path():
    from memorygraph import GraphStorageManager
    from memorygraph.persistence.storage import GraphStorageManager as Documented

    assert Documented is GraphStorageManager
