"""What a simulated world has between its processes and on its machines: a network and a disk, both unreliable.

A message takes its time, or is lost; it may come twice, the second time much later, and before what was sent earlier.
A cut between two groups of processes loses all messages between them, in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from msgspec import Struct

from memorygraph.actors.fleet.transport import Server
from memorygraph.events.errors import TimedOut, Unreachable
from tests.simulation.machine import Chances, Died, Disk
from tests.simulation.storage import File, Storage
from tests.simulation.world import Process, Task, World

DELAY_MIN_S = 0.0001


class Weather(Struct, kw_only=True):
    """How rough a world is; for one seed."""

    delay_s: float = 0.002  # of most messages, on average
    slow: float = 0.0  # share of messages that take up to 3 s
    drop: float = 0.0
    again: float = 0.0  # share of messages that come twice
    again_s: float = 5.0  # by when the second one comes
    switch: float = 0.1  # other tasks go on before a disk call
    death: float = 0.0  # of a host, at a disk call
    death_at_sync: float = 0.0
    pause: float = 0.0  # of a host, for seconds, at a disk call


class Call:
    """A call that waits for its answer."""

    def __init__(self, caller: Task) -> None:
        self.caller = caller
        self.answer: bytes | None = None
        self.is_refused = False


class Network:
    """Who answers where, and who cannot reach whom."""

    def __init__(self, world: World, weather: Weather) -> None:
        self.world = world
        self.weather = weather
        self.cuts: list[tuple[frozenset[str], frozenset[str]]] = []  # of names of processes
        self.handled: list[bytes] = []  # every call that came to a server, as often as it came
        self._servers: dict[str, tuple[Process, Server, bool]] = {}

    def serve(self, address: str, process: Process, server: Server, *, waits: bool = True) -> None:
        """Let a server of a process answer at an address; one that never waits for anything needs no task for it."""
        self._servers[address] = process, server, waits

    def call(self, address: str, payload: bytes, deadline_s: float) -> bytes:
        """Call from the present process."""
        task = self.world.present
        assert task is not None
        if not task.process.alive:
            raise Died
        call = Call(task)
        self.world.note("calls", task.process.name, address, len(payload))
        self._send(task.process.name, address, lambda: self._arrives(call, address, payload))
        end_s = self.world.now_s + deadline_s
        while call.answer is None and not call.is_refused:
            left_s = end_s - self.world.now_s
            if left_s <= 0 or (not self.world.park(left_s) and call.answer is None):
                raise TimedOut(f"no answer from {address!r} in {deadline_s:g} s", address=address)
        if call.answer is None:
            raise Unreachable(f"nobody answers at {address!r}", address=address)
        return call.answer

    def _send(self, source: str, target: str, arrives: Callable[[], None]) -> None:
        weather, dice = self.weather, self.world.dice

        def travel(delay_s: float) -> None:
            if dice.random() >= weather.drop:
                self.world.at(delay_s, lambda: None if self._is_cut(source, target) else arrives())

        delay_s = DELAY_MIN_S + dice.expovariate(1 / weather.delay_s)
        if dice.random() < weather.slow:
            delay_s = dice.uniform(0.0, 3.0)
        travel(delay_s)
        if dice.random() < weather.again:
            travel(delay_s + weather.again_s * dice.random() ** 3)

    def _is_cut(self, one: str, other: str) -> bool:
        return any((one in a and other in b) or (one in b and other in a) for a, b in self.cuts)

    def _arrives(self, call: Call, address: str, payload: bytes) -> None:
        back = call.caller.process.name
        process, server, waits = self._servers.get(address, (None, None, False))
        if process is None or server is None or not process.alive:
            if self.world.dice.random() < 0.5:  # else nothing is heard at all
                self._send(address, back, lambda: self._refused(call))
            return

        def handle() -> None:
            self.handled.append(payload)
            answer = server.handle(payload)
            self._send(address, back, lambda: self._answered(call, answer))

        self.world.note("arrives", address, len(payload))
        if waits:
            self.world.spawn(process, handle)
        elif process.paused_until_s <= self.world.now_s:
            handle()
        else:
            self.world.at(process.paused_until_s - self.world.now_s, lambda: self._arrives(call, address, payload))

    def _refused(self, call: Call) -> None:
        if call.answer is None:
            call.is_refused = True
            self.world.wake(call.caller)

    def _answered(self, call: Call, answer: bytes) -> None:
        if call.answer is None and not call.is_refused:
            call.answer = answer
            self.world.wake(call.caller)


class Port:
    """What a process has of the world; a handle that is pickled finds the same in the process where it arrives."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (type(self),)


