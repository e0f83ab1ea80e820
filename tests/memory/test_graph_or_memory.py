"""Wherever a graph is asked for, the memory that has it does, and anything else is refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memorygraph import (
    AgentMemory,
    GraphStorageManager,
    MemoryArchiver,
    MemoryTimeline,
    SharedMemoryPool,
    SpreadingActivation,
    diff_graphs,
    merge_graphs,
    sync_into,
)
from memorygraph.core.types import InputError
from memorygraph.viz import to_cytoscape, to_d3, to_dot, to_networkx

USES: dict[str, Callable[[Any, Path], Any]] = {
    "timeline": lambda given, _: [event.node_id for event in MemoryTimeline(given).events("created")],
    "archive": lambda given, _: MemoryArchiver(given).stats(),
    "spread": lambda given, _: [found.node_id for found in SpreadingActivation(given).spread(["a"])],
    "diff": lambda given, _: diff_graphs(given, AgentMemory()),
    "merge": lambda given, _: [node.id for node in merge_graphs(AgentMemory(), given)],
    "sync": lambda given, _: sync_into(AgentMemory(), given),
    "dot": lambda given, _: to_dot(given),
    "d3": lambda given, _: to_d3(given)["links"],
    "cytoscape": lambda given, _: len(to_cytoscape(given)["elements"]),
    "networkx": lambda given, _: (to_networkx(given).name, list(to_networkx(given))),
    "save": lambda given, path: len(GraphStorageManager().load(GraphStorageManager().save(given, path))),
    "backup": lambda given, path: GraphStorageManager().save_with_backup(given, path).name,
    "vectors": lambda given, path: GraphStorageManager().export_embeddings(given, path),
}


@pytest.fixture
def memory() -> AgentMemory:
    made = AgentMemory(auto_associate=False)
    for name in "ab":
        made.remember(f"The note {name}", node_id=name)
    made.link("a", "b", weight=0.9)
    return made


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_memory_stands_for_its_graph(memory: AgentMemory, use: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    assert use(memory, tmp_path / "one") == use(memory.graph, tmp_path / "one")


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_anything_else_is_refused(use: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    for given in ("a graph", {"nodes": []}, SharedMemoryPool()):
        with pytest.raises(InputError, match="expected a MemoryGraph or an AgentMemory, not "):
            use(given, tmp_path / "one")
    assert list(tmp_path.iterdir()) == []
