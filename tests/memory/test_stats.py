import itertools

import pytest

from memorygraph import AgentMemory, MemoryGraph, MemoryNode
from memorygraph.core.types import ConsolidationState

PARTS = {"vectors", "columns", "ids", "adjacency", "text", "index", "log"}


def test_stats_of_an_empty_memory(memory):
    stats = memory.stats()
    assert (stats.num_nodes, stats.num_edges, stats.avg_degree, stats.avg_importance) == (0, 0, 0, 0)
    assert (stats.total_accesses, stats.oldest_node_age_s, stats.embedding_dim) == (0, 0, 0)
    assert (stats.type_distribution, stats.edge_type_distribution) == ({}, {})
    assert set(stats.bytes_by_part) == PARTS


def test_stats_count_and_weigh(durable):
    durable.remember("the red canoe lies on the shore", 0.2, memory_type="semantic", node_id="a")
    durable.remember("the red canoe lies in the boathouse", 0.6)
    durable.remember("the moon has no air", 0.7, node_id="m")
    durable.link("a", "m", "causal")
    durable.revise("m", consolidation_state=ConsolidationState.LONG_TERM)
    durable.recall("moon", k=1)
    durable.flush()
    stats = durable.stats()
    assert (stats.num_nodes, stats.num_edges, stats.position) == (3, 2, durable.position)
    assert stats.avg_degree == pytest.approx(4 / 3)
    assert stats.avg_importance == pytest.approx(0.5)
    assert stats.avg_consolidation == pytest.approx(1 / 3)
    assert stats.type_distribution == {"episodic": 2, "semantic": 1}
    assert stats.edge_type_distribution == {"similarity": 1, "causal": 1}
    assert stats.total_accesses == 1
    assert 0 < stats.oldest_node_age_s < 600
    assert (stats.embedding_dim, stats.embedder, stats.language, stats.name) == (256, "hashing", "en", "agent_memory")
    assert set(stats.bytes_by_part) == PARTS
    assert all(size > 0 for size in stats.bytes_by_part.values())
    assert stats.memory_usage_bytes == sum(stats.bytes_by_part.values()) - stats.bytes_by_part["log"]
    assert stats.to_dict()["bytes_by_part"] == stats.bytes_by_part


def test_the_log_is_what_lies_on_the_disk(durable, store):
    durable.remember_many([f"note {number}" for number in range(100)])
    assert durable.stats().bytes_by_part["log"] == sum(file.stat().st_size for file in (store / "log").iterdir())


def test_parts_grow_with_what_they_hold(memory):
    memory.remember_many(["first"])
    memory.recall("first")
    before = memory.stats().bytes_by_part
    ids = [
        node.id for node in memory.remember_many([f"canoe number {number}" for number in range(5000)], associate=False)
    ]
    memory.link_many(itertools.pairwise(ids))
    memory.recall("canoe")
    after = memory.stats().bytes_by_part
    assert all(after[part] > before[part] for part in PARTS)
    assert after["vectors"] >= 5001 * 256 * 4


def test_forgotten_memories_are_not_counted(memory):
    a = memory.remember("red canoe")
    memory.remember("red canoe")
    memory.forget(ids=[a.id])
    stats = memory.stats()
    assert (stats.num_nodes, stats.num_edges, len(memory)) == (1, 0, 1)


def test_the_dimension_is_that_of_the_vectors():
    assert AgentMemory(embedding_dim=64).graph.embedding_dim == 64
    graph = MemoryGraph()
    assert graph.embedding_dim == 768
    graph.add_node(MemoryNode("x", embedding=[1, 2, 3]))
    assert (graph.embedding_dim, graph.stats().embedding_dim) == (3, 3)
