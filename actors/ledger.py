"""The ledger: says whether a proposal still holds. A resolver with small state, not a second graph.

It keeps the last position that touched each recently touched id, and the table of recent commands. A proposal made at
position r is accepted if none of its reads was touched after r, and no edge added to the nodes whose edges it rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Self

from memorygraph.actors.command_table import HEADER_BYTES, ROW_BYTES, CommandTable, Seen
from memorygraph.actors.proposal import Proposal, linked_by, linked_since
from memorygraph.actors.ticket import Ticket
from memorygraph.events.errors import CommandExpired, CommandIdReused
from memorygraph.projections.frame import Frame
from memorygraph.projections.snapshot_format import Part

RECENT_IDS_MAX: Final = 100_000
PART_VERSION: Final = "commands 1"
_BLOCK_ROWS: Final = 16_384


class Ledger:
    """Recent touches and commands of one memory. One thread at a time takes note; any may look for a command."""

    def __init__(self) -> None:
        self._touched: dict[str, int] = {}
        self._newest = 0  # the position of the last touch
        self._floor = 0  # touches at or before this position are no longer known
        self._commands = CommandTable()

    @property
    def position(self) -> int:
        """The position of the last record that was noted."""
        return self._commands.next_position - 1

    def find(self, command_id: str) -> Seen | None:
        """Return where a command was carried out, None if it is not known (any more)."""
        return self._commands.find(command_id)

    def require_new(self, command_id: str) -> None:
        """Refuse the id of a transaction that is known: its block would not come to the first result.

        Raises:
            CommandIdReused: it was carried out.
        """
        seen = self.find(command_id)
        if seen is not None:
            raise CommandIdReused(
                f"the transaction {command_id!r} was carried out before, at position {seen.position}; there is nothing "
                "to do",
                command_id=command_id,
                position=seen.position,
            )

    def require_young(self, command_id: str, now_us: int) -> None:
        """Refuse an id that is not known and too old to tell if it was.

        Raises:
            CommandExpired: it is.
        """
        if self.is_expired(command_id, now_us):
            raise CommandExpired(
                f"command id {command_id!r} is too old: whether it was carried out is known for 24 hours and for a "
                "million commands; nothing was written. If its effect is not there, send it with a new id",
                command_id=command_id,
            )

    def is_expired(self, command_id: str, now_us: int) -> bool:
        """Whether an id that is not known is too old to tell if it was."""
        return self._commands.is_expired(command_id, now_us)

    def conflict(self, proposal: Proposal) -> str | None:
        """Return an id that was touched since the proposal was made (or '' if that is not known), None if it holds."""
        if proposal.position >= self._newest:
            return None
        if proposal.position < self._floor:
            return ""
        touched = self._touched
        return next((key for key in proposal.reads if touched.get(key, 0) > proposal.position), None)

    def accepted(self, tickets: list[Ticket], frame: Frame) -> list[Ticket]:
        """Resolve in order of arrival; what one ticket touches, the next ones of the group may have read.

        Args:
            frame: of the last position that was noted.
        """
        accepted: list[Ticket] = []
        ids: set[str] = set()
        touched: set[str] = set()
        for ticket in tickets:
            ticket.conflict = self.conflict(ticket.proposal)
            if ticket.conflict is None and touched:
                ticket.conflict = next(filter(touched.__contains__, ticket.proposal.reads), None)
            edges_of = ticket.proposal.edges_of
            if ticket.conflict is None and edges_of:
                earlier = [before.proposal for before in accepted]
                ticket.conflict = linked_since(frame, ticket.proposal) or linked_by(earlier, edges_of)
            repeated = ticket.command.id in ids or self.find(ticket.command.id) is not None
            if ticket.conflict is None and not repeated:
                accepted.append(ticket)
                if len(tickets) > 1:
                    ids.add(ticket.command.id)
                    touched.update(ticket.touched)
        return accepted

    def recorded(
        self, position: int, command_id: str, body_hash: bytes, time_us: int, touched: Iterable[str] = ()
    ) -> None:
        """Take note of the next record: its command and the ids that it touched."""
        self._commands.add(position, command_id, body_hash, time_us)
        self._newest = position
        self._touched.update(dict.fromkeys(touched, position))
        if len(self._touched) > RECENT_IDS_MAX:
            self._touched.clear()
            self._floor = position

    def replayed(self, position: int, command_id: str, body_hash: bytes, time_us: int) -> None:
        """Take note of a record from before this ledger started; no proposal is older."""
        self._commands.add(position, command_id, body_hash, time_us)
        self._floor = self._newest = position

    def dump(self) -> bytes:
        """Return the command table as bytes: a function of the log up to its last position."""
        return self._commands.dump()

    def part(self) -> Part:
        """Return what a snapshot keeps: the dump, its rows in blocks of positions, which do not change once full."""
        first, data = self._commands.first_position, memoryview(self.dump())
        following = first + (len(data) - HEADER_BYTES) // ROW_BYTES
        blobs: dict[str, Callable[[], bytes]] = {f"{0:020d}-{following:020d}": partial(bytes, data[:HEADER_BYTES])}
        while first < following:
            stop = min((first // _BLOCK_ROWS + 1) * _BLOCK_ROWS, following)
            rows = data[len(data) - (following - first) * ROW_BYTES :][: (stop - first) * ROW_BYTES]
            blobs[f"{first:020d}-{stop:020d}"] = partial(bytes, rows)
            first = stop
        return Part(PART_VERSION, following - 1, blobs)

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """Return a ledger that goes on where ``dump`` was taken; no proposal is older.

        Raises:
            DamagedLog: the bytes are something else.
        """
        ledger = cls()
        ledger._commands = CommandTable.restore(data)
        ledger._floor = ledger._newest = ledger.position
        return ledger

    def size_bytes(self) -> int:
        """Return the bytes of the command table."""
        return self._commands.size_bytes()
