"""What is computed of nodes, against closed forms; and nodes, edges and graphs as plain data and back."""

import json
import math

import numpy as np
import pytest

from memorygraph import AgentMemory, DecayFunction, MemoryEdge, MemoryGraph, MemoryNode
from memorygraph.core.types import EmbeddingDimensionError, ImportFormatError, InputError
from memorygraph.projections.base_level import base_level

HOUR_S = 3600.0
NOW_S = 1_800_000_000.0


def used(*ages_s: float, age_s: float, count: int | None = None, **fields) -> MemoryNode:
    """A memory recorded ``age_s`` seconds ago and recalled at these ages."""
    times = [NOW_S - age for age in ages_s]
    data = {"content": "", "created_at": NOW_S - age_s, "access_times": times, **fields}
    return MemoryNode.from_dict({**data, "access_count": len(times) if count is None else count})


def test_activation_is_that_of_act_r():
    node = used(100.0, 400.0, age_s=900.0)
    assert node.activation_score(NOW_S) == pytest.approx(math.log(1 / 10 + 1 / 20 + 1 / 30))
    assert used(age_s=10_000.0).activation_score(NOW_S) == pytest.approx(math.log(1 / 100))
    assert used(age_s=0.0).activation_score(NOW_S) == 0.0  # an age is at least a second
    assert used(age_s=900.0).activation_score(NOW_S - 5000) == 0.0


@pytest.mark.parametrize(("valence", "confidence"), [(0.8, 1.0), (-0.8, 1.0), (-1.0, 0.5), (0.0, 0.3)])
def test_the_valence_keeps_its_sign(valence, confidence):
    node = used(age_s=100.0, emotional_valence=valence, confidence=confidence)
    assert node.activation_score(NOW_S) == pytest.approx(math.log(0.1) + 0.5 * valence * confidence)


def test_recalls_beyond_those_that_are_kept_come_to_an_integral():
    """Petrov's approximation, against all times: recalls at even intervals, of which the last 128 are kept."""
    every_s, count = 600, 5000
    created, now = 0, (count + 1) * every_s * 1_000_000
    times = [every_s * 1_000_000 * (at + 1) for at in range(count)]
    exact = base_level(created, times, count, now)
    assert base_level(created, times[-128:], count, now) == pytest.approx(exact, abs=0.01)
    assert base_level(created, times[-128:], 128, now) < exact - 0.5  # without it
    assert base_level(now, [], 3, now) == pytest.approx(math.log(4))  # recalled within the second
    assert base_level(0, [], 2, 10_000_000) == pytest.approx(math.log(10**-0.5 + 2 * 2 * (10**0.5 - 1) / 9))


def test_only_the_last_recalls_are_kept_and_all_are_counted():
    memory = AgentMemory()
    memory.remember("a note", node_id="n")
    for _ in range(130):
        memory.recall("note", k=1)
    memory.flush()
    node = memory.get("n")
    assert (node.access_count, len(node.temporal.access_times)) == (130, 128)
    assert node.activation_score() == pytest.approx(math.log(131), abs=0.2)  # all within the last seconds


@pytest.mark.parametrize(
    ("curve", "left"),
    [
        (DecayFunction.EBBINGHAUS, math.exp(-1.5)),
        (DecayFunction.POWER_LAW, (1 + 1.5) ** -0.5),
        (DecayFunction.EXPONENTIAL, 2**-1.5),
        (DecayFunction.HYPERBOLIC, 1 / 2.5),
        (DecayFunction.STEPPED, math.exp(-1)),
        (DecayFunction.NO_DECAY, 1.0),
    ],
)
def test_retention_has_units(curve, left):
    """Two recalls double a stability of ten hours; thirty hours are one and a half of it."""
    node = MemoryNode.from_dict(
        {"content": "", "created_at": NOW_S, "access_count": 2, "decay_rate": 10.0, "decay_function": curve.value}
    )
    assert node.retention(elapsed_seconds=30 * HOUR_S) == pytest.approx(left)
    assert node.retention(0) == 1.0


@pytest.mark.parametrize(
    ("state", "factor"),
    [("labile", 0.6), ("consolidating", 0.8), ("consolidated", 1.0), ("long_term", 1.0), ("reconsolidating", 0.7),
     ("early_ltp", 0.75), ("late_ltp", 0.85), ("archived", 0.4)],
)  # fmt: skip
def test_effective_importance(state, factor):
    node = MemoryNode("", importance=0.5, consolidation_state=state, decay_function="no_decay")
    assert node.effective_importance() == pytest.approx(0.5 * factor)
    faded = MemoryNode("", importance=0.5, consolidation_state=state)
    graph = MemoryGraph()
    graph.add_node(faded)
    assert graph.get_node(faded.id).effective_importance() == pytest.approx(0.5 * factor, abs=1e-3)


def test_ages():
    node = MemoryNode.from_dict({"content": "", "created_at": 0.0, "access_times": [1_000_000.0]})
    assert node.age_seconds - node.recency_seconds == pytest.approx(1_000_000, abs=1)
    assert MemoryNode("").recency_seconds < 10


