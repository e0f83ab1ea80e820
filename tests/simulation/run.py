"""One seed, one history: most are of bare logs, every fifth is of whole memories, which take longer."""

from __future__ import annotations

import gc
from unittest import mock

from memorygraph.actors.background import Background
from tests.simulation.memories import MemoryScenario
from tests.simulation.scenario import Outcome, Scenario

MEMORIES_EVERY = 5


def run(seed: int) -> Outcome:
    """Run one seed; the same seed gives the same outcome, call by call.

    What a process would do in the background is left out: its thread would take part at moments of its own. So would
    a garbage collection, which closes files.
    """
    scenario = MemoryScenario if seed % MEMORIES_EVERY == MEMORIES_EVERY - 1 else Scenario
    gc.disable()
    try:
        with mock.patch.object(Background, "after"):
            return scenario(seed).run()
    finally:
        gc.enable()
