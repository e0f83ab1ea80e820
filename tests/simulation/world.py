"""A simulated world: processes on many machines whose threads take turns, and a time that moves when all of them wait.

Each task is a thread, but only the one that holds the baton runs. It gives the baton up where it sleeps, waits for a
lock or an answer, or uses the disk; then the next event of the world happens: a task goes on, or something arrives.
The code under test is unchanged: in its modules, the names ``threading``, ``time`` and ``random`` stand for those of
the world. All chance comes from one seeded source, so the same seed gives the same history, event by event.
"""

from __future__ import annotations

import heapq
import itertools
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from types import ModuleType
from typing import Any
from unittest import mock
from zlib import crc32

from memorygraph.actors import upkeep
from memorygraph.actors.background import Background
from memorygraph.events.stores import segment_file
from tests.simulation.machine import Died

LEFT_OUT = ("memorygraph.events.stores.beside", "memorygraph.actors.background")  # their threads are not simulated
EVENTS_MAX = 400_000
NAME = "simulated"  # of the threads


class Process:
    """Tasks that share a fate and a clock: they pause and die together."""

    def __init__(self, name: str, *, ahead_s: float = 0.0, wall_ahead_s: float = 0.0) -> None:
        self.name = name
        self.ahead_s = ahead_s  # how far its steady clock is from the world's time
        self.wall_ahead_s = wall_ahead_s  # and its wall clock
        self.alive = True
        self.is_leaving = False
        self.paused_until_s = 0.0
        self.tasks: dict[Task, None] = {}
        self.at_death: list[Callable[[], None]] = []

    def number(self) -> str:
        """Give something that no other process gives, and this one only once."""
        return f"{self.name}.{_present_world().number()}"


class Task:
    """One thread of a process."""

    def __init__(self, process: Process, work: Callable[[], None]) -> None:
        self.process = process
        self.work = work
        self.turn = 0  # rises when it goes on, so that a second reason to do so is passed over
        self.worker: _Worker | None = None
        self.was_woken = False


class World:
    """Time, tasks and events."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.now_s = 0.0
        self.events = 0
        self.trace = 0  # a checksum of what happened: equal traces are equal histories
        self.present: Task | None = None
        self.unexpected: list[tuple[str, BaseException]] = []
        self.stuck: list[str] = []
        self._queue: list[tuple[float, int, Task | Callable[[], None], int]] = []
        self._numbers = itertools.count()
        self._tasks: dict[Task, None] = {}
        self._main = threading.Lock()
        self._main.acquire()

    def number(self) -> int:
        """Give the next number."""
        return next(self._numbers)

    def run(self) -> None:
        """Let events happen until there are none; then no task is left."""
        self._pass_on(None)
        self._main.acquire()

    def spawn(self, process: Process, work: Callable[[], None], delay_s: float = 0.0) -> Task:
        """Begin a task."""
        task = Task(process, work)
        self._tasks[task] = process.tasks[task] = None
        self._push(delay_s, task)
        return task

    def at(self, delay_s: float, deed: Callable[[], None]) -> None:
        """Have something happen later; it must not wait for anything."""
        self._push(delay_s, deed)

    def after(self, delay_s: float, work: Callable[[], None]) -> None:
        """Begin a task of the present process later."""
        self.spawn(self.own(), work, delay_s)

    def own(self) -> Process:
        """Give the process that runs at present."""
        assert self.present is not None, "only a task can do this"
        return self.present.process

    def sleep(self, seconds: float) -> None:
        """Let others go on for so long."""
        self.park(max(0.0, seconds))

    def park(self, timeout_s: float | None = None) -> bool:
        """Wait to be woken; False: that did not happen in time."""
        task = self.present
        assert task is not None
        task.was_woken = False
        if timeout_s is not None:
            self._push(timeout_s, task)
        self._pass_on(task)
        if not task.process.alive:
            raise Died
        return task.was_woken

    def wake(self, task: Task) -> None:
        """Let a task that is parked go on."""
        task.was_woken = True
        self._push(0.0, task)

    def kill(self, process: Process) -> None:
        """Take a process away: nothing that it still tries has an effect."""
        if process.alive:
            process.alive = False
            self.note("dies", process.name)
            for deed in process.at_death:
                deed()
            for task in process.tasks:
                if task is not self.present:
                    self._push(0.0, task)

    def note(self, *what: object) -> None:
        """Add something that happened to the trace."""
        self.trace = crc32(f"{self.now_s:.9f} {what}".encode(), self.trace)

    def _push(self, delay_s: float, what: Task | Callable[[], None]) -> None:
        turn = what.turn if isinstance(what, Task) else 0
        heapq.heappush(self._queue, (self.now_s + delay_s, next(self._numbers), what, turn))

    def _pass_on(self, me: Task | None) -> None:
        """Let events happen until it is somebody's turn; return when it is mine (or at once if I am none)."""
        task = self._next()
        if task is me and me is not None:
            return
        if task is None:
            self._main.release()
        else:
            if task.worker is None:
                task.worker = _IDLE.pop() if _IDLE else _Worker()
                task.worker.job = (self, task)
            task.worker.baton.release()
        if me is not None:
            assert me.worker is not None
            me.worker.baton.acquire()

    def _next(self) -> Task | None:
        while True:
            self.present = None
            if not self._queue:
                if not self._tasks:
                    return None
                self._end_the_stuck()
                continue
            time_s, _, what, turn = heapq.heappop(self._queue)
            self.now_s = max(self.now_s, time_s)
            if not isinstance(what, Task):
                what()
                continue
            if what not in self._tasks or what.turn != turn:
                continue
            if what.process.alive and what.process.paused_until_s > self.now_s:
                self._push(what.process.paused_until_s - self.now_s, what)
                continue
            self.events += 1
            if self.events == EVENTS_MAX:
                self.stuck.append(f"everybody, after {EVENTS_MAX} events")
                self._queue.clear()
                continue
            what.turn += 1
            self.present = what
            return what

    def _end_the_stuck(self) -> None:
        """Nothing will ever happen any more, and some still wait."""
        alive = [task.process.name for task in self._tasks if task.process.alive]
        self.stuck += alive
        for process in {task.process: None for task in self._tasks}:
            process.alive = False
        for task in self._tasks:
            self._push(0.0, task)

    def ended(self, task: Task) -> None:
        """A task is done; somebody else goes on."""
        del self._tasks[task], task.process.tasks[task]
        self._pass_on(None)


