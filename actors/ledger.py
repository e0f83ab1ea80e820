"""The ledger: says whether a proposal still holds. A resolver with small state, not a second graph.

It keeps the last position that touched each recently touched id, and the position of every command id. A proposal made
at position r is accepted if none of its reads was touched after r.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from memorygraph.actors.decide import Proposal

RECENT_IDS_MAX: Final = 100_000


class Ledger:
    """Recent touches and command ids of one memory; used by one thread at a time."""

    def __init__(self) -> None:
        self._touched: dict[str, int] = {}
        self._newest = 0  # the position of the last touch
        self._floor = 0  # touches at or before this position are no longer known
        self._commands: dict[str, int] = {}

    def position_of(self, command_id: str) -> int | None:
        """Return the position of the record that a command made, or None if it is new."""
        return self._commands.get(command_id)

    def conflict(self, proposal: Proposal) -> str | None:
        """Return an id that was touched since the proposal was made (or '' if that is not known), None if it holds."""
        if proposal.position >= self._newest:
            return None
        if proposal.position < self._floor:
            return ""
        touched = self._touched
        return next((key for key in proposal.reads if touched.get(key, 0) > proposal.position), None)

    def recorded(self, command_id: str, position: int, touched: Iterable[str] = ()) -> None:
        """Take note of a record: its command and the ids that it touched."""
        self._commands[command_id] = position
        self._newest = position
        self._touched.update(dict.fromkeys(touched, position))
        if len(self._touched) > RECENT_IDS_MAX:
            self._touched.clear()
            self._floor = position

    def replayed(self, command_id: str, position: int) -> None:
        """Take note of a record from before this ledger started; no proposal is older."""
        self._commands[command_id] = position
        self._floor = self._newest = position
