import numpy as np
import pytest

from memorygraph import AgentMemory, EdgeType, MemoryEdge, MemoryGraph, MemoryNode, MemoryType
from memorygraph.core.types import (
    DuplicateIdError,
    EmbeddingDimensionError,
    GraphStats,
    ImportanceLevel,
    InputError,
    NodeNotFoundError,
)

DIM = 4


def vector(*values):
    return np.array(values, dtype=np.float32)


@pytest.fixture
def graph():
    graph = MemoryGraph(embedding_dim=DIM)
    graph.add_nodes(
        [
            MemoryNode("east", embedding=vector(1, 0, 0, 0), tags=["a"], node_id="e"),
            MemoryNode("north", "episodic", vector(0, 1, 0, 0), tags=["a", "b"], node_id="n"),
            MemoryNode("north-east", embedding=vector(1, 1, 0, 0), tags=["b"], node_id="ne"),
            MemoryNode("west", embedding=vector(-1, 0, 0, 0), node_id="w"),
            MemoryNode("nowhere", embedding=vector(0, 0, 0, 0), node_id="zero"),
            MemoryNode("without a vector", node_id="none"),
        ]
    )
    return graph


def test_similarity_search_is_exact_best_first_and_filtered(graph):
    found = graph.similarity_search(vector(2, 1, 0, 0), threshold=-1.0)
    assert [result.node_id for result in found] == ["ne", "e", "n", "zero", "w"]
    assert [result.score for result in found] == pytest.approx([3 / 10**0.5, 2 / 5**0.5, 1 / 5**0.5, 0, -2 / 5**0.5])
    assert [result.node_id for result in graph.similarity_search(vector(2, 1, 0, 0))] == ["ne", "e", "n", "zero"]
    assert [result.node_id for result in graph.similarity_search(vector(2, 1, 0, 0), k=1, tags=["a"])] == ["e"]
    assert [result.node_id for result in graph.similarity_search(vector(2, 1, 0, 0), tags=["a", "b"])] == ["n"]
    only = graph.similarity_search(vector(2, 1, 0, 0), memory_type="episodic")
    assert [result.node_id for result in only] == ["n"]
    graph.remove_node("ne")
    graph.update_node_embedding("e", vector(0, 0, 1, 0))
    assert [result.node_id for result in graph.similarity_search(vector(2, 1, 0, 0), threshold=0.1)] == ["n"]
    assert MemoryGraph().similarity_search([1.0]) == []


def test_similarity_search_against_plain_numpy():
    random = np.random.default_rng(7)
    vectors = random.standard_normal((500, 16)).astype(np.float32)
    graph = MemoryGraph(embedding_dim=16)
    graph.add_nodes([MemoryNode(str(row), embedding=vectors[row], node_id=str(row)) for row in range(500)])
    query = random.standard_normal(16).astype(np.float32)
    cosines = vectors @ query / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))
    found = graph.similarity_search(query, k=20, threshold=-1.0)
    assert [int(result.node_id) for result in found] == np.argsort(-cosines)[:20].tolist()
    assert [result.score for result in found] == pytest.approx(np.sort(cosines)[::-1][:20], abs=1e-6)


def test_nodes_are_listed_found_and_removed(graph):
    assert [node.id for node in graph] == ["e", "n", "ne", "w", "zero", "none"]
    assert (len(graph), "e" in graph, "x" in graph) == (6, True, False)
    assert [node.id for node in graph.query_by_type(MemoryType.EPISODIC)] == ["n"]
    assert [node.id for node in graph.query_by_tag("a", "b")] == ["n"]
    assert [node.id for node in graph.query_by_tag("b")] == ["n", "ne"]
    assert graph.get_node("none").embedding is None
    assert graph.get_node_safe("x") is None
    assert graph.get_node_safe("e").content == "east"
    graph.remove_node("e")
    with pytest.raises(NodeNotFoundError):
        graph.get_node("e")


