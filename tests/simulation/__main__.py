"""``python -m tests.simulation``: run many seeds, or replay one.

``make simulate SEEDS=1000 FIRST=0`` and ``make simulate SEED=1234`` call it, with ``OF=fleet`` for fleets. The exit
status is 1 if a promise was broken; the command that replays a failing seed is printed with it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from multiprocessing import get_context

from tests.simulation.run import RUNS
from tests.simulation.scenario import Outcome

SHOWN_MAX = 20
STEPS = {"store": "disk calls", "fleet": "events"}


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    if options.seed is not None:
        return _replay(options.seed, options.of)
    started, last_shown, failed = time.monotonic(), 0.0, 0
    counts = dict.fromkeys(("calls", "power_cuts", "attempts", "acknowledged"), 0)
    seeds = range(options.first, options.first + options.seeds)
    for done, outcome in enumerate(_outcomes(seeds, options.of, options.jobs), 1):
        for name in counts:
            counts[name] += getattr(outcome, name)
        if outcome.violations:
            failed += 1
            if failed <= SHOWN_MAX:
                replay = f"make simulate OF={options.of} SEED={outcome.seed}"
                print(f"seed {outcome.seed}: {outcome.violations[0]}\n  replay: {replay}")
        elapsed_s = time.monotonic() - started
        if elapsed_s - last_shown >= 5 or done == len(seeds):
            last_shown = elapsed_s
            print(f"{done} of {len(seeds)} seeds, {failed} failed, {done / elapsed_s:.0f} per second", flush=True)
    print(
        f"{counts['calls']} {STEPS[options.of]}, {counts['power_cuts']} power cuts, {counts['attempts']} writes, "
        f"{counts['acknowledged']} acknowledged, {failed} seeds that broke a promise"
    )
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make simulate", description="Simulate stores, or fleets, among faults.")
    parser.add_argument("--of", choices=sorted(RUNS), default="store", help="what to simulate")
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="replay this one and print every broken promise")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes to use")
    return parser.parse_args()


def _outcomes(seeds: range, of: str, jobs: int) -> Iterable[Outcome]:
    run = RUNS[of]
    if jobs < 2:
        yield from map(run, seeds)
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(run, seeds, chunksize=10)


def _replay(seed: int, of: str) -> int:
    run = RUNS[of]
    outcome, again = run(seed), run(seed)
    print(f"seed {seed}: {outcome.calls} {STEPS[of]}, {outcome.power_cuts} power cuts, trace {outcome.trace:08x}")
    if outcome.trace != again.trace:
        print("the second run came out differently: the simulation is not deterministic")
    for violation in outcome.violations:
        print(f"  {violation}")
    broken = len(outcome.violations)
    print(f"{outcome.acknowledged} of {outcome.attempts} writes acknowledged, {broken} promises broken")
    return 1 if outcome.violations or outcome.trace != again.trace else 0


if __name__ == "__main__":
    sys.exit(main())
