"""The caller's side of a transaction at a host: its token, the number of its next call, what was recalled in it."""

from __future__ import annotations

from typing import Final

from memorygraph.actors.accesses import Accesses
from memorygraph.actors.fleet.calls import Step
from memorygraph.events.errors import MemoryGraphError, TimedOut, TransactionLost
from memorygraph.events.ports import IdSource


class Block:
    """One transaction, of one thread.

    Args:
        command_id: the id that the caller chose for its record, if any.
    """

    may_be_recorded: Final[tuple[type[MemoryGraphError], ...]] = (TransactionLost, TimedOut)
    """What the end of a transaction may raise that was carried out: its answer was lost."""

    def __init__(self, ids: IdSource, command_id: str | None) -> None:
        self.drawn_id = ids.command_id()
        self.command_id = command_id or self.drawn_id
        self.begun_at = 0
        self.accesses = Accesses()
        self._token = self.drawn_id
        self._number = -1

    def next(self) -> Step:
        """Return the next call's token and number."""
        self._number += 1
        return Step(self._token, self._number)

    def again(self) -> None:
        """Take the last number back: its call was refused."""
        self._number -= 1
