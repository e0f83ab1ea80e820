"""A seed's run with whole memories: engines that carry out commands, take snapshots, fail, die and repeat themselves.

The model is the list of commands with what their senders were told. Afterwards each acknowledged command is in the log
once, at the position that was told, and the state equals a replay of the records in an engine that knows no disk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from msgspec import Struct

from memorygraph.actors import commands as cmd
from memorygraph.actors.compaction import RetentionPolicy
from memorygraph.actors.local import LocalEngine
from memorygraph.events import records as ev
from memorygraph.events.errors import DamagedLog, InputError, LogFailed, MemoryGraphError, StoreError
from memorygraph.events.stores import MemoryLog
from tests.simulation.machine import CalmDisk, Disk
from tests.simulation.scenario import MEMORY_ID, Scenario

HOUR_US = 3_600_000_000
EVERYTHING = RetentionPolicy(keep_accesses=timedelta(0), keep_forgotten=timedelta(0))
STEPS_US = (-HOUR_US, HOUR_US)  # longer ones pass the time for which command ids are known


class Clock:
    """A clock that may stand still, and go back or forward by an hour."""

    notes = ()

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._time_us = 1_700_000_000_000_000
        self._is_rough = dice.random() < 0.3

    def now_us(self) -> int:
        if self._is_rough and self._dice.random() < 0.05:
            self._time_us += self._dice.choice(STEPS_US)
        self._time_us += self._dice.choice((0, 1, 1000))
        return self._time_us


class Ids:
    """Ids in order."""

    def __init__(self) -> None:
        self._count = itertools.count()

    def node_id(self) -> str:
        return f"node{next(self._count)}"

    def command_id(self) -> str:
        return f"own{next(self._count)}"


class Sent(Struct):
    """A command and where its sender was told that it is (0: not known)."""

    command: cmd.Command
    position: int = 0


class MemoryScenario(Scenario):
    """One seed at work on whole memories."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.clock = Clock(self.dice)
        self.ids = Ids()
        self.sent: list[Sent] = []
        self.compactions = 0
        self.digests: dict[int, str] = {}  # as engines told them, by position

    @property
    def attempts(self) -> int:
        return len(self.sent)

    @property
    def acknowledged(self) -> int:
        return sum(sent.position > 0 for sent in self.sent)

    def engine(self, disk: Disk, **options: bool) -> LocalEngine:
        return LocalEngine(self.open(disk, **options), clock=self.clock, ids=self.ids)

    def _writer(self, name: str, appends: int) -> Callable[[Disk], None]:
        def program(disk: Disk) -> None:
            engine, failures = None, 0
            for _ in range(appends):
                try:
                    if engine is None:
                        engine = self.engine(disk, takeover=self.dice.random() < self.takeovers)
                    self._carry_out(engine)
                    self._look(engine)
                except DamagedLog as error:
                    self.found_damage(name, error)
                    return
                except InputError:
                    continue  # the command no longer fits what others did
                except LogFailed:
                    engine, failures = None, failures + 1
                except MemoryGraphError:
                    failures += 1
                if engine is not None and self.dice.random() < 0.1:
                    self._close(engine)
                    engine = None
                if failures > 8:
                    return

        return program

    def _reader(self, name: str, looks: int) -> Callable[[Disk], None]:
        def program(disk: Disk) -> None:
            engine = None
            for _ in range(looks):
                try:
                    engine = engine or self.engine(disk, read_only=True)
                    self._look(engine)
                except DamagedLog as error:
                    self.found_damage(name, error)
                    return
                except LogFailed as error:
                    self.history.broken(f"{name} was shown what its writer took back: {error}")
                except StoreError:
                    engine = None

        return program

    def _carry_out(self, engine: LocalEngine) -> None:
        """Send a new command, or an old one whose answer was lost or is to be heard again."""
        dice = self.dice
        sent = dice.choice(self.sent) if self.sent and dice.random() < 0.3 else self._new_command(engine)
        receipt = engine.execute(sent.command)
        if sent.position and receipt.position != sent.position:
            self.history.broken(f"{sent.command.id} was at {sent.position}, and is now at {receipt.position}")
        sent.position = receipt.position
        if dice.random() < 0.1:
            engine.snapshot()
        self._recall(engine)
        if dice.random() < 0.1:
            self._compact(engine)

    def _recall(self, engine: LocalEngine) -> None:
        """Have some nodes count as recalled, durably or not."""
        live = [state.id for state in engine.ask(cmd.FindNodes()).value]
        engine.accessed(live[:2], self.clock.now_us())
        if self.dice.random() < 0.5:
            engine.flush()

    def _compact(self, engine: LocalEngine) -> None:
        """Have replaced what may go; whoever dies at it leaves the rest to the next one."""
        try:
            engine.compact(EVERYTHING)
        except LogFailed:
            raise
        except StoreError as error:
            if "Please report" in error.message:
                self.history.broken(error.message)

    def _look(self, engine: LocalEngine) -> None:
        if self.dice.random() < 0.3:
            answer = engine.ask(cmd.Digest())
            if self.digests.setdefault(answer.position, answer.value) != answer.value:
                self.history.broken(f"two engines tell two digests of position {answer.position}")

    def _close(self, engine: LocalEngine) -> None:
        try:
            engine.close()
        except StoreError as error:
            self.history.broken(f"closing failed: {error}")

    def _new_command(self, engine: LocalEngine) -> Sent:
        dice = self.dice
        live = [state.id for state in engine.ask(cmd.FindNodes()).value]
        names = dice.sample(live, min(len(live), 2))
        number = len(self.sent)
        added = cmd.AddNodes(
            nodes=[
                ev.NodeAdded(id=f"n{number}.{i}", content=f"content {number} " + "x" * dice.choice((0, 40, 900)))
                for i in range(dice.choice((1, 1, 3)))
            ]
        )
        operations: list[Any] = [added]
        if len(names) == 2 and dice.random() < 0.6:
            operations = dice.choice(
                (
                    [added, cmd.AddEdges(edges=ev.EdgesAdded(sources=names[:1], targets=names[1:]))],
                    [cmd.ReviseNodes(changes=[ev.NodeRevised(id=names[0], content=f"revised {number}")])],
                    [cmd.ReinforceNodes(ids=names, delta=dice.random())],
                    [cmd.ForgetNodes(ids=names[:1])],
                )
            )
        sent = Sent(cmd.Command(id=f"command {number}", operations=tuple(operations)))
        self.sent.append(sent)
        return sent

    def check(self) -> None:
        """Open a copy of what is on the disk, compare it, and go on writing."""
        try:
            engine = self.engine(CalmDisk(self.machine.storage.copy()))
            self._check_commands(engine)
            self._check_state(engine)
            engine.execute(cmd.Command(id="goes on", operations=(cmd.AddNodes(nodes=[ev.NodeAdded(id="last")]),)))
            engine.close()
        except StoreError as error:
            self.history.broken(f"the memory cannot be used: {type(error).__name__}: {error}")

    def _check_commands(self, engine: LocalEngine) -> None:
        if engine.read_only or not engine.verify().whole:
            self.history.broken(f"the memory is damaged: {engine.notes} {engine.verify().damage}")
        places: dict[str, list[int]] = {}
        for committed in engine.read(1):
            places.setdefault(committed.command_id, []).append(committed.position)
        for sent in self.sent:
            found = places.pop(sent.command.id, [])
            if len(found) > 1:
                self.history.broken(f"{sent.command.id} was carried out twice, at {found}")
            if sent.position and found != [sent.position]:
                self.history.broken(f"{sent.command.id} was acknowledged at {sent.position}, and is at {found}")
        others = [
            name for name in places if name and not name.startswith("own")
        ]  # those replaced by their hash have none
        if others:
            self.history.broken(f"nobody sent {others[0]}")

    def _first_that_is_whole(self, engine: LocalEngine) -> int:
        """Give the position from which on views are what they were: behind the last word of a compaction."""
        told = [
            committed.position
            for committed in engine.read(1)
            if committed.events and isinstance(committed.events[-1], ev.RecordsReplaced)
        ]
        self.compactions += len(told)
        return max(told, default=0)

    def _check_state(self, engine: LocalEngine) -> None:
        model_log = MemoryLog(MEMORY_ID)
        frames = list(engine.frames())
        first = self._first_that_is_whole(engine)
        told = {at: digest for at, digest in self.digests.items() if first <= at <= engine.head().position}
        for frame in frames:
            with model_log.lock():
                model_log.adopt(frame)
        model = LocalEngine(model_log, clock=self.clock, ids=self.ids)
        for position, digest in sorted(told.items()):
            if model.at(position).ask(cmd.Digest()).value != digest:
                self.history.broken(f"the digest that was told of position {position} is not that of its records")
        if model.ask(cmd.Digest()).value != engine.ask(cmd.Digest()).value:
            self.history.broken("the state is not a replay of the records")
        lost = [position for position in self.digests if position > engine.head().position]
        if lost and not self.power_cuts:
            self.history.broken(f"position {lost[0]} was shown, and is gone")
