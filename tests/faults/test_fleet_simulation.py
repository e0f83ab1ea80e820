"""T9: a fleet on a network that delays, drops, repeats and reorders, whose processes die. Nothing told is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.figures import figure
from tests.faults.fleet_mutants import FLEET_MUTANTS
from tests.simulation.run import OVERTAKING_EVERY, run_fleet

ROOT = Path(__file__).parents[2]
SEEDS = figure(60, 10_000)
SEEDS_MAX = 1000

pytestmark = pytest.mark.faults


def simulate(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", "--of", "fleet", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_seed_breaks_a_promise():
    done = simulate("--seeds", str(SEEDS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SEEDS} of {SEEDS} seeds, 0 failed" in done.stdout


def test_a_seed_is_a_whole_history():
    outcomes = [run_fleet(seed) for seed in range(8)]
    assert outcomes == [run_fleet(seed) for seed in range(8)]
    assert len({outcome.trace for outcome in outcomes}) == 8
    assert sum(outcome.acknowledged for outcome in outcomes) > 30


@pytest.mark.parametrize("mutant", FLEET_MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_fleet_is_noticed(mutant):
    with mutant.at_work():
        overtakes = mutant.seed % OVERTAKING_EVERY == OVERTAKING_EVERY - 1
        seeds = range(mutant.seed, mutant.seed + SEEDS_MAX, OVERTAKING_EVERY if overtakes else 1)
        seed = next(seed for seed in seeds if run_fleet(seed, mutant.weather).violations)
    assert run_fleet(seed, mutant.weather).violations == [], "the fleet itself is not to blame"
