"""A seed's run with a fleet: a directory, hosts and clients, on a network and a disk that are unreliable.

While the clients work, hosts and the directory die and come back, leave and join, pause, and are cut off from each
other; now and then the power fails. Then all is calm, and everybody must be answered again. In the end the disk is
opened by an engine of its own, and compared with what was told.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Any
from unittest import mock

from memorygraph.actors import commands as cmd
from memorygraph.actors.background import Background
from memorygraph.actors.fleet.caller import Caller
from memorygraph.actors.fleet.directory import Directory
from memorygraph.actors.fleet.host import Host
from memorygraph.actors.fleet.stores import SegmentStores
from memorygraph.actors.fleet.transport import DIRECTORY
from memorygraph.actors.local import LocalEngine
from memorygraph.events import records as ev
from memorygraph.events.errors import StoreError, StoreNotFound
from memorygraph.events.log import Head
from memorygraph.events.stores import SegmentLog, segment_file
from tests.simulation.clients import Client
from tests.simulation.fleet_history import FleetHistory
from tests.simulation.machine import CalmDisk
from tests.simulation.network import (
    Network,
    SharedDisk,
    SimulatedClock,
    SimulatedIds,
    SimulatedSteady,
    SimulatedTransport,
    Weather,
)
from tests.simulation.scenario import Outcome
from tests.simulation.world import Process, World, at_work

ROOT = "/fleet"
TEND_S = 0.5
LATE_S = 0.01  # a call may end so long after its deadline: its last words are sent
TROUBLES = ("host", "host", "directory", "leave", "cut", "sever", "sever", "pause", "pause", "power", "client")
MIXES = (
    TROUBLES,
    TROUBLES,
    ("sever",),
    ("sever", "leave"),
    ("pause",),
    ("pause", "sever"),
    ("host", "directory"),
    ("power",),
    ("overtake",),
    (),
)


class FleetScenario:
    """One seed at work; ``weather`` are chances that are not drawn."""

    def __init__(
        self,
        seed: int,
        weather: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.seed = seed
        self.dice = Random(seed)
        self.world = World(self.dice)
        self.weather = _weather(self.dice)
        for chance, value in weather.items():
            setattr(self.weather, chance, value)
        self.network = Network(self.world, self.weather)
        self.disk = SharedDisk(self.world, self.weather)
        self.history = FleetHistory(lambda: self.world.now_s)
        self.history.repeated = self._is_repeated
        self.memories = [f"m{number}" for number in range(self.dice.choice((1, 1, 1, 2)))]
        self.names: dict[str, list[str]] = {}  # of nodes that were added, or meant to be
        self.pace_s = self.dice.choice((0.05, 0.3, 0.6))
        self.steps = self.dice.choice((10, 20, 30))
        self.clients: list[Client] = []
        self.hosts: dict[str, Process] = {}  # the latest of each name
        self.power_cuts = 0
        self._troubles = self.dice.choice(MIXES)
        self._trouble_s = self.dice.choice((0.5, 1.5, 4.0))
        self._is_calm = False
        self._numbers = itertools.count()
        self._looks = self.dice.random() < 0.3
        self._dead_s = self.dice.choice((1.0, 1.0, 5.0))
        self._clocks_s = self.dice.choice((0.0, 0.1, 3600.0))

    def run(self) -> Outcome:
        """Run the world to its end, and check."""
        world = self.world
        with (
            at_work(world),
            mock.patch.object(Caller, "call", _timed(self)),
            mock.patch.object(SegmentLog, "refresh", SegmentLog.refresh if self._looks else _refresh_if_shared),
        ):
            world.spawn(Process("fate"), self._direct)
            world.run()
            for name, error in world.unexpected:
                self.history.broken(f"{name} came to {type(error).__name__}: {error}")
            if world.stuck:
                self.history.broken(f"{world.stuck} wait for each other")
        with mock.patch.object(Background, "after"), mock.patch.object(segment_file, "FILLING"):
            for memory in self.memories:
                if not self.history.violations:
                    self._check(memory)
        return Outcome(
            self.seed,
            self.history.violations,
            world.trace,
            world.events + self.disk.calls,
            self.power_cuts,
            len(self.history.sent),
            sum(sent.outcome == "acknowledged" for sent in self.history.sent),
        )

    def number(self) -> int:
        return next(self._numbers)

    # -- processes -----------------------------------------------------------------------------------------------

    def _process(self, name: str) -> Process:
        wall_ahead_s = self.dice.uniform(-1.0, 1.0) * self._clocks_s
        return Process(name, ahead_s=self.dice.uniform(0.0, 1000.0), wall_ahead_s=wall_ahead_s)

    def start_directory(self) -> None:
        process = self._process(DIRECTORY)
        self.hosts[DIRECTORY] = process
        steady = SimulatedSteady(self.network, process)
        directory = Directory(steady, dead_s=self._dead_s, suspect_s=self._dead_s / 3)
        self.network.serve(DIRECTORY, process, directory, waits=False)

    def start_host(self, name: str) -> Host:
        process = self._process(name)
        ports = {"clock": SimulatedClock(self.network, process), "ids": SimulatedIds(self.network, process)}
        host = Host(
            name,
            name,
            SegmentStores(ROOT, disk=self.disk.of(process), **ports),
            SimulatedTransport(self.network, process),
            SimulatedSteady(self.network, process),
            idle_s=self.dice.choice((1.0, 60.0)),
            session_s=self.dice.choice((2.0, 60.0)),
            handover_s=self._dead_s / 5,
            awake_max=self.dice.choice((1, 256)),
        )
        self.hosts[name] = process
        self.network.serve(name, process, host)
        self.world.spawn(process, lambda: self._tend(process, host))
        return host

    def _tend(self, process: Process, host: Host) -> None:
        while not process.is_leaving:
            host.tend()
            self.world.sleep(TEND_S)
        host.stop()
        self.world.kill(process)

    def start_client(self, name: str) -> Client:
        process = self._process(name)
        client = Client(self, name, process)
        self.clients.append(client)
        return client

    # -- fate ----------------------------------------------------------------------------------------------------

    def _direct(self) -> None:
        self._begin()
        self._trouble()
        self._become_calm()
        self._end()

    def _begin(self) -> None:
        self.start_directory()
        for number in range(self.dice.choice((1, 2, 2, 3))):
            self.start_host(f"host{number}")
        for number in range(self.dice.choice((1, 2, 3, 3))):
            client = self.start_client(f"client{number}")
            self.world.spawn(client.process, lambda client=client: client.work(self.dice.randint(5, self.steps)))

    def _trouble(self) -> None:
        while any(client.process.tasks for client in self.clients):
            self.world.sleep(self.dice.expovariate(1 / self._trouble_s))
            if self._troubles and any(client.process.tasks for client in self.clients):
                trouble = self.dice.choice(self._troubles)
                self.world.note(trouble)
                getattr(self, f"_trouble_{trouble}")()

    def _end(self) -> None:
        self.world.sleep(8.0)  # what is on its way arrives, who is dead is found to be, what is silent is undone
        prober = self.start_client("prober")
        self.world.spawn(prober.process, lambda: self._probe(prober))
        while prober.process.tasks:
            self.world.sleep(1.0)
        for process in self.hosts.values():
            if self.dice.random() < 0.5:
                process.is_leaving = True
            else:
                self.world.kill(process)
        self.world.sleep(3.0)
        for process in self.hosts.values():
            self.world.kill(process)

    def _become_calm(self) -> None:
        weather = self.weather
        weather.slow = weather.drop = weather.again = weather.death = weather.death_at_sync = weather.pause = 0.0
        self._is_calm = True
        self.network.cuts.clear()
        for name in list(self.hosts):
            self.hosts[name].paused_until_s = 0.0
            self._return(name)

    def _start_again(self, name: str) -> None:
        if not self.hosts[name].alive:
            if name == DIRECTORY:
                self.start_directory()
            else:
                self.start_host(name)

    def _probe(self, prober: Client) -> None:
        """Now that all is calm, everybody is answered."""
        for memory in self.memories:
            handle = prober.handle(memory)
            if handle is None:
                self.history.broken(f"nobody can connect to {memory}, though all is calm")
                return
            before = len(self.history.sent)
            prober.write(handle)
            if self.history.sent[before].outcome == "unknown":
                self.history.broken(f"nobody can write to {memory}, though all is calm")
            for sent in self.history.sent[:before]:
                if sent.memory == memory and sent.outcome == "unknown" and not sent.is_block:
                    prober.carry_out(handle, sent)
            prober.look(handle)
            prober.digest(handle)

    def _some_host(self) -> str:
        return self.dice.choice([name for name in self.hosts if name != DIRECTORY])

    def _trouble_host(self) -> None:
        name = self._some_host()
        self.world.kill(self.hosts[name])
        self.world.at(self.dice.uniform(0.1, 8.0), lambda: self._return_unless_calm(name))

    def _trouble_directory(self) -> None:
        self.world.kill(self.hosts[DIRECTORY])
        self.world.at(self.dice.uniform(0.1, 4.0), lambda: self._return_unless_calm(DIRECTORY))

    def _trouble_leave(self) -> None:
        if self.dice.random() < 0.5 and len(self.hosts) < 6:
            self.start_host(f"host{len(self.hosts)}")
        else:
            self._leave(self._some_host())

    def _leave(self, name: str) -> None:
        self.hosts[name].is_leaving = True
        self.world.at(self.dice.uniform(1.0, 8.0), lambda: self._return_unless_calm(name))

    def _trouble_sever(self) -> None:
        """A host goes on, and the directory hears nothing of it."""
        self._cut(frozenset((self._some_host(),)), frozenset((DIRECTORY,)))

    def _trouble_cut(self) -> None:
        names = [*self.hosts, *(client.name for client in self.clients)]
        one = frozenset(self.dice.sample(names, self.dice.randint(1, max(1, len(names) // 2))))
        others = frozenset(self.dice.sample(names, self.dice.randint(1, len(names)))) - one
        self._cut(one, others)

    def _cut(self, one: frozenset[str], others: frozenset[str]) -> None:
        cut = (one, others)
        self.network.cuts.append(cut)
        self.world.at(self.dice.uniform(0.3, 8.0), lambda: self._mend(cut))

    def _mend(self, cut: tuple[frozenset[str], frozenset[str]]) -> None:
        if cut in self.network.cuts:
            self.network.cuts.remove(cut)

    def _trouble_pause(self) -> None:
        self.hosts[self.dice.choice(list(self.hosts))].paused_until_s = self.world.now_s + self.dice.uniform(0.5, 9.0)

    def _trouble_power(self) -> None:
        if self.dice.random() < 0.5:
            return
        self.power_cuts += 1
        for name, process in self.hosts.items():
            self.world.kill(process)
            self.world.at(self.dice.uniform(0.1, 3.0), lambda name=name: self._return_unless_calm(name))
        self.disk.storage.lose_power(self.dice)

    def _trouble_client(self) -> None:
        if self.dice.random() < 0.2:
            self.world.kill(self.dice.choice(self.clients).process)

    def _trouble_overtake(self) -> None:
        """A host is not told of another one, which takes memories over from it and soon goes away."""
        self._trouble_sever()
        name = f"host{self.dice.randint(1, 6)}"
        if name in self.hosts:
            return
        self.start_host(name)
        self.world.at(self.dice.uniform(0.3, 2.0), lambda: self._leave(name))

    def _return_unless_calm(self, name: str) -> None:
        if not self._is_calm:
            self._return(name)

    def _return(self, name: str) -> None:
        if self.hosts[name].is_leaving:
            self.world.kill(self.hosts[name])
        self._start_again(name)

    # -- commands ------------------------------------------------------------------------------------------------

    def new_command(self, memory: str) -> cmd.Command:
        """Make a command that fits what is known to be there, most of the time."""
        dice, number = self.dice, self.number()
        names = self.names.setdefault(memory, [])
        some = dice.sample(names, min(2, len(names)))
        roll = dice.random()
        operation: Any
        if roll < 0.5 or len(some) < 2:
            added = [f"n{number}.{i}" for i in range(dice.choice((1, 1, 2)))]
            nodes = [ev.NodeAdded(id=name, content=f"content {number}") for name in added]
            names += added
            operation = cmd.AddNodes(nodes=nodes)
        elif roll < 0.65:
            operation = cmd.ReviseNodes(changes=[ev.NodeRevised(id=some[0], content=f"revised {number}")])
        elif roll < 0.8:
            operation = cmd.AddEdges(edges=ev.EdgesAdded(sources=some[:1], targets=some[1:]))
        elif roll < 0.92:
            operation = cmd.ReinforceNodes(ids=some, delta=0.25)
        else:
            operation = cmd.ForgetNodes(ids=some[:1])
        return cmd.Command(id=f"command {number}", operations=(operation,))

    # -- afterwards ----------------------------------------------------------------------------------------------

    def _is_repeated(self, command_id: str) -> bool:
        """Whether a command came to a host more than once, so that a later one may have been carried out."""
        name = command_id.encode()
        return sum(name in payload for payload in self.network.handled) > 1

    def _check(self, memory: str) -> None:
        disk = CalmDisk(self.disk.storage.copy())
        try:
            log = SegmentLog.open(f"{ROOT}/{memory}", disk=disk, create=False)
        except StoreNotFound:
            if self.history.newest(memory):
                self.history.broken(f"{memory} is gone")
            return
        except StoreError as error:
            self.history.broken(f"{memory} cannot be opened: {type(error).__name__}: {error}")
            return
        engine = LocalEngine(log)
        self.history.check(memory, engine)
        engine.close()


def _refresh_if_shared(log: SegmentLog, *, refresh: Callable[[SegmentLog], Head] = SegmentLog.refresh) -> Head:
    """Look for nothing new in a log that is ours alone, as a store over a network would not, each time it is read."""
    if log._locking.is_owned:
        log._open_tail()
        return log.head
    return refresh(log)


def _timed(scenario: FleetScenario) -> Callable[..., Any]:
    """Hold each call of a client against its deadline."""
    call_before = Caller.call

    def call(caller: Caller, call: Any, kind: Any, *, deadline_s: float | None = None, once: bool = False) -> Any:
        world = scenario.world
        begun_s, limit_s = world.now_s, caller.deadline_s if deadline_s is None else deadline_s
        try:
            return call_before(caller, call, kind, deadline_s=deadline_s, once=once)
        finally:
            took_s = world.now_s - begun_s
            if took_s > limit_s + LATE_S:
                scenario.history.broken(f"{type(call).__name__} took {took_s:.2f} s of {limit_s:g} s")

    return call


def _weather(dice: Random) -> Weather:
    """Choose how rough this run is: each kind of trouble is there in some runs and not in others."""

    def some(share: float, most: float) -> float:
        return dice.random() * most if dice.random() < share else 0.0

    return Weather(
        delay_s=dice.choice((0.0005, 0.005, 0.05)),
        slow=some(0.4, 0.2),
        drop=some(0.4, 0.2),
        again=some(0.6, 0.4),
        again_s=dice.choice((0.05, 1.0, 4.0)),
        switch=dice.choice((0.0, 0.05, 0.3)),
        death=some(0.4, 0.002),
        death_at_sync=some(0.3, 0.1),
        pause=some(0.3, 0.003),
    )
