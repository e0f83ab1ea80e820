"""Clients of a simulated fleet: what they do on their memories, and what they hold their answers against at once."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from memorygraph.actors import commands as cmd
from memorygraph.actors.engine import Engine
from memorygraph.actors.fleet.calls import Founding
from memorygraph.actors.fleet.client import FleetEngine
from memorygraph.events.errors import (
    HostFailed,
    InputError,
    MemoryGraphError,
    Overloaded,
    TimedOut,
    TransactionConflict,
)
from tests.simulation.fleet_history import Seen, Sent
from tests.simulation.network import SimulatedAfter, SimulatedIds, SimulatedSteady, SimulatedTransport, arriving
from tests.simulation.world import Process

if TYPE_CHECKING:
    from tests.simulation.fleets import FleetScenario


class Undone(Exception):
    """What leaves a transaction that its client thinks better of."""


class Handle:
    """A client's handle of a memory, and the newest position that it was told."""

    def __init__(self, engine: FleetEngine) -> None:
        self.engine = engine
        self.told = 0

    def saw(self, position: int) -> None:
        self.told = max(self.told, position)


class Client:
    """One process that uses some memories."""

    def __init__(self, scenario: FleetScenario, name: str, process: Process) -> None:
        self.scenario = scenario
        self.name = name
        self.process = process
        self.history = scenario.history
        self.world = scenario.world
        self.dice = scenario.dice
        self.deadline_s = self.dice.choice((3.0, 8.0, 20.0))
        self.handles: dict[str, Handle] = {}

    def work(self, steps: int) -> None:
        """Do some things, one after the other."""
        for _ in range(steps):
            self.world.sleep(self.dice.expovariate(1 / self.scenario.pace_s))
            memory = self.dice.choice(self.scenario.memories)
            handle = self.handle(memory)
            if handle is not None:
                deeds = (self.write, self.write, self.write, self.again, self.look, self.look, self.look_back)
                more = (
                    self.transaction,
                    self.transaction,
                    self.digest,
                    self.recall,
                    self.hand_on,
                    self.begin_anew,
                    self.records,
                )
                self.dice.choice(deeds + more)(handle)

    def handle(self, memory: str) -> Handle | None:
        """Give the handle of a memory, connecting first if that is due; None: no host answered."""
        if memory not in self.handles:
            with self.answering("connect"):
                engine = FleetEngine(
                    memory,
                    SimulatedTransport(self.scenario.network, self.process),
                    founding=Founding(name=memory),
                    deadline_s=self.deadline_s,
                    steady=SimulatedSteady(self.scenario.network, self.process),
                    ids=SimulatedIds(self.scenario.network, self.process),
                    after=SimulatedAfter(self.scenario.network, self.process),
                )
                self.handles[memory] = Handle(engine)
        return self.handles.get(memory)

    @contextmanager
    def answering(self, what: str, sent: Sent | None = None) -> Iterator[None]:
        """Let calls be made, and hold how they fail against what is promised."""
        was_done = sent is not None and sent.outcome == "acknowledged"
        try:
            yield
        except HostFailed as error:
            self.history.broken(f"{self.name} wanted to {what}: {error}")
        except TimedOut:
            pass
        except (InputError, TransactionConflict, Overloaded) as error:
            if sent is None:
                self.history.broken(f"{self.name} wanted to {what}: {type(error).__name__}: {error}")
            else:
                self.history.refused(sent, error, was_done=was_done)
        except MemoryGraphError as error:
            self.history.broken(f"{self.name} wanted to {what}: {type(error).__name__}: {error}")

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, handle: Handle) -> None:
        """Send a new command."""
        sent = self.history.send(handle.engine.name, self.scenario.new_command(handle.engine.name))
        self.carry_out(handle, sent)

    def again(self, handle: Handle) -> None:
        """Send a command again, from whoever it was."""
        mine = [sent for sent in self.history.sent if sent.memory == handle.engine.name]
        known = [sent for sent in mine if not sent.why and not sent.is_block]
        if known:
            self.carry_out(handle, self.dice.choice(known))

    def carry_out(self, handle: Handle, sent: Sent) -> None:
        with self.answering(f"carry out {sent.command.id}", sent):
            receipt = handle.engine.execute(sent.command)
            self.history.acknowledged(sent, receipt.position)
            handle.saw(receipt.position)

    def transaction(self, handle: Handle) -> None:
        """Do several things as one."""
        parts = [self.scenario.new_command(handle.engine.name) for _ in range(self.dice.choice((1, 2, 3)))]
        operations = tuple(operation for part in parts for operation in part.operations)
        whole = cmd.Command(id=f"block {self.scenario.number()}", operations=operations)
        sent = self.history.send(handle.engine.name, whole)
        with suppress(Undone), self.answering(f"carry out {whole.id}", sent):
            self._transact(handle, sent, parts)
            self.history.acknowledged(sent)

    def _transact(self, handle: Handle, sent: Sent, parts: list[cmd.Command]) -> None:
        is_ending = False
        try:
            with handle.engine.transaction(command_id=sent.command.id):
                for part in parts:
                    handle.engine.execute(part)
                    if self.dice.random() < 0.3:
                        self.world.sleep(self.dice.expovariate(1.0))
                self._look_inside(handle, parts)
                if self.dice.random() < 0.15:
                    raise Undone  # noqa: TRY301 - as a client's own code would
                is_ending = True
        except (Undone, TimedOut) as error:
            if not is_ending:
                self.history.refused(sent, error)
            raise

    def _look_inside(self, handle: Handle, parts: list[cmd.Command]) -> None:
        """What was added in a block is seen in it."""
        operations = [operation for part in parts for operation in part.operations]
        added = [node.id for operation in operations if isinstance(operation, cmd.AddNodes) for node in operation.nodes]
        gone = {name for operation in operations if isinstance(operation, cmd.ForgetNodes) for name in operation.ids}
        if added:
            found = handle.engine.ask(cmd.GetNodes(ids=added)).value
            lost = [name for name, node in zip(added, found, strict=True) if node is None and name not in gone]
            if lost:
                self.history.broken(f"{self.name} added {lost} in a transaction, and does not see it there")

    # -- reading -------------------------------------------------------------------------------------------------

    def ask(self, engine: Engine, handle: Handle, query: cmd.Query, *, is_live: bool = True) -> cmd.Answer:
        due, told = self.history.due(handle.engine.name), handle.told
        answer = engine.ask(query)
        if is_live:
            if answer.position < told:
                self.history.broken(f"{self.name} was at {told}, and is answered at {answer.position}")
            if answer.position < due:
                self.history.broken(f"{self.name} is answered at {answer.position} a second after {due} was told")
            handle.saw(answer.position)
        return answer

    def look(self, handle: Handle) -> None:
        """See some nodes, or all."""
        with self.answering("look"):
            self._see(handle.engine, handle)

    def _see(self, engine: Engine, handle: Handle, *, is_live: bool = True) -> None:
        memory = handle.engine.name
        names = self.scenario.names.get(memory, [])
        if self.dice.random() < 0.2 or not names:
            answer = self.ask(engine, handle, cmd.FindNodes(), is_live=is_live)
            ids = None
        else:
            ids = self.dice.sample(names, min(3, len(names)))
            answer = self.ask(engine, handle, cmd.GetNodes(ids=ids), is_live=is_live)
        contents = [None if node is None else node.content for node in answer.value]
        self.history.seen.append(Seen(self.name, memory, answer.position, ids, contents))

    def look_back(self, handle: Handle) -> None:
        """See some nodes at a position, again and again."""
        with self.answering("look back"):
            told = handle.told
            if told and self.dice.random() < 0.5:
                view = handle.engine.at(self.dice.randint(1, told))
            else:
                view = handle.engine.pinned()
                if (position := view.ask(cmd.Describe()).position) < told:
                    self.history.broken(f"{self.name} was at {told}, and is given a view of {position}")
            position = view.ask(cmd.Describe()).position
            if self.dice.random() < 0.5:
                self.write(handle)
            for _ in range(2):
                self._see(view, handle, is_live=False)
                if self.history.seen[-1].position != position:
                    self.history.broken(f"a view of {position} is answered at {self.history.seen[-1].position}")
                self.world.sleep(self.dice.expovariate(1.0))

    def digest(self, handle: Handle) -> None:
        """Hear the digest of the newest position."""
        with self.answering("hear the digest"):
            answer = self.ask(handle.engine, handle, cmd.Digest())
            self.history.saw_digest(handle.engine.name, answer.position, answer.value)

    def records(self, handle: Handle) -> None:
        """Read the log."""
        with self.answering("read records"):
            told = handle.told
            read = [(committed.position, committed.command_id) for committed in handle.engine.read(1)]
            self.history.read_records(handle.engine.name, read)
            if len(read) < told:
                self.history.broken(f"{self.name} was at {told}, and reads {len(read)} records")

    def recall(self, handle: Handle) -> None:
        """Have some nodes count as recalled."""
        names = self.scenario.names.get(handle.engine.name, [])[-3:]
        handle.engine.accessed(names, 1_700_000_000_000_000)
        if self.dice.random() < 0.5:
            with self.answering("flush"):
                handle.engine.flush()

    def begin_anew(self, handle: Handle) -> None:
        """Let go of the handle: the next one asks the directory."""
        self.handles.pop(handle.engine.name, None)

    def hand_on(self, handle: Handle) -> None:
        """Give the handle to another client, as it travels."""
        other = self.dice.choice(self.scenario.clients)
        with arriving(self.scenario.network, other.process):
            engine = pickle.loads(pickle.dumps(handle.engine))  # noqa: S301 - our own bytes
        given = Handle(engine)
        given.told = handle.told
        other.handles[handle.engine.name] = given
