"""Consolidation, merging and pruning of ``MemoryGraph``."""

import contextlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph import AgentMemory, ConsolidationState, MemoryEdge, MemoryGraph, MemoryNode
from memorygraph.core.types import ConsolidationError, InputError, NodeNotFoundError
from memorygraph.decay.forgetting import SpacedRepetitionScheduler
from memorygraph.projections import duplicates

DAY_S = 86_400


def test_consolidation_goes_from_state_to_state():
    graph = MemoryGraph()
    graph.add_nodes([MemoryNode("", node_id="n"), MemoryNode("", node_id="ltp", consolidation_state="early_ltp")])
    states = [graph.advance_consolidation("n") for _ in range(5)]
    assert [state.name for state in states] == [
        "CONSOLIDATING", "CONSOLIDATED", "LONG_TERM", "RECONSOLIDATING", "LABILE",
    ]  # fmt: skip
    assert graph.get_node("n").consolidation_state is ConsolidationState.LABILE
    assert [graph.advance_consolidation("ltp").value for _ in range(2)] == ["late_ltp", "consolidated"]
    position = graph.stats().position
    assert graph.advance_consolidation("n", command_id="once") is graph.advance_consolidation("n", command_id="once")
    assert graph.stats().position == position + 1


def test_what_cannot_be_advanced_is_named():
    graph = MemoryGraph()
    graph.add_node(MemoryNode("", node_id="n", consolidation_state="archived"))
    with pytest.raises(ConsolidationError, match="nothing follows the state archived; restore it"):
        graph.advance_consolidation("n")
    assert graph.get_node("n").consolidation_state is ConsolidationState.ARCHIVED
    with pytest.raises(NodeNotFoundError):
        graph.advance_consolidation("x")


def old(node_id: str, **fields) -> MemoryNode:
    """A memory of a year ago, whose stability is an hour."""
    data = {"id": node_id, "content": "", "created_at": time.time() - 365 * DAY_S, **fields}
    return MemoryNode.from_dict(data)


def test_what_is_settled_important_or_does_not_decay_is_not_pruned():
    graph = MemoryGraph()
    graph.add_nodes(
        [
            old("faded"),
            old("important", importance=0.9),
            old("nearly", importance=0.89),
            old("settled", consolidation_state="long_term"),
            old("for ever", decay_function="no_decay"),
            MemoryNode("", node_id="new"),
        ]
    )
    graph.add_edge(MemoryEdge("faded", "new"))
    assert graph.prune_forgotten(retention_threshold=0.1) == ["faded", "nearly"]
    assert [node.id for node in graph] == ["important", "settled", "for ever", "new"]
    assert graph.edge_count == 0
    assert graph.prune_forgotten() == []
    for _ in range(2):
        graph.advance_consolidation("settled")  # labile again, it is as forgettable as any other
    assert graph.prune_forgotten() == ["settled"]


def vector(*values):
    return np.array(values, dtype=np.float32)


@pytest.fixture
def graph():
    """b says what a says; c does not. Both are linked to c, a to b, and d to b."""
    graph = MemoryGraph()
    graph.add_nodes(
        [
            MemoryNode("a", embedding=vector(1, 0), tags=["x"], metadata={"k": 1}, importance=0.5, node_id="a"),
            MemoryNode("b", embedding=vector(1, 0.01), tags=["y"], metadata={"k": 2, "l": 3}, node_id="b"),
            MemoryNode("c", embedding=vector(0, 1), node_id="c"),
            MemoryNode("d", node_id="d"),
        ]
    )
    graph.add_edges(
        [
            MemoryEdge("a", "b", weight=0.5),
            MemoryEdge("a", "c", "causal", 0.3, metadata={"from": "a"}),
            MemoryEdge("b", "c", "causal", 0.6, metadata={"from": "b", "seen": True}),
            MemoryEdge("c", "b", "temporal", 0.4, 0.5, directed=False, edge_id="mine"),
            MemoryEdge("d", "b", "inference", 0.7, metadata={"why": "so"}),
        ]
    )
    return graph


