"""T1: who writes or compacts is killed with ``kill -9`` at random moments; nothing acknowledged is lost or altered."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from memorygraph import AgentMemory
from memorygraph.events.stores import SegmentLog
from tests.faults.figures import FULL, figure
from tests.faults.workers import EVERYTHING, hashed

ROOT = Path(__file__).parents[2]
ROUNDS = figure(30, 1000)
KILLS = 10  # of one store

pytestmark = pytest.mark.faults


def acknowledged_until_killed(store: Path, kills: int, seed: int, mode: str = "") -> list[tuple[str, str]]:
    """Kill writers of a store, one after the other; give the (id, hash) that were acknowledged to them."""
    dice = random.Random(seed)
    orders = "".join(f"{dice.randint(0, 5)} {dice.choice((0, 100, 1000, 5000))} w{number}\n" for number in range(kills))
    command = [sys.executable, "-m", "tests.faults.workers", "kill", str(store), mode]
    done = subprocess.run(command, cwd=ROOT, input=orders, capture_output=True, text=True, check=True, timeout=300)
    rounds = done.stdout.split("\n")[:-1]
    assert len(rounds) == kills
    return [tuple(entry.split(":")) for line in rounds for entry in line.split()]


def lost_or_altered(store: Path, acknowledged: list[tuple[str, str]]) -> list[str]:
    """Open the store anew and give the acknowledged ids that are not there as they were."""
    with AgentMemory(store) as memory:
        assert memory.verify().whole
        assert memory.replay() == memory.digest()
        contents = {node.id: node.content for node in memory}
        return [name for name, told in acknowledged if name not in contents or hashed(contents[name]) != told]


def test_nothing_acknowledged_is_lost(tmp_path):
    acknowledged = 0
    for seed in range(ROUNDS // KILLS):
        store = tmp_path / f"store{seed}"
        told = acknowledged_until_killed(store, KILLS, seed)
        assert lost_or_altered(store, told) == [], f"seed {seed}"
        with AgentMemory(store) as memory:
            unknown = len(memory) - len(told)
            assert 0 <= unknown <= KILLS, "at most the one that was under way at each kill"
            writers = [node.id.split("-") for node in memory]
            assert writers == sorted(writers, key=lambda parts: (int(parts[0][1:]), int(parts[1])))
        acknowledged += len(told)
    assert acknowledged > ROUNDS


def test_a_writer_that_acknowledges_too_early_is_found(tmp_path):
    store = tmp_path / "store"
    told = acknowledged_until_killed(store, KILLS, seed=1, mode="late")
    assert lost_or_altered(store, told)


# -- compaction ------------------------------------------------------------------------------------------------------


@pytest.fixture
def compactable(tmp_path, monkeypatch):
    """A store of several segments, with accesses and forgotten memories for a compaction to replace."""
    monkeypatch.setitem(SegmentLog.open.__func__.__kwdefaults__, "segment_bytes", 6000)
    store = tmp_path / "compactable"
    with AgentMemory(store, embedding_dim=8) as memory:
        for number in range(25):
            node = memory.remember(f"note {number} " + "x" * 300)
            memory.recall(f"note {number}", k=2)
            memory.flush()
            if number % 3 == 0:
                memory.forget(ids=[node])
    assert len(list(store.glob("log/*.seg"))) > 3
    return store


def killed_while_compacting(compactable: Path, calls: Iterable[int], mode: str = "") -> list[str]:
    """Kill those who compact copies of a store, each at another call to the disk; give what is wrong afterwards."""
    with AgentMemory(compactable, read_only=True) as memory:
        digest = memory.digest()
    stores = {call: compactable.with_name(f"killed-at-{call}") for call in calls}
    for store in stores.values():
        shutil.copytree(compactable, store)
    orders = "".join(f"{call} {store}\n" for call, store in stores.items())
    command = [sys.executable, "-m", "tests.faults.workers", "compact", mode]
    done = subprocess.run(command, cwd=ROOT, input=orders, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["killed"] * len(stores), done.stderr
    return [f"call {call}: {fault}" for call, store in stores.items() for fault in faults_of(store, digest)]


def faults_of(store: Path, digest: str) -> Iterator[str]:
    """Open a memory whose compaction was killed, and have it compacted to the end."""
    with AgentMemory(store) as memory:
        for when in ("after the kill", "after the next compaction"):
            if memory.read_only or not memory.verify().whole:
                yield f"damaged {when}: {memory.notes}"
                return
            if not memory.digest() == memory.replay() == digest:
                yield f"another state {when}"
            memory.compact(EVERYTHING)
        if memory.compact(EVERYTHING).replaced:
            yield "the next compaction left something"


def calls_of_a_compaction(compactable: Path) -> int:
    store = compactable.with_name("not-killed")
    shutil.copytree(compactable, store)
    command = [sys.executable, "-m", "tests.faults.workers", "compact", ""]
    done = subprocess.run(command, cwd=ROOT, input=f"0 {store}\n", capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_compaction_that_is_killed_changes_nothing_and_is_done_later(compactable):
    count = calls_of_a_compaction(compactable)
    assert count > 40
    moments = range(1, count + 1)
    chosen = moments if FULL else random.Random(1).sample(moments, 8)
    assert killed_while_compacting(compactable, chosen) == []


def test_a_compaction_that_rewrites_in_place_would_be_noticed(compactable):
    assert killed_while_compacting(compactable, range(10, 40, 6), mode="in place")
