"""Graphs compared, merged and synced: every field is seen, and a common history tells deletions from additions."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from memorygraph import AgentMemory, HashingEmbedder, MemoryArchiver, MemoryGraph, MergeStrategy

from memorygraph import diff_graphs, merge_graphs, sync_into  # isort: skip
from memorygraph.events.errors import EmbedderMismatch, InputError

FIELDS: dict[str, Any] = {
    "content": "other",
    "importance": 0.9,
    "tags": ["new"],
    "metadata": {"k": 2},
    "memory_type": "semantic",
    "emotional_valence": -0.5,
    "confidence": 0.5,
    "consolidation_state": "consolidated",
    "decay_function": "hyperbolic",
    "decay_rate": 3.0,
    "occurred_at": 5.0,
    "speaker": "Ann",
    "session": "s",
    "source": "file",
    "embedding": np.ones(16, dtype=np.float32),
    "expires_at": "2999-01-01",
}


def memory_with(*ids: str) -> AgentMemory:
    memory = AgentMemory(auto_associate=False, embedding_dim=16)
    for name in ids:
        memory.remember(f"note {name}", node_id=name, tags=["t"], metadata={"k": 1})
    return memory


def forked(memory: AgentMemory, folder: Path) -> tuple[AgentMemory, AgentMemory]:
    """Two copies with the same history, which go on apart."""
    memory.export(folder / "log")
    copies = [AgentMemory.import_(folder / "log", folder / name) for name in ("left", "right")]
    return copies[0], copies[1]


@pytest.mark.parametrize("field", FIELDS)
def test_a_difference_in_any_field_is_seen_and_synced(field: str, tmp_path: Path) -> None:
    left, right = forked(memory_with("a", "b"), tmp_path)
    assert diff_graphs(left.graph, right.graph).is_empty
    right.revise("a", **{field: FIELDS[field]})
    diff = diff_graphs(left.graph, right.graph)
    assert list(diff.changed_nodes) == ["a"]
    assert len(diff.changed_nodes["a"]) >= 1
    sync_into(left.graph, right.graph)
    assert diff_graphs(left.graph, right.graph).is_empty
    assert not diff_graphs(left.graph, left.at(3).graph).is_empty


def test_recalls_are_no_changes(tmp_path: Path) -> None:
    left, right = forked(memory_with("a"), tmp_path)
    right.recall("note")
    right.flush()
    assert diff_graphs(left.graph, right.graph).is_empty


def test_what_one_side_deleted_is_deleted_unless_the_other_changed_it(tmp_path: Path) -> None:
    memory = memory_with("kept", "gone", "changed")
    memory.link("kept", "gone")
    memory.link("kept", "changed", "causal")
    left, right = forked(memory, tmp_path)
    right.forget(ids=["gone", "changed"])
    left.revise("changed", content="changed on the left")
    left.remember("new on the left", node_id="l")
    right.remember("new on the right", node_id="r")
    expected = {"kept", "changed", "l", "r"}
    assert {node.id for node in merge_graphs(left.graph, right.graph).nodes()} == expected
    assert {node.id for node in merge_graphs(right.graph, left.graph).nodes()} == expected
    without = merge_graphs(left.graph, right.graph, MergeStrategy.KEEP_RIGHT)
    assert {node.id for node in without.nodes()} == expected - {"changed"}
    assert len(list(without.edges())) == 0
    diff = sync_into(left.graph, right.graph)
    assert (diff.removed, diff.added) == (("gone",), ("r",))
    assert diff.removed_edges[0][:3] == ("kept", "gone", "association")
    sync_into(right.graph, left.graph)
    assert diff_graphs(left.graph, right.graph).is_empty
    assert {node.id for node in right.find()} == expected


def test_what_each_side_changed_is_merged_field_by_field(tmp_path: Path) -> None:
    memory = memory_with("a", "b")
    memory.link("a", "b", "causal", 0.5)
    left, right = forked(memory, tmp_path)
    left.revise("a", tags=["t", "left"], metadata={"k": 1, "left": 1}, importance=0.1)
    right.revise("a", tags=["right"], metadata={"right": 1}, content="right")
    left.graph.revise_edge(left.edges("a")[0], weight=0.9)
    node = merge_graphs(left.graph, right.graph).get_node("a")
    assert (node.content, node.importance, node.tags) == ("right", 0.1, ["left", "right"])
    assert node.metadata == {"left": 1, "right": 1}
    assert next(iter(merge_graphs(right.graph, left.graph).edges())).weight == 0.9


def test_strategies_decide_conflicts() -> None:
    left, right = memory_with("a"), memory_with("a")
    left.revise("a", content="left", importance=0.9, tags=["l"])
    right.revise("a", content="right", importance=0.1, tags=["r"])

    def merged(strategy: MergeStrategy | str) -> tuple[str, list[str]]:
        node = merge_graphs(left.graph, right.graph, strategy).get_node("a")
        return node.content, node.tags

    assert merged(MergeStrategy.UNION) == ("right", ["l", "r"])  # it was changed later
    assert merged(MergeStrategy.KEEP_LEFT) == ("left", ["l"])
    assert merged("keep_right") == ("right", ["r"])
    assert merged(MergeStrategy.KEEP_NEWEST) == ("right", ["r"])
    assert merged(MergeStrategy.KEEP_IMPORTANT) == ("left", ["l"])
    with pytest.raises(InputError, match="union"):
        merged("best")


def test_edges_are_joined_by_their_ends_and_kind() -> None:
    left, right = memory_with("a", "b"), memory_with("a", "b")
    left.link("a", "b", "causal", 0.4, metadata={"l": 1})
    left.link("a", "b", "similarity", 0.5, directed=False)
    right.link("a", "b", "causal", 0.9, metadata={"r": 1})
    right.link("b", "a", "similarity", 0.5, directed=False)
    right.link("b", "a", "causal", 0.2)
    diff = diff_graphs(left.graph, right.graph)
    assert [key[:3] for key in diff.added_edges] == [("b", "a", "causal")]
    assert diff.removed_edges == ()
    assert list(diff.changed_edges.values()) == [{"weight": (0.4, 0.9), "metadata": ({"l": 1}, {"r": 1})}]
    merged = merge_graphs(left.graph, right.graph)
    assert sorted((edge.source_id, edge.weight) for edge in merged.edges()) == [("a", 0.5), ("a", 0.9), ("b", 0.2)]
    assert {"l": 1, "r": 1} in [edge.metadata for edge in merged.edges()]
    sync_into(left.graph, right.graph)
    assert diff_graphs(left.graph, merged).summary()["added_edges"] == 0
    assert sorted(edge.weight for edge in left.graph.edges()) == [0.2, 0.5, 0.9]


def test_the_archive_is_merged_too(tmp_path: Path) -> None:
    left, right = forked(memory_with("a", "b"), tmp_path)
    MemoryArchiver(right).archive_node("a")
    assert diff_graphs(left.graph, right.graph).changed == ("a",)
    sync_into(left.graph, right.graph)
    assert "a" not in left
    assert "a" in MemoryArchiver(left)
    MemoryArchiver(right).restore("a")
    sync_into(left.graph, right.graph)
    assert "a" in left


@pytest.mark.parametrize("away", [("left",), ("right",), ("left", "right")])
@pytest.mark.parametrize("deed", ["revise", "link", "unlink", "weigh", "forget"])
def test_a_sync_makes_every_change_that_it_tells_of_in_the_archive_too(
    away: tuple[str, ...], deed: str, tmp_path: Path
) -> None:
    memory = memory_with("a", "b")
    edge_id = memory.link("a", "b", "causal", 0.5).id
    left, right = forked(memory, tmp_path)
    {
        "revise": lambda: right.revise("a", content="new"),
        "link": lambda: right.link("a", "b", "temporal", 0.5),
        "unlink": lambda: right.graph.remove_edge(edge_id),
        "weigh": lambda: right.graph.revise_edge(right.graph.get_edge(edge_id), weight=0.9),
        "forget": lambda: right.forget(ids=["a"]),
    }[deed]()
    for name, side in (("left", left), ("right", right)):
        if name in away and "a" in side:
            MemoryArchiver(side).archive_node("a")
    sync_into(left.graph, right.graph)
    sync_into(right.graph, left.graph)
    assert diff_graphs(left.graph, right.graph).is_empty
    for side in (left, right):
        assert ("a" in MemoryArchiver(side)) == (deed != "forget" or "left" in away)
        if "a" in MemoryArchiver(side):
            MemoryArchiver(side).restore("a")
        if "a" in side:
            assert side.get("a").content == ("new" if deed == "revise" else "note a")
        edges = sorted((edge.edge_type.value, edge.weight) for edge in side.graph.edges())
        was = ("causal", 0.5)
        expected = {"link": [was, ("temporal", 0.5)], "weigh": [("causal", 0.9)], "unlink": [], "forget": []}
        assert edges == expected.get(deed, [was])


def test_a_second_sync_starts_from_the_first() -> None:
    left, right = memory_with("l"), memory_with("r")
    right.remember("soon gone", node_id="gone")
    sync_into(left.graph, right.graph)
    left.remember("left alone", node_id="l2")
    right.forget(ids=["gone"])
    right.revise("r", tags=[])
    assert sync_into(left.graph, right.graph).removed == ("gone",)
    assert {node.id for node in left.find()} == {"l", "l2", "r"}
    assert left.get("r").tags == []
    left.forget(ids=["r"])
    assert sync_into(left.graph, right.graph).is_empty  # what was deleted here does not come back


def test_vectors_of_two_embedders_are_not_mixed() -> None:
    left, right = memory_with("a"), AgentMemory(embedder=HashingEmbedder(dim=8))
    right.remember("b")
    for act in (merge_graphs, sync_into):
        with pytest.raises(EmbedderMismatch):
            act(left.graph, right.graph)
    assert len(merge_graphs(left.graph, MemoryGraph())) == 1


@pytest.mark.parametrize("seed", range(6))
def test_what_was_not_in_conflict_comes_out_the_same_from_either_side(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    names = [f"n{at}" for at in range(12)]
    memory = memory_with(*names)
    for _ in range(10):
        memory.link(*random.sample(names, 2), random.choice(["causal", "temporal"]), 0.5)
    left, right = forked(memory, tmp_path)
    random.shuffle(names)
    for side, own in ((left, names[:6]), (right, names[6:])):
        for name in own:
            act = random.choice(["revise", "forget", "link", "nothing"])
            if act == "revise":
                side.revise(name, content=f"revised {name}", tags=["x"])
            elif act == "forget":
                side.forget(ids=[name])
            elif act == "link":
                side.remember(f"new {name}", node_id=f"new {name}")
                side.link(name, f"new {name}")
    one, other = merge_graphs(left.graph, right.graph), merge_graphs(right.graph, left.graph)
    assert diff_graphs(one, other).is_empty
    sync_into(left.graph, right.graph)
    sync_into(right.graph, left.graph)
    assert diff_graphs(left.graph, one).is_empty
    assert {node.id for node in right.find()} == {node.id for node in one.nodes()}
    assert sync_into(left.graph, right.graph).summary().keys() == diff_graphs(one, one).summary().keys()


def test_a_large_sync_is_made_in_several_commands() -> None:
    left, right = AgentMemory(auto_associate=False), AgentMemory(auto_associate=False)
    right.remember_many([f"note {at}" for at in range(2100)])
    assert len(sync_into(left.graph, right.graph).added) == 2100
    assert diff_graphs(left.graph, right.graph).is_empty
    assert str(diff_graphs(left.graph, right.graph)).startswith("0 added nodes")


def test_two_that_are_synced_in_turns_come_to_the_same_tags_in_the_same_order(tmp_path: Path) -> None:
    left, right = forked(memory_with("a"), tmp_path)
    left.revise("a", tags=["l", "t", "m"])
    right.revise("a", tags=["r", "t"])
    for _ in range(2):
        sync_into(left.graph, right.graph)
        sync_into(right.graph, left.graph)
    positions = left.position, right.position
    assert left.get("a").tags == right.get("a").tags
    assert set(left.get("a").tags) == {"l", "m", "r", "t"}
    for target, source in ((left, right), (right, left)):
        assert sync_into(target.graph, source.graph).is_empty
    left.revise("a", tags=["r", "m", "l", "t"])  # another order is a change as any other
    sync_into(right.graph, left.graph)
    sync_into(left.graph, right.graph)
    assert left.get("a").tags == right.get("a").tags == ["r", "m", "l", "t"]
    assert positions < (left.position, right.position)