def test_merging_keeps_labels_and_edges_and_leaves_no_ghost(graph):
    assert graph.merge_similar_nodes(similarity_threshold=0.92) == 1
    assert [node.id for node in graph] == ["a", "c", "d"]
    node = graph.get_node("a")
    assert (node.content, node.tags, node.metadata) == ("a", ["x", "y"], {"k": 1, "l": 3})
    assert node.importance == pytest.approx(0.55)
    found = {(edge.source_id, edge.target_id): edge for edge in graph.edges()}
    assert set(found) == {("a", "c"), ("c", "a"), ("d", "a")}
    assert (found["a", "c"].weight, found["a", "c"].metadata) == (0.6, {"from": "a", "seen": True})
    one = found["c", "a"]
    assert (one.id, one.directed, one.weight, one.confidence) == ("mine", False, 0.4, 0.5)
    assert found["d", "a"].metadata == {"why": "so"}
    assert graph.get_edge("mine") == one
    assert [visit.id for visit in graph.bfs("d", 1)] == ["d", "a"]
    assert graph.merge_similar_nodes(similarity_threshold=0.92) == 0


def test_merging_is_one_command_and_can_be_undone_with_its_transaction(graph):
    position = graph.stats().position
    with contextlib.suppress(ZeroDivisionError), graph.transaction():
        assert graph.merge_similar_nodes() == 1
        assert graph.degree("a") == 3
        raise ZeroDivisionError
    assert (graph.stats().position, len(graph), graph.edge_count) == (position, 4, 5)
    for _ in range(2):
        assert graph.merge_similar_nodes(command_id="merge") == 1
    assert graph.stats().position == position + 1


def test_the_more_important_stays():
    graph = MemoryGraph()
    graph.add_nodes([MemoryNode(name, embedding=vector(1, 1), importance=value, node_id=name)
                     for name, value in (("low", 0.2), ("high", 0.8), ("middle", 0.5))])  # fmt: skip
    assert graph.merge_similar_nodes() == 2
    assert [node.id for node in graph] == ["high"]


def test_only_the_newest_are_candidates_and_are_compared_with_all():
    graph = MemoryGraph()
    graph.add_nodes([MemoryNode("", embedding=vector(1, at % 3), node_id=str(at)) for at in range(9)])
    assert graph.merge_similar_nodes(0.99, max_candidates=3) == 3
    assert [node.id for node in graph] == ["0", "1", "2", "3", "4", "5"]
    assert graph.merge_similar_nodes(0.99, max_candidates=None) == 3
    assert [node.id for node in graph] == ["0", "1", "2"]


def test_a_node_that_would_be_too_large_is_not_merged():
    graph = MemoryGraph()
    graph.add_nodes(
        [MemoryNode("", embedding=vector(1), tags=[f"{name}{at}" for at in range(40)], node_id=name) for name in "ab"]
    )
    assert graph.merge_similar_nodes() == 0
    assert len(graph) == 2


def test_a_memory_says_what_was_merged():
    memory = AgentMemory()
    first = memory.remember("Leyla lives in Istanbul")
    again = memory.remember("Leyla lives in Istanbul")
    assert memory.graph.merge_similar_nodes() == 1
    assert memory.history(again.id)[-1].event.reason == f"merged into {first.id}"
    for content in ("Leyla likes tea", "Leyla lives in Istanbul"):
        memory.remember(content)
    assert memory.consolidate(similarity_threshold=0.95, max_candidates=0) == 0
    assert memory.consolidate(command_id="again") == memory.consolidate(command_id="again") == 1
    assert [node.content for node in memory] == ["Leyla lives in Istanbul", "Leyla likes tea"]
    assert MemoryGraph().merge_similar_nodes() == 0


def test_a_statement_is_not_merged_with_one_that_it_supersedes():
    memory = AgentMemory(embedding_dim=2)
    old = memory.remember("Leyla's number is 555-1234", importance=0.8, embedding=[1, 0])
    new = memory.remember("Leyla's number is 555-9876", importance=0.5, embedding=[1, 0.01], supersedes=old)
    same = memory.remember("Leyla has the number 555-1234", importance=0.9, embedding=[1, 0])
    assert memory.graph.merge_similar_nodes() == 1
    assert [node.id for node in memory.find()] == [new.id, same.id]
    assert [hit.node_id for hit in memory.recall("Leyla number", k=2)] == [new.id, same.id]
    assert memory.graph.merge_similar_nodes() == 0


