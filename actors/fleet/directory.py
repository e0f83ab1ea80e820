"""``Directory``: which hosts are alive, and so which memory is whose. Soft state: nothing is lost with it.

It decides who tries to write; the epoch of a memory's store decides who does. Hosts beat; one that is silent for long,
or that a caller could not reach and that does not beat soon after, is taken to be dead. A directory that starts anew
takes the table that the first host tells of, and gives each host in it the time to beat.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from msgspec import structs

from memorygraph.actors.fleet import calls, wire
from memorygraph.actors.fleet.placement import Member, Table, require_name
from memorygraph.actors.fleet.steady import Steady
from memorygraph.events.errors import NotHosted

DEAD_S: Final = 5.0  # without a beat
SUSPECT_S: Final = 1.5  # without a beat since somebody could not reach it
START_VERSIONS: Final = 1000  # more than an earlier directory made and told nobody of who is still there
NO_HOSTS_S: Final = 0.2
NAME: Final = "directory"


class _Heard:
    """What is known of a host: when it was heard of, by when it must be heard of again, what it has awake."""

    def __init__(self, now_s: float, due_s: float) -> None:
        self.at_s = now_s
        self.due_s = due_s
        self.active: tuple[calls.Active, ...] = ()


class Directory:
    """Answers at the address ``directory``; safe to use from several threads.

    Args:
        dead_s: how long a host may be silent.
        suspect_s: how long it may be silent after somebody could not reach it.
    """

    def __init__(self, steady: Steady, *, dead_s: float = DEAD_S, suspect_s: float = SUSPECT_S) -> None:
        self._steady = steady
        self._dead_s = dead_s
        self._suspect_s = suspect_s
        self._lock = threading.Lock()
        self._table = Table()
        self._heard: dict[str, _Heard] = {}

    def handle(self, payload: bytes) -> bytes:
        """Answer a call."""
        try:
            call = wire.decode_directory_call(payload)
            with self._lock:
                now_s = self._steady.now_s()
                self._bury(now_s)
                return wire.success(NAME, self._answer(call, now_s))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to the caller
            return wire.failure(NAME, error)

    def _answer(self, call: calls.AnyDirectoryCall, now_s: float) -> Any:
        if isinstance(call, calls.GetStatus):
            return self._status(now_s)
        if isinstance(call, calls.Beat):
            self._beat(call, now_s)
        elif isinstance(call, calls.Leave):
            self._heard.pop(call.name, None)
            self._change(tuple(member for member in self._table.members if member.name != call.name))
        elif isinstance(call, calls.Suspect) and (heard := self._heard.get(call.name)) is not None:
            heard.due_s = min(heard.due_s, now_s + self._suspect_s)
        if not self._table.members and isinstance(call, calls.GetTable):
            raise NotHosted("no host has joined the fleet yet", retry_after_s=NO_HOSTS_S)
        return self._table

    def _beat(self, beat: calls.Beat, now_s: float) -> None:
        require_name("the name of a host", beat.member.name)
        if beat.known.version > self._table.version:  # an earlier directory's
            known = {member.name: member for member in (*beat.known.members, *self._table.members)}
            for name in known:
                self._heard.setdefault(name, _Heard(now_s, now_s + self._dead_s))
            self._table = structs.replace(self._table, version=beat.known.version + START_VERSIONS)
            self._change(tuple(known.values()))
        heard = self._heard[beat.member.name] = _Heard(now_s, now_s + self._dead_s)
        heard.active = beat.active
        if self._table.member(beat.member.name) != beat.member:
            others = tuple(member for member in self._table.members if member.name != beat.member.name)
            self._change((*others, beat.member))

    def _bury(self, now_s: float) -> None:
        """Take hosts out that were silent for too long."""
        dead = {name for name, heard in self._heard.items() if now_s > heard.due_s}
        for name in dead:
            del self._heard[name]
        if dead:
            self._change(tuple(member for member in self._table.members if member.name not in dead))

    def _change(self, members: tuple[Member, ...]) -> None:
        if members != self._table.members:
            by_name = tuple(sorted(members, key=lambda member: member.name))
            self._table = Table(self._table.version + 1, by_name)

    def _status(self, now_s: float) -> calls.FleetStatus:
        hosts = [
            calls.HostStatus(
                name=member.name,
                address=member.address,
                silent_s=now_s - self._heard[member.name].at_s,
                active=self._heard[member.name].active,
            )
            for member in self._table.members
        ]
        return calls.FleetStatus(version=self._table.version, hosts=tuple(hosts))
