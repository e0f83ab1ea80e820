"""Each broken store must be noticed by the simulator: a check that cannot fail proves nothing."""

from __future__ import annotations

import pytest

from tests.faults.mutants import STORE_MUTANTS, Mutant
from tests.simulation.run import run

SEEDS_MAX = 3000

pytestmark = pytest.mark.faults


def seed_that_notices(mutant: Mutant) -> int:
    """Give the first seed, from the mutant's own on, in which a promise is broken."""
    with mutant.at_work():
        seeds = range(mutant.seed, mutant.seed + SEEDS_MAX)
        return next(seed for seed in seeds if run(seed, mutant.weather).violations)


@pytest.mark.parametrize("mutant", STORE_MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_store_is_noticed(mutant):
    seed = seed_that_notices(mutant)
    assert run(seed, mutant.weather).violations == [], "the store itself is not to blame"