def test_what_is_kept_for_good_is_not_merged_into_what_expires():
    memory = AgentMemory(embedding_dim=2)
    passing, lasting = [
        [
            memory.remember("the password is swordfish", importance=value, embedding=[1, 0], expires_at=expires_at).id
            for value in (0.8, 0.6)
        ]
        for expires_at in ("2999-01-01", None)
    ]
    assert memory.graph.merge_similar_nodes() == 2
    assert [node.id for node in memory.find()] == [passing[0], lasting[0]]


def test_a_review_schedule_is_not_lost_by_a_merge():
    memory = AgentMemory(embedding_dim=2)
    most, reviewed, least = [memory.remember("x", importance=at / 10, embedding=[1, 0]).id for at in (9, 5, 1)]
    scheduler = SpacedRepetitionScheduler("fsrs", memory=memory)
    scheduler.register_node(reviewed)
    assert memory.graph.merge_similar_nodes() == 1
    assert [node.id for node in memory.find()] == [most, reviewed]
    assert least not in memory
    assert len(scheduler) == 1


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.2, 0.5, 0.9])), min_size=1, max_size=10),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=20),
    st.sampled_from([8, 1 << 22]),
)
@settings(max_examples=40, deadline=None)
def test_merged_graphs_are_quotients(nodes, links, cells):
    """Nodes of one direction become one; an edge leads where it led, and none is doubled or led back."""
    directions = [vector(1, 0), vector(0, 1), vector(-1, 0), vector(0, -1)]
    graph = MemoryGraph()
    graph.add_nodes(
        [MemoryNode("", embedding=directions[at], importance=value, node_id=str(number))
         for number, (at, value) in enumerate(nodes)]
    )  # fmt: skip
    links = [(one % len(nodes), two % len(nodes), directed) for one, two, directed in links]
    graph.add_edges([MemoryEdge(str(one), str(two), directed=directed) for one, two, directed in links if one != two])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "BATCH_CELLS_MAX", cells)
        gone = graph.merge_similar_nodes(max_candidates=None)
    kind = [at for at, _ in nodes]
    assert gone == len(nodes) - len(set(kind)) == len(nodes) - len(graph)
    best = {at: max(value for other, value in nodes if other == at) for at in kind}
    for node in graph:
        assert best[kind[int(node.id)]] == nodes[int(node.id)][1]
    ways = {(kind[one], kind[two], directed) for one, two, directed in links if kind[one] != kind[two]}
    ways = {(one, two, True) if directed else (*sorted((one, two)), False) for one, two, directed in ways}
    found = [(kind[int(edge.source_id)], kind[int(edge.target_id)], edge.directed) for edge in graph.edges()]
    found = [(one, two, True) if directed else (*sorted((one, two)), False) for one, two, directed in found]
    assert sorted(found) == sorted(ways)


def test_what_is_reinforced_enough_consolidates_by_itself():
    graph = MemoryGraph(auto_consolidate=True, consolidation_threshold=0.75)
    graph.add_nodes([MemoryNode("", node_id="n", importance=0.4), MemoryNode("", node_id="other")])
    states = []
    for _ in range(6):
        node = graph.get_node("n").reinforce(0.5)  # 0.7, 0.85, ...
        states.append(node.consolidation_state.value)
    assert states == ["labile", "consolidating", "consolidated", "long_term", "long_term", "long_term"]
    assert graph.get_node("other").consolidation_state is ConsolidationState.LABILE
    graph.add_node(MemoryNode("", node_id="archived", importance=0.9, consolidation_state="archived"))
    assert graph.get_node("archived").reinforce().consolidation_state is ConsolidationState.ARCHIVED


def test_without_being_asked_nothing_does():
    graph = MemoryGraph()
    graph.add_node(MemoryNode("", node_id="n", importance=0.9))
    assert graph.get_node("n").reinforce(0.5).consolidation_state is ConsolidationState.LABILE
    with pytest.raises(InputError, match="consolidation_threshold"):
        MemoryGraph(auto_consolidate=True, consolidation_threshold=1.5)
