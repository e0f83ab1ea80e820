"""A seed's run in which a host is overtaken, at the worst moment, which chance alone would rarely find.

The host cannot hear the directory, and does not know that another one has its memory now. While it is still asked by
who knows no better, others write at the new host; which may then leave, so that they, too, come back to the old one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from memorygraph.actors.fleet.host import Host
from memorygraph.actors.fleet.placement import Member, Table
from memorygraph.actors.fleet.transport import DIRECTORY
from tests.simulation.clients import Client
from tests.simulation.fleets import FleetScenario

OLD, MEMORY = "host0", "m0"
TRIES = 200


class OvertakingScenario(FleetScenario):
    """One seed at work."""

    def __init__(self, seed: int, weather: Mapping[str, float]) -> None:
        super().__init__(seed, weather)
        self.memories = [MEMORY]
        self._looks = False
        self._dead_s = self.dice.choice((2.5, 5.0))  # so that the directory still counts on the old host
        self.weather.delay_s = 0.0005  # all of it has to happen within a second
        self.weather.drop = self.dice.choice((0.0, 0.0, 0.0, 0.2))
        self.weather.slow = self.weather.pause = 0.0
        self.weather.death = self.weather.death_at_sync = 0.0

    def _begin(self) -> None:
        self.start_directory()
        self.start_host(OLD)
        self.world.sleep(0.1)
        writer, reader = self.start_client("client0"), self.start_client("client1")
        for client in (writer, reader):
            self.world.spawn(client.process, lambda client=client: client.handle(MEMORY))
        self.world.sleep(0.5)
        self.world.spawn(reader.process, lambda: self._read(reader))
        self.world.sleep(self.dice.uniform(0.0, 1.0))
        cut = frozenset((OLD,)), frozenset((DIRECTORY,))
        self.network.cuts.append(cut)
        self.world.at(6.0, lambda: self._mend(cut))
        new = self.start_host(self._new_owner())
        self.world.spawn(writer.process, lambda: self._write(writer, new))
        self.world.sleep(self.dice.choice((1.0, 4.0)))

    def _go(self, host: Host) -> None:
        """The new host leaves, and the old one can hear again: that the memory is its own, as it always was."""
        if self.dice.random() < 0.8:
            self.network.cuts.clear()
        self.hosts[host.name].is_leaving = True
        self.world.spawn(self.hosts[host.name], host.stop)

    def _new_owner(self) -> str:
        names = (f"host{number}" for number in itertools.count(1))
        tables = ((name, Table(0, (Member(OLD, ""), Member(name, "")))) for name in names)
        return next(name for name, table in tables if table.owner(MEMORY).name == name)

    def _read(self, reader: Client) -> None:
        """Ask the old host again and again."""
        for _ in range(TRIES):
            self.world.sleep(0.03)
            if handle := reader.handle(MEMORY):
                reader.look(handle)

    def _write(self, writer: Client, new: Host) -> None:
        """Write where the directory says, until that is the new host; then see that."""
        for _ in range(TRIES):
            writer.handles.clear()
            if handle := writer.handle(MEMORY):
                self.dice.choice((writer.write, writer.write, writer.transaction))(handle)
                owner = handle.engine._caller._table.owner(MEMORY)
                if owner is not None and owner.name == new.name:
                    break
            self.world.sleep(0.02)
        if self.dice.random() < 0.7:
            self.world.at(self.dice.choice((0.0, 0.1, 0.3)) * self.dice.random(), lambda: self._go(new))
        deeds = self.dice.choice(((writer.look,), (writer.look, writer.write, writer.transaction, writer.records)))
        for _ in range(10 if handle else 0):
            self.world.sleep(0.02)
            self.dice.choice(deeds)(handle)
