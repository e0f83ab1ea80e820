"""``Caller``: finds the host of one memory and calls it, again and again until the deadline; can be pickled.

Whoever does not answer, or does not have the memory any more, is asked no longer: the directory says who has it now. A
call that is repeated may be carried out twice, so each that changes something is known by an id at the other end.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from msgspec import structs

from memorygraph.actors.fleet import calls, wire
from memorygraph.actors.fleet.placement import Table, require_name
from memorygraph.actors.fleet.steady import Steady, SystemSteady
from memorygraph.actors.fleet.transport import CONTROL, DIRECTORY, Transport
from memorygraph.events.errors import FleetError, HostFailed, NotHosted, TimedOut, Unreachable

DEADLINE_S: Final = 30.0
ATTEMPT_S: Final = 10.0  # of one attempt; then somebody else may have the memory
DIRECTORY_S: Final = 1.0  # of a question to the directory that one can go on without
SENT_S: Final = 0.001
BACK_OFF_S: Final = 0.02  # doubles with each attempt
BACK_OFF_MAX_S: Final = 0.5


class Caller:
    """Calls the host of a memory.

    Args:
        deadline_s: how long a call may take in all, unless it says otherwise.
        jitter: gives 0..1 to lengthen pauses by, so that many callers do not come back together; random by default.
    """

    def __init__(
        self,
        memory: str,
        transport: Transport,
        *,
        deadline_s: float = DEADLINE_S,
        steady: Steady | None = None,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        self.memory = require_name("the name of a memory", memory)
        self.deadline_s = deadline_s
        self.steady = steady or SystemSteady()
        self._transport = transport
        self._jitter = jitter
        self._table = Table()

    def call(self, call: calls.HostCall, kind: Any, *, deadline_s: float | None = None, once: bool = False) -> Any:
        """Return what the memory's host answers.

        Args:
            kind: the type of the answer.
            deadline_s: how long it may take; such a call is given all of it at once.
            once: the call may take that long, so a silent host is not given up before.

        Raises:
            TimedOut: there was no answer in time.
            MemoryGraphError: what the host says is wrong.
        """
        limit_s = self.deadline_s if deadline_s is None else deadline_s
        end_s = self.steady.now_s() + limit_s
        back_off_s, last = BACK_OFF_S, "nobody was asked"
        while True:
            try:
                return self._attempt(call, kind, end_s, limit_s if once else ATTEMPT_S)
            except (NotHosted, Unreachable, TimedOut) as error:
                last = error.message
                pause_s = float(error.about.get("retry_after_s", back_off_s))
            pause_s *= 0.5 + (self._jitter or random.random)()
            if self.steady.now_s() + pause_s >= end_s:
                raise self._timed_out(call, limit_s, last)
            self.steady.sleep(pause_s)
            back_off_s = min(2 * back_off_s, BACK_OFF_MAX_S)
            self._look_up(end_s)

    def _attempt(self, call: calls.HostCall, kind: Any, end_s: float, attempt_s: float) -> Any:
        if not self._table.members:
            self._table = self._ask_directory(calls.GetTable(), self._left_s(end_s, attempt_s))
        owner = self._table.owner(self.memory)
        if owner is None:
            raise NotHosted("the fleet has no host", memory=self.memory)
        payload = wire.encode(structs.replace(call, memory=self.memory, table=self._table.version))
        try:
            reply = self._transport.call(owner.address, call.lane, payload, self._left_s(end_s, attempt_s))
        except (Unreachable, TimedOut) as error:
            self._suspect(owner.name, end_s)
            raise type(error)(f"host {owner.name!r}: {error.message}", **error.about) from None
        return wire.result(reply, kind, where=f"memory {self.memory!r}")

    def _left_s(self, end_s: float, most_s: float) -> float:
        """Return how long a call may take: what is left, but long enough to be sent at all."""
        return min(most_s, max(SENT_S, end_s - self.steady.now_s()))

    def _suspect(self, host: str, end_s: float) -> None:
        try:
            self._table = self._ask_directory(calls.Suspect(name=host), self._left_s(end_s, DIRECTORY_S))
        except (FleetError, HostFailed):
            return

    def _look_up(self, end_s: float) -> None:
        """Ask the directory who is alive; without one, go on with what is known."""
        try:
            found = self._ask_directory(calls.GetTable(), self._left_s(end_s, DIRECTORY_S))
        except FleetError:
            return
        self._table = found

    def _ask_directory(self, call: calls.AnyDirectoryCall, deadline_s: float) -> Table:
        reply = self._transport.call(DIRECTORY, CONTROL, wire.encode(call), deadline_s)
        table: Table = wire.result(reply, Table, where="the directory")
        return table

    def _timed_out(self, call: calls.HostCall, limit_s: float, last: str) -> TimedOut:
        owner = self._table.owner(self.memory)
        host = "" if owner is None else owner.name
        what = type(call).__name__
        return TimedOut(
            f"memory {self.memory!r}: no answer to {what} in {limit_s:g} s (last: {last}); if it writes, it may have "
            "been carried out, and is safe to send again under its command id",
            memory=self.memory,
            host=host,
            last=last,
        )
