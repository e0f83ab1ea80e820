"""One seed, one history: of a store (most are of bare logs, every fifth of whole memories), or of a fleet."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from types import MappingProxyType
from unittest import mock

from memorygraph.actors.background import Background
from memorygraph.events.stores import segment_file
from tests.simulation.fleets import FleetScenario
from tests.simulation.memories import MemoryScenario
from tests.simulation.overtaking import OvertakingScenario
from tests.simulation.scenario import Outcome, Scenario

MEMORIES_EVERY = 5
OVERTAKING_EVERY = 10
Run = Callable[..., Outcome]


def run(seed: int, weather: Mapping[str, float] = MappingProxyType({})) -> Outcome:
    """Run one seed; the same seed gives the same outcome, call by call. ``weather`` are chances that are not drawn.

    What a process would do in the background is left out: its thread would take part at moments of its own. So would
    a garbage collection, which closes files. Files that are filled ahead are a process of the scenario's own.
    """
    scenario = MemoryScenario if seed % MEMORIES_EVERY == MEMORIES_EVERY - 1 else Scenario
    gc.disable()
    try:
        at_work = scenario(seed)
        with (
            mock.patch.object(Background, "after"),
            mock.patch.object(segment_file, "FILLING"),
            mock.patch.multiple(
                segment_file, _FILL_BYTES_MIN=at_work.fill_bytes, _FILL_BYTES_MAX=16 * at_work.fill_bytes
            ),
        ):
            for chance, value in weather.items():
                setattr(at_work.machine.chances, chance, value)
            return at_work.run()
    finally:
        gc.enable()


def run_fleet(seed: int, weather: Mapping[str, float] = MappingProxyType({})) -> Outcome:
    """Run one seed of a fleet; the same seed gives the same outcome, event by event."""
    gc.disable()
    try:
        scenario = OvertakingScenario if seed % OVERTAKING_EVERY == OVERTAKING_EVERY - 1 else FleetScenario
        return scenario(seed, weather).run()
    finally:
        gc.enable()


RUNS: dict[str, Run] = {"store": run, "fleet": run_fleet}
