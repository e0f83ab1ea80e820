"""The specification's "Cold-storage archiving", as written; the comments say which outcome the text states."""

from __future__ import annotations

from pathlib import Path

import pytest

from memorygraph import AgentMemory, MemoryNode


def test_cold_storage_archiving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mem = AgentMemory()
    cold = MemoryNode("a cold memory", importance=0.1, decay_rate=1e-9)  # nothing is left of it after a moment
    important = MemoryNode("an important one", importance=0.95, decay_rate=1e-9)
    mem.graph.add_nodes([cold, important])
    mem.remember("a warm memory", importance=0.2)
    node_id = cold.id

    from memorygraph import ArchivePolicy, MemoryArchiver

    archiver = MemoryArchiver(mem.graph)
    archiver.run(ArchivePolicy(max_importance=0.3, max_retention=0.25))  # offload cold memories
    assert node_id not in mem.graph  # "move to a separate archive"
    assert {node.content for node in mem.find()} == {"an important one", "a warm memory"}  # "protecting ..."
    archiver.save("cold.json")  # persist the archive
    assert "a cold memory" in Path("cold.json").read_text(encoding="utf-8")
    archiver.restore(node_id)  # bring one back
    assert mem.get(node_id).content == "a cold memory"
