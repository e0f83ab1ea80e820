"""``MemoryArchiver``: put away, nothing finds it; brought back, nothing is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memorygraph import AgentMemory, ArchivePolicy, DecayFunction, MemoryArchiver, MemoryNode, Scope, SharedMemoryPool
from memorygraph.events.errors import DuplicateIdError, InputError, NodeNotFoundError, NotOwnerError
from memorygraph.projections import places, sight

COLD = ArchivePolicy(max_importance=0.3, max_retention=1.0)
VECTOR = np.ones(16, dtype=np.float32)


def harbour(*, auto_associate: bool = False) -> AgentMemory:
    memory = AgentMemory(auto_associate=auto_associate, embedding_dim=16)
    memory.remember("Alice saw rain in the harbour", importance=0.2, tags=["x"], node_id="a", session=1)
    memory.remember("Alice saw lights in the harbour", importance=0.5, tags=["x"], node_id="b", session=1)
    memory.remember("Bernd has lemons", importance=0.1, node_id="c")
    memory.link("a", "b", "causal", 0.9)
    memory.link("b", "c", "causal", 0.7)
    memory.link("a", "c", "similarity", 0.5, directed=False)
    return memory


READS: dict[str, Callable[[AgentMemory], Any]] = {
    "recall": lambda memory: [(hit.node_id, hit.score) for hit in memory.recall("rain Alice", 10, reinforce=False)],
    "vector": lambda memory: [hit.node_id for hit in memory.recall(VECTOR, 10, reinforce=False)],
    "reason": lambda memory: [(hit.node_id, hit.score) for hit in memory.reason("b", reinforce=False)],
    "concepts": lambda memory: memory.concepts(),
    "find": lambda memory: [node.id for node in memory.find()],
    "query": lambda memory: memory.query().tag("x").ids(),
    "count": lambda memory: (len(memory), memory.stats().num_nodes, memory.stats().num_edges),
    "search": lambda memory: memory.graph.similarity_search(VECTOR),
    "bfs": lambda memory: [node.id for node in memory.graph.bfs("b", direction="both")],
    "neighbours": lambda memory: memory.graph.neighbors("b"),
    "edges": lambda memory: [(edge.source_id, edge.target_id) for edge in memory.graph.edges()],
    "ids": lambda memory: ["a" in memory, "c" in memory, memory.graph.get_node_safe("a")],
    "context": lambda memory: memory.context("harbour", reinforce=False).text,
}


def check() -> None:
    memory, plain = harbour(), harbour()
    archiver = MemoryArchiver(memory.graph)
    before = {name: read(memory) for name, read in READS.items()}
    digest = memory.digest()
    assert archiver.run(COLD) == ["a", "c"]
    assert memory.digest() != digest
    plain.forget(ids=["a", "c"])
    # The plain memory forgot them: everything that can be asked gives the same.
    assert {name: read(memory) for name, read in READS.items()} == {name: read(plain) for name, read in READS.items()}
    for name in ("a", "c"):
        archiver.restore(name)
    assert {name: read(memory) for name, read in READS.items() if name != "context"} == {
        name: value for name, value in before.items() if name != "context"
    }
    assert memory.digest() == digest


def test_the_archive_is_nowhere_found_and_comes_back_whole() -> None:
    check()


@pytest.mark.parametrize(
    "mutant",
    [
        lambda patch: patch.setattr(sight, "_hides", lambda *_: False),
        lambda patch: patch.setattr(places, "_set_archived", lambda *_, **__: None),
    ],
)
def test_an_archive_that_hides_nothing_is_found_out(mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        check()


def test_archiving_survives_reopening_snapshots_replay_and_files(tmp_path: Path) -> None:
    with AgentMemory(tmp_path / "store", embedding_dim=16) as memory:
        memory.remember("cold rain", importance=0.1, node_id="a", embedding=VECTOR)
        memory.remember("warm rain", node_id="b")
        memory.link("a", "b", "causal")
        archiver = MemoryArchiver(memory)
        archiver.archive_node("a", reason="cold")
        memory.snapshot()
        digest = memory.digest()
        assert memory.replay() == digest
        assert [change.kind for change in memory.history("a")] == ["added", "linked", "archived"]
        memory.save(tmp_path / "memory.json")
        archiver.save(tmp_path / "cold.json")
    with AgentMemory(tmp_path / "store", embedding_dim=16) as memory:
        assert (memory.digest(), len(memory)) == (digest, 1)
        archiver = MemoryArchiver(memory)
        assert len(archiver) == 1
        assert "a" in archiver
        found = archiver.get("a")
        assert found.embedding is not None
        assert np.array_equal(found.embedding, VECTOR)
        node = archiver.restore("a")
        assert node.content == "cold rain"
        assert "causal" in {edge.edge_type.value for edge in memory.edges("a")}
    loaded = AgentMemory.load(tmp_path / "memory.json")
    assert len(loaded) == 1
    archiver = MemoryArchiver(loaded.graph)
    assert archiver.stats() == {"archived": 1, "active": 1, "by_type": {"episodic": 1}}
    archiver.restore("a")
    assert len(loaded.edges("a")) == 1
    empty = AgentMemory(embedding_dim=16)
    assert MemoryArchiver(empty).load(tmp_path / "cold.json") == ["a"]
    assert MemoryArchiver(empty).load(tmp_path / "cold.json") == []
    assert len(empty) == 0
    assert MemoryArchiver(empty).restore_all() == ["a"]
    assert len(empty) == 1


def test_the_archive_can_be_searched() -> None:
    memory = harbour()
    archiver = MemoryArchiver(memory)
    archiver.run(COLD)
    assert [hit.node_id for hit in archiver.search_archive("lemons")] == ["c", "a"]
    assert archiver.search_archive(VECTOR, k=1)[0].node_id in {"a", "c"}
    assert [node.id for node in archiver.nodes()] == ["a", "c"]
    assert memory.position == MemoryArchiver(memory).search_archive("lemons").position


def test_what_is_permanent_or_important_stays() -> None:
    memory = AgentMemory()
    memory.graph.add_node(MemoryNode("for ever", importance=0.1, decay_function=DecayFunction.NO_DECAY, node_id="n"))
    memory.graph.add_node(MemoryNode("settled", importance=0.1, consolidation_state="long_term", node_id="l"))
    memory.graph.add_node(MemoryNode("important", importance=0.95, node_id="i"))
    memory.graph.add_node(MemoryNode("cold", importance=0.1, node_id="c"))
    archiver = MemoryArchiver(memory)
    assert archiver.run(ArchivePolicy(max_importance=1.0, max_retention=0.0)) == []
    assert archiver.run(ArchivePolicy(max_importance=1.0, max_retention=1.0, min_age_seconds=60)) == []
    assert archiver.run(ArchivePolicy(max_importance=1.0, max_retention=1.0, min_idle_seconds=60)) == []
    custom = ArchivePolicy(max_importance=1.0, max_retention=1.0, custom=lambda node: node.content != "cold")
    assert archiver.run(custom) == []
    assert archiver.run(ArchivePolicy(max_importance=1.0, max_retention=1.0)) == ["c"]
    with pytest.raises(InputError):
        archiver.run("everything")  # type: ignore[arg-type] # what a user might try


def test_what_is_put_away_does_not_fade_and_keeps_its_id() -> None:
    memory = harbour()
    archiver = MemoryArchiver(memory)
    archiver.archive_node("a")
    assert memory.forget(1.0) == ["b", "c"]
    with pytest.raises(DuplicateIdError):
        memory.remember("another", node_id="a")
    for act in (archiver.archive_node, memory.get, lambda name: memory.revise(name, content="x"), memory.edges):
        with pytest.raises(NodeNotFoundError):
            act("a")
    with pytest.raises(NodeNotFoundError, match="archive"):
        archiver.restore("b")
    assert archiver.restore("a").content == "Alice saw rain in the harbour"


def test_another_embedder_serves_the_archive_too() -> None:
    from memorygraph import HashingEmbedder

    memory = harbour()
    archiver = MemoryArchiver(memory)
    archiver.archive_node("a")
    memory.reembed(HashingEmbedder(dim=8))
    vector = archiver.restore("a").embedding
    assert vector is not None
    assert vector.shape == (8,)


@pytest.mark.parametrize("away", ["a", "b"])
def test_another_embedder_leaves_the_links_of_what_is_in_the_archive(away: str) -> None:
    from memorygraph import CallableEmbedder

    memory = AgentMemory()
    memory.remember("Alice saw rain in the harbour", node_id="a")
    memory.remember("Alice saw rain in the harbour again", node_id="b")
    [link] = memory.edges("b")
    MemoryArchiver(memory).archive_node(away)
    memory.reembed(CallableEmbedder(lambda text: [1.0, 0.0] if "again" in text else [0.0, 1.0], 2, name="another"))
    MemoryArchiver(memory).restore(away)
    [found] = memory.edges("b")
    assert (found.source_id, found.target_id) == (link.source_id, link.target_id)


def test_a_merge_moves_the_edges_to_what_is_in_the_archive() -> None:
    memory = AgentMemory(auto_associate=False, embedding_dim=2)
    keeper, twin = [memory.remember("here", importance=value, embedding=[1, 0]).id for value in (0.9, 0.5)]
    cold = memory.remember("cold", embedding=[0, 1])
    memory.link(twin, cold, "causal", 0.7)
    MemoryArchiver(memory).archive_node(cold.id)
    assert memory.graph.merge_similar_nodes() == 1
    MemoryArchiver(memory).restore(cold.id)
    [edge] = memory.edges(cold.id)
    assert (edge.source_id, edge.target_id, edge.weight) == (keeper, cold.id, 0.7)


def test_agents_put_away_what_is_their_own() -> None:
    pool = SharedMemoryPool()
    ann, bob = pool.agent("ann"), pool.agent("bob")
    public = ann.remember("cold", importance=0.1, scope=Scope.PUBLIC)
    private = ann.remember("cold, too", importance=0.1)
    own = bob.remember("mine", importance=0.1)
    assert MemoryArchiver(bob).run(COLD) == [own.id]
    with pytest.raises(NotOwnerError):
        MemoryArchiver(bob).archive_node(public.id)
    assert MemoryArchiver(ann).run(COLD) == [public.id, private.id]
    assert [node.id for node in MemoryArchiver(bob).nodes()] == [public.id, own.id]
    assert len(MemoryArchiver(pool.memory)) == 3
    assert len(bob) == 0
    with pytest.raises(NotOwnerError):
        MemoryArchiver(bob).restore(public.id)
    with pytest.raises(NodeNotFoundError):
        MemoryArchiver(bob).restore(private.id)
