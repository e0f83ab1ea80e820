"""T6: four processes write one store at once, and a process forks after it opened one. Each record is there, once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from memorygraph import AgentMemory
from tests.faults.figures import figure

ROOT = Path(__file__).parents[2]
WRITERS = ("ann", "bob", "cid", "dee")
EACH = figure(40, 1000)
FORKED = figure(50, 500)

pytestmark = pytest.mark.faults


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.workers", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_four_processes_write_one_store(tmp_path):
    store = tmp_path / "store"
    with AgentMemory(store) as watcher:
        writers = [start("write", store, name, EACH) for name in WRITERS]
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        for writer in writers:
            writer.communicate(timeout=500)
        assert [writer.returncode for writer in writers] == [0] * len(WRITERS)
        with AgentMemory(store) as reopened, AgentMemory(store, read_only=True) as reader:
            for memory in (watcher, reopened, reader):
                each_is_there_once(memory)
            assert watcher.digest() == reopened.digest() == reader.digest() == watcher.replay()
            assert watcher.head() == reopened.head() == reader.head()
            assert reopened.verify().whole
            assert reopened.notes == ()


def each_is_there_once(memory: AgentMemory) -> None:
    assert len(memory) == 1 + len(WRITERS) * (EACH + 50)
    for name in WRITERS:
        contents = [node.content for node in memory.find(tags=[name])]
        expected = [f"{name} {number}" for number in range(EACH)]
        assert contents == expected + [f"{name} batch {number}" for number in range(50)]
    linked = len(WRITERS) * len(range(0, EACH, 4))
    links = [edge for edge in memory.edges("common") if edge.edge_type.value == "association"]
    assert len(links) == linked
    assert memory.get("common").importance == pytest.approx(1 - 0.5 * 0.99**linked)


def test_a_fork_and_its_parent_both_write(tmp_path):
    store = tmp_path / "store"
    process = start("fork", store, FORKED)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    told = json.loads(output)
    assert told["statuses"] == [0, 0]
    with AgentMemory(store) as memory:
        assert len(memory) == told["nodes"] == 1 + 3 * FORKED
        for name in ("one", "two", "parent"):
            found = [node.id for node in memory.find(tags=[name])]
            assert found == [f"{name}-{number}" for number in range(FORKED)]
        assert memory.digest() == told["digest"] == memory.replay()
        assert memory.verify().whole
