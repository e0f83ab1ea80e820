"""T14: one digest for one log, whatever the hash seed, the BLAS kernels, the CPU's features, batches and snapshots."""

from __future__ import annotations

import itertools
import os
import platform
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from memorygraph import AgentMemory
from tests.faults.figures import FULL

ROOT = Path(__file__).parents[2]
HASH_SEEDS = ("0", "1", "2", "3", "4")
CORES = {  # old enough for every machine of that kind, and different enough to round differently
    "x86_64": ("Prescott", "Sandybridge", "Haswell"),
    "aarch64": ("ARMV8", "CORTEXA57", "NEOVERSEN1"),
}.get(platform.machine(), ("", "", ""))
DISPATCHED = [
    name
    for name in np._core._multiarray_umath.__cpu_dispatch__
    if np._core._multiarray_umath.__cpu_features__.get(name)
]
FEATURES_OFF = ("", " ".join(DISPATCHED))

pytestmark = pytest.mark.faults

Settings = tuple[str, str, str]


def every_setting() -> list[Settings]:
    return list(itertools.product(HASH_SEEDS, CORES, FEATURES_OFF))


def some_settings() -> list[Settings]:
    """Each hash seed, each core and both ways of the features, in the fewest processes."""
    return [(seed, CORES[n % 3], FEATURES_OFF[n % 2]) for n, seed in enumerate(HASH_SEEDS)]


def replayed(store: Path, settings: list[Settings], *mutant: str) -> list[str]:
    """Replay in a process for each setting; give all digests."""
    found: list[str] = []
    for number, (seed, core, features) in enumerate(settings):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "OPENBLAS_CORETYPE": core,
            "NPY_DISABLE_CPU_FEATURES": features,
            "REPLAY_SEED": str(number),
        }
        command = [sys.executable, "-m", "tests.faults.replay", str(store), *mutant]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        found += done.stdout.split()
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store in which every kind of event happened."""
    path, dice = tmp_path_factory.mktemp("replay") / "store", random.Random(5)
    with AgentMemory(path, embedding_dim=32) as memory:
        names = [node.id for node in memory.remember_many([f"memory {n} of {n % 7} things" for n in range(120)])]
        for step in range(150):
            live = [name for name in names if name in memory]
            one, two = dice.sample(live, 2)
            memory.link(one, two, weight=dice.random())
            memory.get(one).reinforce(dice.random() / 3)
            if step % 3 == 0:
                memory.recall(f"memory {dice.randint(0, 200)}", k=5)
                memory.revise(two, content=f"revised {step}", importance=dice.random())
            if step % 9 == 0:
                memory.forget(ids=[dice.choice(live)])
            if step % 4 == 0:
                names.append(memory.remember(f"later {step}", importance=dice.random()).id)
    return path


def test_one_digest(store):
    found = replayed(store, every_setting() if FULL else some_settings())
    assert len(found) >= (300 if FULL else 50)
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("mutant", "settings"),
    [
        ("set", [(seed, "", "") for seed in HASH_SEEDS[:3]]),
        ("blas", [("0", core, "") for core in CORES]),
    ],
)
def test_a_state_that_depends_on_the_machine_would_be_noticed(store, mutant, settings):
    assert len(set(replayed(store, settings, mutant))) > 1