class _Worker:
    """A thread that runs one task after the other."""

    def __init__(self) -> None:
        self.baton = threading.Lock()
        self.baton.acquire()
        self.job: tuple[World, Task] | None = None
        threading.Thread(target=self._work, name=NAME, daemon=True).start()

    def _work(self) -> None:
        while True:
            self.baton.acquire()
            assert self.job is not None
            (world, task), self.job = self.job, None
            try:
                if task.process.alive:
                    task.work()
            except Died:
                pass
            except BaseException as error:  # noqa: BLE001 - whatever it is, the run has found something
                world.unexpected.append((task.process.name, error))
            _IDLE.append(self)
            world.ended(task)
            del world, task


_IDLE: list[_Worker] = []


class SimulatedLock:
    """``threading.Lock`` for tasks: who waits for it lets others go on."""

    def __init__(self) -> None:
        self._is_held = False
        self._waiting: list[Task] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._is_held:
            return blocking and self._wait(None if timeout < 0 else timeout)
        self._is_held = True
        return True

    def _wait(self, timeout_s: float | None) -> bool:
        world = _present_world()
        task = world.present
        end_s = None if timeout_s is None else world.now_s + timeout_s
        while self._is_held:
            left_s = None if end_s is None else end_s - world.now_s
            if left_s is not None and left_s <= 0:
                return False
            self._waiting.append(task)
            try:
                world.park(left_s)
            finally:
                if task in self._waiting:
                    self._waiting.remove(task)
        self._is_held = True
        return True

    def release(self) -> None:
        if not self._is_held:
            raise RuntimeError("release unlocked lock")
        self._is_held = False
        if self._waiting:
            _present_world().wake(self._waiting.pop(0))

    def locked(self) -> bool:
        return self._is_held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class SimulatedCondition:
    """``threading.Condition``, as far as it is used."""

    def __init__(self) -> None:
        self._lock = SimulatedLock()
        self._waiting: list[Task] = []

    def wait(self, timeout: float | None = None) -> bool:
        world = _present_world()
        task = world.present
        self._waiting.append(task)
        self._lock.release()
        try:
            return world.park(timeout)
        finally:
            if task in self._waiting:
                self._waiting.remove(task)
            self._lock.acquire()

    def notify(self, n: int = 1) -> None:
        for task in self._waiting[:n]:
            self._waiting.remove(task)
            _present_world().wake(task)

    def notify_all(self) -> None:
        self.notify(len(self._waiting))

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


_WORLDS: list[World] = []


def _present_world() -> World:
    return _WORLDS[-1]


def _now_s() -> float:
    return _present_world().now_s


def _random() -> float:
    return _present_world().dice.random()


class _Instead(ModuleType):
    """A module of which some names stand for something else."""

    def __init__(self, real: ModuleType, **names: Any) -> None:
        super().__init__(real.__name__)
        self.__dict__.update(names)
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


_NAMES = {
    "threading": _Instead(threading, Lock=SimulatedLock, Condition=SimulatedCondition),
    "time": _Instead(
        time,
        monotonic=_now_s,
        time=_now_s,
        time_ns=lambda: int(_now_s() * 1e9),
        sleep=lambda seconds: _present_world().sleep(seconds),
    ),
    "random": _Instead(random, random=_random),
    "Lock": SimulatedLock,
    "Condition": SimulatedCondition,
}
_REAL = {
    "threading": threading,
    "time": time,
    "random": random,
    "Lock": threading.Lock,
    "Condition": threading.Condition,
}


def _after(background: Background, delay_s: float, work: Callable[[], None], *, after: Any = Background.after) -> None:
    """Begin a task later, if it is one of the world that says so: another test's threads may still be at work."""
    if threading.current_thread().name == NAME:
        _present_world().after(delay_s, work)
    else:
        after(background, delay_s, work)


@contextmanager
def at_work(world: World) -> Iterator[None]:
    """Let the modules of the package live in a world."""
    upkeep._OPEN._open.clear()  # of earlier worlds
    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("memorygraph.") and name not in LEFT_OUT:
                for called, real in _REAL.items():
                    if vars(module).get(called) is real:
                        stack.enter_context(mock.patch.object(module, called, _NAMES[called]))
        stack.enter_context(mock.patch.object(Background, "after", _after))
        stack.enter_context(mock.patch("os.urandom", world.dice.randbytes))
        stack.enter_context(mock.patch.object(segment_file, "FILLING"))  # its thread is no task, and speed is all it is
        _WORLDS.append(world)
        try:
            yield
        finally:
            _WORLDS.pop()
