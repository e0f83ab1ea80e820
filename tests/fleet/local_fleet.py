"""A fleet in this process, over ``LocalTransport``; each host is tended when told to."""

from __future__ import annotations

from typing import Any

from memorygraph.actors.fleet.calls import Founding
from memorygraph.actors.fleet.client import FleetEngine
from memorygraph.actors.fleet.directory import Directory
from memorygraph.actors.fleet.host import Host
from memorygraph.actors.fleet.steady import SystemSteady
from memorygraph.actors.fleet.stores import SegmentStores
from memorygraph.actors.fleet.transport import DIRECTORY, LocalTransport


class LocalFleet:
    def __init__(
        self,
        root,
        hosts: int = 2,
        steady: Any = None,
        dead_s: float = 1e9,
        transport: LocalTransport | None = None,
        **outside: Any,
    ) -> None:
        self.root = root
        self.steady = steady or SystemSteady()
        self.transport = transport or LocalTransport()
        self.outside = outside  # clock, ids
        self.directory = Directory(self.steady, dead_s=dead_s)
        self.transport.serve(DIRECTORY, self.directory)
        self.hosts: dict[str, Host] = {}
        for number in range(hosts):
            self.start(f"host{number}")

    def start(self, name: str, **options: Any) -> Host:
        stores = SegmentStores(self.root, **self.outside)
        host = Host(name, f"at-{name}", stores, self.transport, self.steady, **options)
        self.hosts[name] = host
        self.transport.serve(host.member.address, host)
        host.beat()
        return host

    def tend(self) -> None:
        for host in self.hosts.values():
            host.tend()

    def crash(self, name: str) -> None:
        """A host is gone without a word; what it had open is closed, as the system does for a process."""
        host = self.hosts.pop(name)
        self.transport.serve(host.member.address, None)
        for one in host._all():
            if one.opened is not None:
                one.opened.log.close()

    def connect(self, memory: str = "m", **options: Any) -> FleetEngine:
        options.setdefault("founding", Founding(name=memory))
        options.setdefault("steady", self.steady)
        return FleetEngine(memory, self.transport, **options)

    def owner(self, memory: str = "m") -> Host:
        return self.hosts[self.directory._table.owner(memory).name]

    def stop(self) -> None:
        for host in self.hosts.values():
            host.stop()
