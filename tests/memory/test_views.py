import threading

import numpy as np
import pytest

from memorygraph import AgentMemory, MemoryEdge, MemoryGraph, MemoryNode, MemoryType
from memorygraph.actors.commands import ReviseNodes
from memorygraph.core.types import (
    DuplicateIdError,
    ExpectationFailed,
    FrozenViewError,
    NodeNotFoundError,
    StoreReadOnly,
)
from memorygraph.events.records import NodeRevised

NODE_FIELDS = {
    "content": "other",
    "memory_type": "semantic",
    "importance": 0.9,
    "emotional_valence": 0.5,
    "confidence": 0.1,
    "consolidation_state": "consolidated",
    "decay_function": "no_decay",
    "decay_rate": 5.0,
    "tags": ["x"],
    "metadata": {"a": 1},
    "speaker": "Ada",
    "session": 3,
    "source": "a.md",
    "occurred_at": 12.0,
    "embedding": [1.0] * 256,
}


@pytest.mark.parametrize("name", NODE_FIELDS)
def test_a_view_cannot_be_assigned_to(memory, name):
    node = memory.remember("mine", node_id="n")
    position = memory.position
    with pytest.raises(FrozenViewError, match=rf"revise\('n', {name}=\.\.\.\)"):
        setattr(node, name, NODE_FIELDS[name])
    assert (memory.position, memory.get("n")) == (position, node)


@pytest.mark.parametrize("name", NODE_FIELDS)
def test_a_built_node_is_a_plain_value(name):
    node = MemoryNode("mine")
    setattr(node, name, NODE_FIELDS[name])
    graph = MemoryGraph()
    added = graph.get_node(graph.add_node(node))
    for one in (node, added):
        value = getattr(one, name)
        value = value.tolist() if isinstance(value, np.ndarray) else getattr(value, "value", value)
        assert value == NODE_FIELDS[name]
    assert (MemoryNode("x").position, added.position) == (None, 2)


def test_what_a_view_gives_cannot_change_the_memory(memory):
    node = memory.remember("mine", tags=["a"], metadata={"list": [1]})
    node.tags.append("b")
    node.metadata["list"].append(2)
    with pytest.raises(ValueError, match="read-only"):
        node.embedding[0] = 9
    assert (memory.get(node.id).tags, memory.get(node.id).metadata) == (["a"], {"list": [1]})


def test_mutators_write_and_return_the_new_view(memory):
    node = memory.remember("mine", 0.5, ["a"])
    steps = [
        (node.reinforce(), lambda view: view.importance, 0.55),
        (node.reinforce(0.5), lambda view: view.importance, 0.775),
        (node.add_tag("b"), lambda view: view.tags, ["a", "b"]),
        (node.remove_tag("a"), lambda view: view.tags, ["b"]),
        (node.set_meta("page", 3), lambda view: view.metadata, {"page": 3}),
    ]
    positions = [view.position for view, _, _ in steps]
    assert [read(view) for view, read, _ in steps] == [expected for _, _, expected in steps]
    assert positions == sorted(set(positions))
    assert (node.importance, node.tags, node.metadata) == (0.5, ["a"], {})
    last = memory.get(node.id)
    assert (last.has_tag("b"), last.has_tag("a"), last.get_meta("page"), last.get_meta("x", 9)) == (True, False, 3, 9)


