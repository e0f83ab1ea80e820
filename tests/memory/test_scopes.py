"""T21: what an agent may not see is not there, whatever is read (``scope_world.py``, ``scope_reads.py``)."""

from __future__ import annotations

import pytest

from tests.faults.figures import figure
from tests.memory.scope_mutants import MUTANTS
from tests.memory.scope_reads import check
from tests.memory.scope_world import World

SEEDS = 12


def run(seed: int, steps: int = 40) -> int:
    world, reads = World(seed), 0
    for at in range(1, steps + 1):
        world.step()
        if at % 20 == 0:
            reads += check(world)
    return reads


def run_all(seeds: int) -> None:
    for seed in range(seeds):
        run(seed)


@pytest.mark.parametrize("seed", range(4))
def test_an_agent_reads_as_if_what_it_may_not_see_had_never_been(seed: int) -> None:
    assert run(seed) > 100


@pytest.mark.parametrize("name", MUTANTS)
def test_every_way_to_get_scopes_wrong_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[name](monkeypatch)
    with pytest.raises((AssertionError, IndexError, pytest.fail.Exception, Warning)):
        run_all(SEEDS)


@pytest.mark.faults
def test_a_hundred_thousand_reads() -> None:
    reads, seed = 0, 1000
    while reads < figure(1_000, 100_000):
        reads += run(seed, steps=60)
        seed += 1