def test_nodes_are_added_all_or_none(graph):
    with pytest.raises(DuplicateIdError):
        graph.add_nodes([MemoryNode("new", node_id="new"), MemoryNode("east again", node_id="e")])
    assert "new" not in graph
    assert graph.add_nodes([]) == []


def test_edges(graph):
    one = MemoryEdge("e", "n", EdgeType.CAUSAL, 0.9)
    graph.add_edge(one)
    graph.add_edges([MemoryEdge("e", "ne", directed=False), MemoryEdge("w", "e", edge_id="mine")])
    graph.add_edges([])
    assert (graph.successors("e"), graph.predecessors("e")) == (["n", "ne"], ["ne", "w"])
    assert (graph.neighbors("e"), graph.degree("e"), graph.degree("none")) == (["n", "ne", "w"], 3, 0)
    assert [edge.id for edge in graph.edges()] == [one.id, f"{int(one.id.split('.')[0]) + 1}.0", "mine"]
    assert "mine" in graph
    assert one.id in graph
    assert graph.get_edges_between("e", "n") == [one]
    assert graph.get_edges_between("n", "e") == []
    assert len(graph.get_edges_between("ne", "e")) == 1
    graph.remove_edge("mine")
    assert graph.predecessors("e") == ["ne"]
    graph.remove_node("n")
    assert [edge.target_id for edge in graph.edges()] == ["ne"]


def test_edges_may_be_tuples(graph):
    assert list(graph.edges()) == []
    graph.add_edges([("e", "n", EdgeType.CAUSAL, 0.5), ("e", "w", EdgeType.CAUSAL, 0.25)])
    graph.add_edges([("e", "none"), MemoryEdge("n", "e"), ("n", "w", "temporal", 1, False)])
    assert len(list(graph.edges())) == 5
    assert [edge.weight for edge in graph.get_edges_between("e", "w")] == [0.25]
    assert [edge.directed for edge in graph.get_edges_between("n", "w")] == [False]
    with pytest.raises(NodeNotFoundError):
        graph.add_edges([("n", "ne", EdgeType.CAUSAL, 0.5), ("e", "nowhere", EdgeType.CAUSAL, 0.5)])
    with pytest.raises(InputError, match="a link is a tuple"):
        graph.add_edges([("n", "ne"), ("n",)])
    assert len(list(graph.edges())) == 5


def test_long_lists_come_in_pages_at_one_position():
    memory = AgentMemory(auto_associate=False)
    ids = [node.id for node in memory.remember_many([f"note {number}" for number in range(5000)])]
    memory.link_many([(ids[0], other) for other in ids[1:]])
    seen = []
    for node in memory:
        if not seen:
            memory.forget(ids=[ids[4999]])  # the list is of the position at which it began
        seen.append(node.id)
    assert seen == ids
    assert len(list(memory.graph.edges())) == 4998
    assert len(memory) == 4999


def test_the_graph_of_a_memory_is_the_memory(memory):
    memory.graph.add_node(MemoryNode("built by hand", node_id="n"))
    assert memory.get("n").content == "built by hand"
    assert memory.recall("hand", k=1)[0].node_id == "n"
    assert memory.graph.get_node("n") == memory.get("n")
    assert memory.graph.stats() == memory.stats() or memory.graph.stats().position == memory.position


def test_a_command_id_works_on_the_graph_too(graph):
    position = graph.stats().position
    for _ in range(2):
        graph.add_node(MemoryNode("once", node_id="once"), command_id="add")
        graph.add_edge(MemoryEdge("e", "n"), command_id="edge")
    assert graph.stats().position == position + 2
    assert graph.degree("e") == 1


def test_nodes_by_importance():
    graph = MemoryGraph()
    settled = MemoryNode("settled", importance=0.6, node_id="settled", consolidation_state="long_term")
    graph.add_nodes(
        [settled, *(MemoryNode("", importance=value, node_id=str(value)) for value in (0.4, 0.9, 0.6, 0.5))]
    )
    assert [node.id for node in graph.query_by_importance()] == ["0.9", "settled", "0.6", "0.5"]
    assert [node.id for node in graph.query_by_importance(0.0, top_k=2)] == ["0.9", "settled"]
    assert graph.query_by_importance(0.95) == []
    # what is new is labile and counts 0.6 of its importance
    assert [node.id for node in graph.query_by_importance(0.5, effective=True)] == ["settled", "0.9"]


