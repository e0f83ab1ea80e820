"""Memories that an earlier release wrote open, verify, answer and go on (made by ``tests/events/make_golden.py``)."""

import shutil

import msgspec
import pytest

from memorygraph import AgentMemory
from memorygraph.events.disk import OsDisk
from tests.events.make_golden import MEMORIES, Told

NAMES = ("whole", "compacted")


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def told(name):
    return msgspec.json.decode((MEMORIES / f"{name}.json").read_bytes(), type=Told)


@pytest.fixture
def store(name, tmp_path):
    return shutil.copytree(MEMORIES / name, tmp_path / "store")


def check(memory, told):
    assert memory.notes == ()
    assert (memory.position, memory.head().chain.hex(), memory.digest()) == (told.position, told.chain, told.digest)
    assert memory.replay() == told.digest, "digests of older logs must stay: backups and auditors hold them"
    assert memory.verify().whole
    assert {node.id: node.content for node in memory} == told.contents
    assert {node.id: node.access_count for node in memory} == told.accesses
    found = {question: memory.recall(question, k=1, reinforce=False)[0].node_id for question in told.recalled}
    assert found == told.recalled


@pytest.mark.parametrize("read_only", [True, False])
def test_it_says_what_it_said_when_it_was_made(store, told, read_only):
    with AgentMemory(store, read_only=read_only) as memory:
        check(memory, told)


def test_its_snapshot_is_used_or_passed_over(store, told, monkeypatch):
    """A release that keeps more of the state cannot use it, and reads the log; nobody can tell by the answers."""
    read = []
    real = OsDisk.open
    monkeypatch.setattr(OsDisk, "open", lambda disk, path, *, write: read.append(path) or real(disk, path, write=write))
    with AgentMemory(store, read_only=True) as memory:
        assert memory.at(told.snapshot).digest() == told.digest_then
    assert any(path.endswith(".snap") for path in read)
    shutil.rmtree(store / "snapshots")
    with AgentMemory(store, read_only=True) as memory:
        check(memory, told)
        assert memory.at(told.snapshot).digest() == told.digest_then


def test_its_heads_hold(store, told):
    with AgentMemory(store, read_only=True) as memory:
        report = memory.verify_heads(store / "heads.jsonl")
        assert (report.good, report.position) == (True, told.position)


def test_what_was_compacted_is_only_hashes(name, store, told):
    with AgentMemory(store, read_only=True) as memory:
        replaced = sum(entry.data is None for entry in memory._engine._log.read())
        assert replaced == told.replaced
        assert (replaced > 3) == (name == "compacted")


def test_it_goes_on(store, told):
    with AgentMemory(store) as memory:
        memory.remember("Written by a later release", node_id="later")
        memory.forget(ids=["boat"])
        digest = memory.digest()
        assert memory.replay() == digest != told.digest
        assert memory.verify().whole
        memory.snapshot()
    with AgentMemory(store, read_only=True) as memory:
        assert memory.digest() == digest
        assert memory.recall("a later release", k=1)[0].node_id == "later"
