"""T1: writers are killed with ``kill -9`` at random moments; nothing that was acknowledged is lost or altered."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from memorygraph import AgentMemory
from tests.faults.figures import figure
from tests.faults.workers import hashed

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