def test_nodes_by_time():
    memory = AgentMemory()
    for day in (3, 1, 2):
        memory.remember(f"day {day}", node_id=str(day), occurred_at=f"2026-05-0{day}")
    graph = memory.graph
    assert [node.id for node in graph.query_temporal(sort_by="occurred")] == ["3", "2", "1"]
    assert [node.id for node in graph.query_temporal("2026-05-02", sort_by="occurred")] == ["3", "2"]
    assert [node.id for node in graph.query_temporal(end_time="2026-05-02", sort_by="occurred")] == ["2", "1"]
    assert [node.id for node in graph.query_temporal()] == ["2", "1", "3"]
    created = graph.get_node("1").created_at
    assert [node.id for node in graph.query_temporal(created, created)] == ["1"]
    memory.recall("day 1", k=1)
    memory.flush()
    assert graph.query_temporal(sort_by="accessed")[0].id == "1"
    with pytest.raises(InputError, match="sort_by must be one of created, occurred, accessed"):
        graph.query_temporal(sort_by="size")


def test_nodes_and_edges_are_counted(graph):
    graph.add_edges([MemoryEdge("e", "n"), MemoryEdge("e", "n", directed=False)])
    assert (graph.node_count, graph.edge_count) == (6, 2)
    with pytest.raises(InputError, match="has edges"):
        graph.remove_node("e", cascade=False)
    graph.remove_node("none", cascade=False)
    graph.remove_node("e")
    assert (graph.node_count, graph.edge_count) == (4, 0)


def test_many_queries_at_once_are_answered_as_one_by_one():
    random = np.random.default_rng(5)
    graph = MemoryGraph(embedding_dim=8)
    graph.add_nodes(
        [
            MemoryNode("", "semantic" if at % 3 else "episodic", row, node_id=str(at), tags=["even"] if at % 2 else [])
            for at, row in enumerate(random.standard_normal((300, 8)).astype(np.float32))
        ]
    )
    queries = random.standard_normal((32, 8)).astype(np.float32)
    for filters in ({}, {"tags": ["even"]}, {"memory_type": "episodic", "threshold": 0.2, "k": 3}):
        found = graph.similarity_search_many(queries, **filters)
        alone = [graph.similarity_search(query, **filters) for query in queries]
        assert [[result.node_id for result in one] for one in found] == [
            [result.node_id for result in one] for one in alone
        ]
        assert [result.score for one in found for result in one] == pytest.approx(
            [result.score for one in alone for result in one], abs=1e-6
        )
    assert graph.similarity_search_many([]) == []
    assert MemoryGraph().similarity_search_many(queries) == [[]] * 32
    with pytest.raises(EmbeddingDimensionError, match="different dimensions"):
        graph.similarity_search_many([[1.0], [1.0, 2.0]])


def test_stats_have_every_documented_field(graph):
    graph.add_edge(MemoryEdge("e", "n"))
    stats = graph.stats()
    assert isinstance(stats, GraphStats)
    assert (stats.num_nodes, stats.num_edges, stats.avg_degree, stats.avg_importance) == (6, 1, 1 / 3, 0.5)
    assert (stats.avg_consolidation, stats.type_distribution) == (0.0, {"episodic": 1, "semantic": 5})
    assert (stats.edge_type_distribution, stats.total_accesses, stats.embedding_dim) == ({"association": 1}, 0, DIM)
    assert 0 <= stats.oldest_node_age_s < 60
    assert stats.memory_usage_bytes > 0
    for _ in range(3):
        graph.advance_consolidation("e")
    assert graph.stats().avg_consolidation == pytest.approx(1 / 6)
    assert ImportanceLevel.MODERATE is ImportanceLevel.MEDIUM
