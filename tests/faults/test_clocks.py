"""T13: a clock that stands still, goes back an hour or forward ten years: order, ages and stamps stay sound.

Order is the position alone. Stamps are what the clock said, and are right again as soon as it is. A step against the
clock that nobody sets is told in ``notes``.
"""

from __future__ import annotations

import random
import time
from unittest import mock

import numpy as np
import pytest

from memorygraph import AgentMemory
from memorygraph.actors.local import LocalEngine
from memorygraph.events import ports
from memorygraph.events.errors import MemoryGraphError
from memorygraph.events.ports import RandomIds, SystemClock
from memorygraph.events.stores import MemoryLog
from memorygraph.projections import retention as retention_module
from tests.faults.figures import figure

HOUR_S = 3600.0
TEN_YEARS_S = 10 * 365.25 * 24 * HOUR_S
TRUE_START_S = 1_700_000_000.0
WALKS = figure(40, 1000)

pytestmark = pytest.mark.faults


class Machine:
    """True time, and a wall clock that can be set or stopped."""

    def __init__(self) -> None:
        self.true_s = TRUE_START_S
        self.wrong_s = 0.0
        self.frozen_s: float | None = None

    def wall_ns(self) -> int:
        return round((self.true_s + self.wrong_s if self.frozen_s is None else self.frozen_s) * 1e9)

    def steady_ns(self) -> int:
        return round((self.true_s - TRUE_START_S) * 1e9)

    def passes(self, seconds: float) -> None:
        self.true_s += seconds

    def freeze(self) -> None:
        self.frozen_s = self.wall_ns() / 1e9

    def step(self, seconds: float) -> None:
        self.frozen_s, self.wrong_s = None, self.wrong_s + seconds

    def repair(self) -> None:
        self.frozen_s, self.wrong_s = None, 0.0

    @property
    def is_right(self) -> bool:
        return self.frozen_s is None and self.wrong_s == 0.0


class Ids(RandomIds):
    """Command ids that carry the machine's time, right or wrong."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def command_id(self) -> str:
        random_part = super().command_id()[13:]
        stamp = f"{self._machine.wall_ns() // 10**6:012x}"
        return f"{stamp[:8]}-{stamp[8:]}{random_part}"


def opened(machine: Machine, log: MemoryLog) -> AgentMemory:
    clock, ids = SystemClock(wall_ns=machine.wall_ns, steady_ns=machine.steady_ns), Ids(machine)
    memory = AgentMemory()
    memory._settle(LocalEngine(log, clock=clock, ids=ids), None, 256, "")
    memory._home.clock, memory._home.ids = clock, ids
    return memory


def broken_by_a_walk(seed: int) -> list[str]:
    """Write under a clock that is set at random; list what does not hold."""
    try:
        return _broken_by_a_walk(seed)
    except MemoryGraphError as error:
        return [f"{type(error).__name__}: {error}"]


def _broken_by_a_walk(seed: int) -> list[str]:
    dice, machine, log, broken = random.Random(seed), Machine(), MemoryLog(), []
    memory = opened(machine, log)
    names: list[str] = []
    for number in range(25):
        machine.passes(dice.choice((0.0, 0.001, 30.0, HOUR_S)))
        dice.choice(
            (
                machine.freeze,
                lambda: machine.step(-HOUR_S),
                lambda: machine.step(TEN_YEARS_S),
                lambda: machine.step(dice.uniform(-50, 50)),
                machine.repair,
                machine.repair,
                lambda: None,
            )
        )()
        node = memory.remember(f"number {number}", importance=0.5)
        names.append(node.id)
        if abs(node.created_at - machine.wall_ns() / 1e9) > 1e-3:
            broken.append(f"{number} is stamped {node.created_at}, not what the clock said")
        if machine.is_right and abs(node.created_at - machine.true_s) > 1e-3:
            broken.append(f"{number} has a wrong stamp although the clock is right again")
        memory.recall("number", k=3)
        broken += _unsound(memory, names)
    memory._engine.flush()  # else recalls may be recorded between the two
    if memory.digest() != memory.replay():
        broken.append("replay comes to another state")
    if [node.id for node in opened(machine, log)] != names:
        broken.append("another order after opening anew")
    return broken


def _unsound(memory: AgentMemory, names: list[str]) -> list[str]:
    broken = []
    now_us = memory._home.clock.now_us()
    if [node.id for node in memory.find()] != names:
        broken.append("the order is not the order of writing")
    frame = memory._engine._shard.frame
    left = retention_module.retention_now(frame, now_us)
    if not ((left >= 0) & (left <= 1)).all():
        broken.append(f"retention of {left.max()}: something is younger than just now")
    if memory.stats().oldest_node_age_s < 0:
        broken.append("a negative age")
    if list(frame.times_us) != sorted(frame.times_us):
        broken.append("at(time) would find two answers")
    return broken


def test_any_walk_of_the_clock_leaves_order_ages_and_stamps_sound():
    assert {seed: lines for seed in range(WALKS) if (lines := broken_by_a_walk(seed))} == {}


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda machine: machine.step(-HOUR_S), "back by 3600 s"),
        (lambda machine: machine.step(TEN_YEARS_S), "forward by 315576000 s"),
        (lambda machine: machine.step(61), "forward by 61 s"),
        (lambda machine: (machine.freeze(), machine.passes(61)), "back by 61 s"),
        (lambda machine: machine.step(59), ""),
        (lambda machine: machine.passes(TEN_YEARS_S), ""),
        (lambda machine: (machine.freeze(), machine.passes(59)), ""),
    ],
)
def test_a_step_of_more_than_a_minute_is_reported(harm, told):
    machine = Machine()
    memory = opened(machine, MemoryLog())
    memory.remember("before")
    harm(machine)
    memory.remember("after")
    memory.remember("and once more")
    assert len(memory.notes) == bool(told)
    assert told in "".join(memory.notes)


def test_notes_of_a_broken_clock_do_not_pile_up():
    machine = Machine()
    memory = opened(machine, MemoryLog())
    for _ in range(100):
        machine.step(HOUR_S)
        memory.remember("again")
    assert 1 < len(memory.notes) < 20


def test_the_machine_s_own_clock_is_watched_and_has_nothing_to_tell():
    clock = SystemClock()
    before_us = time.time_ns() // 1000
    assert before_us <= clock.now_us() <= time.time_ns() // 1000
    assert clock.notes == ()


def never_back(clock: SystemClock) -> int:
    """The mutant: stamps that only rise."""
    clock.latest_us = max(getattr(clock, "latest_us", 0), clock._wall_ns() // 1000)
    return clock.latest_us


def unclamped(accessed_us: np.ndarray, now_us: int) -> np.ndarray:
    """The mutant: ages below zero."""
    return (accessed_us - now_us) * 1e-6


@pytest.mark.parametrize(
    ("target", "name", "broken"),
    [(SystemClock, "now_us", never_back), (retention_module, "_ahead_s", unclamped)],
)
def test_a_broken_reading_of_time_would_be_noticed(target, name, broken):
    with mock.patch.object(target, name, broken):
        assert any(broken_by_a_walk(seed) for seed in range(20))


def test_a_clock_that_is_not_watched_would_be_noticed(monkeypatch):
    monkeypatch.setattr(ports, "STEP_NS", 1 << 62)
    with pytest.raises(AssertionError):
        test_a_step_of_more_than_a_minute_is_reported(lambda machine: machine.step(-HOUR_S), "back by 3600 s")