def test_mutators_do_not_overwrite_each_other(memory):
    node = memory.remember("mine")
    threads = [threading.Thread(target=node.add_tag, args=(f"tag {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(memory.get(node.id).tags) == [f"tag {number}" for number in range(4)]


@pytest.mark.parametrize("edits", [1, 3, None])
def test_a_mutator_tries_again_and_does_not_try_for_ever(memory, monkeypatch, edits):
    """Somebody revises the node between the mutator's look and its write, ``edits`` times or each time."""
    node = memory.remember("mine")
    execute = memory._home.execute
    left = [edits]

    def disturbed(*operations, **options):
        if left[0] != 0:
            left[0] = None if left[0] is None else left[0] - 1
            change = NodeRevised(id=node.id, tags=(f"theirs {left[0]}",))
            execute(ReviseNodes(changes=[change]))
        return execute(*operations, **options)

    monkeypatch.setattr(memory._home, "execute", disturbed)
    if edits is None:
        with pytest.raises(ExpectationFailed):
            node.add_tag("ours")
    else:
        assert node.add_tag("ours").tags == ["theirs 0", "ours"]


def test_mutators_of_a_built_node_change_it():
    node = MemoryNode("mine", importance=0.5)
    assert node.reinforce(1.0) is node.add_tag("a").set_meta("k", 1).remove_tag("b") is node
    assert (node.importance, node.tags, node.metadata) == (1.0, ["a"], {"k": 1})
    node.occurred_at = 5
    node.occurred_at = None
    assert node.occurred_at == node.created_at


def test_a_built_node_reads_through_after_it_was_added():
    graph = MemoryGraph(embedding_dim=2)
    node = MemoryNode("mine", MemoryType.SEMANTIC, [1, 0], 0.85, ["a"], node_id="n")
    assert (node.memory_type, node.confidence, node.decay_rate, node.emotional_valence) == (
        MemoryType.SEMANTIC,
        1.0,
        1.0,
        0.0,
    )
    graph.add_node(node)
    graph.get_node("n").add_tag("b")
    assert node.tags == ["a", "b"]
    assert node == graph.get_node("n")
    graph.update_node_embedding("n", [0, 1])
    assert node.embedding.tolist() == [0, 1]
    with pytest.raises(FrozenViewError, match="revise"):
        node.importance = 0.1
    with pytest.raises(DuplicateIdError, match="revise it, or leave the id out"):
        graph.add_node(node)
    graph.remove_node("n")
    with pytest.raises(NodeNotFoundError):
        _ = node.content


def test_a_built_edge(memory):
    memory.remember_many([{"content": "a1", "node_id": "a"}, {"content": "b2", "node_id": "b"}])
    edge = MemoryEdge("a", "b", weight=0.5, confidence=0.5)
    assert (edge.effective_weight, edge.position, edge.id) == (0.25, None, "")
    edge.weight, edge.confidence, edge.edge_type, edge.metadata = 0.6, 2.0, "causal", {"k": 1}
    assert edge.hebbian_update() is edge
    assert edge.weight == pytest.approx(0.6 + 0.05 * 0.4 - 0.01 * 0.6)
    memory.graph.add_edge(edge)
    view = memory.graph.get_edge(edge.id)
    assert (view, view.position) == (edge, memory.position)
    stronger = view.hebbian_update(0.5, 0.0)
    assert stronger.weight == edge.weight > view.weight
    assert edge.to_dict() == stronger.to_dict()
    for frozen in (edge, view):
        for name, value in (("weight", 0.1), ("confidence", 0.1), ("edge_type", "causal"), ("metadata", {})):
            with pytest.raises(FrozenViewError, match="revise_edge"):
                setattr(frozen, name, value)


def test_a_view_of_an_edge_can_be_added_to_another_graph(memory):
    nodes = [{"content": "a1", "node_id": "a"}, {"content": "b2", "node_id": "b"}]
    memory.remember_many(nodes)
    view = memory.link("a", "b", "causal", 0.3)
    other = AgentMemory()
    other.remember_many(nodes)
    other.link("b", "a")
    other.graph.add_edge(view)
    assert [edge.edge_type.value for edge in other.edges("a")] == ["association", "causal"]
    assert len(memory.edges("a")) == 1


def test_nodes_of_lists_equal_nodes_by_id_and_keep_their_vector(memory):
    node = memory.remember("mine")
    (found,) = memory.find()
    (listed,) = list(memory)
    assert found == listed == memory.get(node.id) == node
    assert np.array_equal(found.embedding, node.embedding)
    memory.revise(node.id, content="other words")
    assert np.array_equal(found.embedding, node.embedding)  # as it was at the view's position
    assert memory.get(node.id) != node
    memory.forget(ids=[node.id])
    assert np.array_equal(found.embedding, node.embedding)
    other = MemoryGraph()
    other.add_node(found)
    assert np.array_equal(other.get_node(node.id).embedding, node.embedding)


def test_views_of_the_past_refuse_writes(memory):
    memory.remember("mine", node_id="a")
    memory.remember("yours", node_id="b")
    edge = memory.link("a", "b")
    past = memory.at(memory.position - 1)
    position = memory.position
    node = past.get("a")
    writes = (
        lambda: past.remember("x"),
        lambda: past.remember_many(["x"]),
        lambda: past.revise("a", content="x"),
        lambda: past.forget(ids=["a"]),
        past.forget,
        lambda: past.link("a", "b"),
        lambda: past.unlink(edge),
        node.reinforce,
        lambda: node.add_tag("x"),
        lambda: node.set_meta("x", 1),
        lambda: past.graph.add_node(MemoryNode("x")),
    )
    for write in writes:
        with pytest.raises(StoreReadOnly, match=f"view of position {position - 1}.*write to the memory itself"):
            write()
    with pytest.raises(FrozenViewError):
        node.content = "x"
    assert memory.position == position


def test_nodes_and_edges_print_and_hash(memory):
    node = memory.remember("a long text " * 20, node_id="n")
    memory.remember("b", node_id="m")
    edge = memory.link("n", "m", weight=0.3)
    assert repr(node).startswith("MemoryNode('n', 'a long text a long text")
    assert repr(memory) == f"AgentMemory(None, memory_id='{memory.memory_id}')"
    assert repr(edge) == "MemoryEdge('n' -> 'm', association, 0.3)"
    assert len({node, memory.get("n"), edge, memory.graph.get_edge(edge.id)}) == 2
    assert node != "n"
    assert edge != "e"
    assert set(node.to_dict()) > {"id", "content", "memory_type", "tags", "created_at", "version"}