def test_distances():
    one, two = MemoryNode("", embedding=[3.0, 0.0]), MemoryNode("", embedding=[3.0, 4.0])
    assert one.cosine_similarity(two) == pytest.approx(0.6)
    assert one.embedding_distance(two) == pytest.approx(0.4)
    assert one.embedding_distance(two, "euclidean") == pytest.approx(4.0)
    assert one.embedding_distance(two, metric="dot") == pytest.approx(-9.0)
    bare, zero = MemoryNode(""), MemoryNode("", embedding=[0.0, 0.0])
    assert (one.cosine_similarity(bare), one.cosine_similarity(zero)) == (0.0, 0.0)
    assert one.embedding_distance(bare) == math.inf
    with pytest.raises(InputError, match="metric must be one of cosine, euclidean, dot"):
        one.embedding_distance(two, "manhattan")
    with pytest.raises(EmbeddingDimensionError, match="2 and 1 dimensions"):
        one.cosine_similarity(MemoryNode("", embedding=[1.0]))


def full_node() -> MemoryNode:
    return MemoryNode.from_dict(
        {
            "id": "n", "content": "text", "memory_type": "procedural", "importance": 0.7, "emotional_valence": -0.25,
            "confidence": 0.5, "consolidation_state": "late_ltp", "decay_function": "hyperbolic", "decay_rate": 12.5,
            "tags": ["a", "b"], "metadata": {"deep": {"list": [1, None]}}, "speaker": "ann", "session": 7,
            "source": "s", "created_at": 1.7e9 + 0.125, "occurred_at": 1_600_000_000.5, "expires_at": 4_000_000_000.0,
            "access_count": 5, "access_times": [1_700_000_001.5, 1_700_000_002.25], "embedding": [0.5, -1.5],
        }
    )  # fmt: skip


def test_a_node_is_plain_data_and_back():
    node = full_node()
    again = MemoryNode.from_dict(json.loads(json.dumps(node.to_dict())))
    assert again == node
    assert again.to_dict() == node.to_dict()
    graph = MemoryGraph()
    graph.add_node(again)
    stored = graph.get_node("n").to_dict()
    assert {**stored, "version": 0} == node.to_dict()
    assert MemoryNode.from_dict({"content": "short"}).importance == 0.5
    for wrong in ("text", {"id": "n"}):
        with pytest.raises(InputError, match="a node's data is a dict"):
            MemoryNode.from_dict(wrong)
    with pytest.raises(InputError, match="is no MemoryType"):
        MemoryNode.from_dict({"content": "", "memory_type": "x"})


def test_a_clone_is_a_node_of_its_own():
    graph = MemoryGraph()
    graph.add_node(full_node())
    view = graph.get_node("n")
    clone = view.clone()
    assert clone.id != "n"
    clone.content = "changed"
    clone.set_meta("k", 1)
    assert (view.content, view.metadata) == ("text", {"deep": {"list": [1, None]}})
    graph.add_node(clone)
    stored = graph.get_node(clone.id)
    assert stored.temporal == view.temporal
    assert np.array_equal(stored.embedding, view.embedding)
    other = MemoryGraph()
    other.add_node(view.clone(new_id=False))
    assert {**other.get_node("n").to_dict(), "version": 0} == {**view.to_dict(), "version": 0}
    clone = MemoryNode("text", occurred_at="2026-05-01").clone()
    clone.occurred_at = None
    assert clone.occurred_at == clone.created_at


def test_an_edge_is_plain_data_and_back():
    edge = MemoryEdge("a", "b", "causal", 0.3, 0.4, directed=False, metadata={"k": 1}, edge_id="e")
    assert MemoryEdge.from_dict(json.loads(json.dumps(edge.to_dict()))) == edge
    assert MemoryEdge.from_dict({"source_id": "a", "target_id": "b", "id": "7.0"}).id == ""
    with pytest.raises(InputError, match="an edge's data is a dict"):
        MemoryEdge.from_dict({"source_id": "a"})


def test_a_graph_is_plain_data_and_back():
    graph = MemoryGraph(name="mine")
    graph.add_nodes([full_node(), MemoryNode("other", node_id="m"), MemoryNode("gone", node_id="gone")])
    graph.add_edges([MemoryEdge("n", "m", "contradicts", 0.3, 0.4, directed=False, metadata={"k": 1}, edge_id="e"),
                     MemoryEdge("m", "gone")])  # fmt: skip
    graph.remove_node("gone")
    again = MemoryGraph.from_dict(json.loads(json.dumps(graph.to_dict())))
    assert (again.name, again.embedding_dim, len(again), again.edge_count) == ("mine", 2, 2, 1)
    for one, two in zip(graph, again, strict=True):
        assert {**one.to_dict(), "version": 0} == {**two.to_dict(), "version": 0}
    assert [edge.to_dict() for edge in again.edges()] == [edge.to_dict() for edge in graph.edges()]
    assert "gone" not in again
    assert len(MemoryGraph.from_dict(MemoryGraph().to_dict())) == 0
    broken = graph.to_dict()
    broken["nodes"][0]["importance"] = 7
    with pytest.raises(ImportFormatError, match=r"the data is damaged: nodes\[0\] \('n'\): importance"):
        MemoryGraph.from_dict(broken)
    with pytest.raises(ImportFormatError, match="is not a memory that save"):
        MemoryGraph.from_dict({"nodes": []})


def test_every_value_that_a_graph_holds_is_in_its_data():
    """A field that is added to nodes or edges later must not be left out."""
    graph = MemoryGraph()
    graph.add_nodes([full_node(), MemoryNode("", node_id="m")])
    graph.add_edge(MemoryEdge("n", "m", edge_id="e"))
    again = MemoryGraph.from_dict(graph.to_dict())
    for node_id in ("n", "m"):
        one, two = graph.get_node(node_id)._now(), again.get_node(node_id)._now()
        lost = {name for name in one.__struct_fields__ if getattr(one, name) != getattr(two, name)}
        assert lost <= {"birth", "version"}
    assert graph.get_edge("e")._now() == again.get_edge("e")._now()
