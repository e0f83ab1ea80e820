"""A decided command on its way into the log, and what became of one that is there."""

from __future__ import annotations

from memorygraph.actors.command_table import Seen
from memorygraph.actors.commands import Command, Receipt
from memorygraph.actors.proposal import Proposal
from memorygraph.actors.touches import touched_by
from memorygraph.events.errors import BatchTooLarge, CommandExpired, CommandIdReused, MemoryGraphError
from memorygraph.events.log import EventLog
from memorygraph.events.records import Record, decode_record, encode_record, pack_event, unpack_event
from memorygraph.events.types import LIMITS


class Ticket:
    """A proposal waiting for its commit, and what became of it.

    Raises:
        BatchTooLarge: its record is above the limit.
    """

    def __init__(self, command: Command, proposal: Proposal, time_us: int) -> None:
        self.command = command
        self.body_hash = command.body_hash()
        self.proposal = proposal
        self.time_us = time_us
        events = tuple([pack_event(event) for event in proposal.events])
        self.data = encode_record(
            Record(command.id, self.body_hash, command.principal, command.provenance, time_us, 0, None, "", events)
        )
        if len(self.data) > LIMITS.command_bytes_max:
            raise BatchTooLarge(
                f"the command takes {len(self.data)} bytes, more than {LIMITS.command_bytes_max}; split it",
                size_bytes=len(self.data),
            )
        self.touched = touched_by(proposal.events)
        self.done = False
        self.position: int | None = None  # accepted, here
        self.conflict: str | None = None
        self.error: MemoryGraphError | None = None

    def is_at(self, position: int, log: EventLog) -> bool:
        """Whether the record at a position is this one, and not one of the same id that somebody else wrote."""
        return next(log.read(position, position)).data == self.data


def first_result(log: EventLog, command: Command, seen: Seen) -> Receipt:
    """Give the first result of a command again, from the log.

    Raises:
        CommandIdReused: its id was used for another body.
        CommandExpired: its record was replaced by its hash, so its result is no longer known.
    """
    position = seen.position
    entry = next(log.read(position, position))
    record = None if entry.data is None else decode_record(entry.data, position)
    body_hash = command.body_hash()
    if record is not None and not record.body_hash:
        body_hash = b""  # the id was drawn for that command: who has it, has it from us
    if not (seen.is_of(body_hash) if record is None else record.body_hash == body_hash):
        raise CommandIdReused(
            f"command id {command.id!r} was used at position {position} for something else; use a new id",
            command_id=command.id,
            position=position,
        )
    if record is None:
        raise CommandExpired(
            f"command {command.id!r} was carried out at position {position}; compaction has let go of its "
            "result since, and nothing is done again",
            command_id=command.id,
            position=position,
        )
    events = tuple(unpack_event(packed, position) for packed in record.events)
    return Receipt(position, record.time_us, events, replayed=True)