class SimulatedTransport(Port):
    """The ``Transport`` port."""

    def call(self, address: str, lane: str, payload: bytes, deadline_s: float) -> bytes:
        """Return the answer of the server at an address."""
        del lane
        return self._network.call(address, payload, deadline_s)


class SimulatedSteady(Port):
    """The ``Steady`` port."""

    def now_s(self) -> float:
        """Return the world's time, as far ahead as the process is."""
        return self._network.world.now_s + self._process.ahead_s

    def sleep(self, seconds: float) -> None:
        """Let others go on."""
        self._network.world.sleep(seconds)


class SimulatedClock(Port):
    """The ``Clock`` port."""

    notes = ()

    def now_us(self) -> int:
        """Return the wall clock, as wrong as it is there."""
        return 1_700_000_000_000_000 + int((self._network.world.now_s + self._process.wall_ahead_s) * 1e6)


class SimulatedIds(Port):
    """The ``IdSource`` port: ids in order, those of each process its own."""

    def node_id(self) -> str:
        """Return a new node id."""
        return f"node{self._process.number()}"

    def command_id(self) -> str:
        """Return a new command id."""
        return f"own {self._process.number()}"


class SimulatedAfter(Port):
    """Work for later."""

    def __call__(self, delay_s: float, work: Callable[[], None]) -> None:
        self._network.world.spawn(self._process, work, delay_s)


_ARRIVING: list[tuple[Network, Process]] = []


@contextmanager
def arriving(network: Network, process: Process) -> Iterator[None]:
    """Let what is unpickled be at home in a process."""
    _ARRIVING.append((network, process))
    try:
        yield
    finally:
        _ARRIVING.pop()


def _arrived(kind: type[Port]) -> Port:
    return kind(*_ARRIVING[-1])


class SharedDisk:
    """The disk of the machine that the hosts share; stands where ``Disk`` expects a ``Machine``."""

    def __init__(self, world: World, weather: Weather) -> None:
        self.world = world
        self.weather = weather
        self.chances = Chances(write_back=0.05)
        self.storage = Storage()
        self.calls = 0

    @property
    def dice(self) -> Random:
        return self.world.dice

    def of(self, process: Process) -> Disk:
        """Give a process its disk port."""
        disk = _HostDisk(self, process)
        process.at_death.append(disk.lose_descriptors)
        return disk

    def step(self, process: Process, name: str, path: str, *, writes: bool) -> str:
        """Let chance have its way before a disk call."""
        del writes
        world, weather = self.world, self.weather
        if not process.alive:
            raise Died
        self.calls += 1
        world.note(process.name, name, path)
        is_sync = name == "sync"
        roll = self.dice.random()
        if roll < (weather.death_at_sync if is_sync else weather.death):
            world.kill(process)
            raise Died
        if roll > 1 - weather.pause:
            process.paused_until_s = world.now_s + self.dice.uniform(0.5, 8.0)
            world.sleep(0.0)
        elif is_sync or self.dice.random() < weather.switch:
            world.sleep(self.dice.expovariate(1000.0))
        return ""


class _HostDisk(Disk):
    """A disk on which a lock that is waited for comes, or does not, in simulated time."""

    def lock(self, fd: int, timeout_s: float) -> bool:
        world = self._machine.world
        end_s = world.now_s + timeout_s
        while not self._try_lock(fd):
            if world.now_s >= end_s:
                return False
            world.sleep(0.01)
        return True

    def _try_lock(self, fd: int) -> bool:
        self._step("lock", self._path(fd))
        file: File = self._file(fd)
        if file.locked_by:
            return False
        file.locked_by = [(self, fd)]
        file.shared = False
        return True
