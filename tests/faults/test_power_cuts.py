"""T2: a simulated disk that loses power, forgets and fails, under several processes that die. Nothing told is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.figures import figure
from tests.simulation.run import run

ROOT = Path(__file__).parents[2]
SEEDS = figure(300, 10_000)

pytestmark = pytest.mark.faults


def simulate(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_seed_loses_or_alters_anything():
    done = simulate("--seeds", str(SEEDS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SEEDS} of {SEEDS} seeds, 0 failed" in done.stdout


def test_a_seed_is_a_whole_history():
    outcomes = [run(seed) for seed in range(10)]
    assert outcomes == [run(seed) for seed in range(10)]
    assert len({outcome.trace for outcome in outcomes}) == 10
    assert sum(outcome.power_cuts for outcome in outcomes) > 3
    assert sum(outcome.acknowledged for outcome in outcomes) > 30


def test_one_seed_can_be_replayed():
    done = simulate("--seed", "7")
    assert done.returncode == 0, done.stdout
    assert f"trace {run(7).trace:08x}" in done.stdout
