"""A decided command on its way into the log."""

from __future__ import annotations

from memorygraph.actors.commands import Command
from memorygraph.actors.decide import Proposal
from memorygraph.actors.touches import touched_by
from memorygraph.events.errors import MemoryGraphError


class Ticket:
    """A proposal waiting for its commit, and what became of it."""

    def __init__(self, command: Command, body_hash: bytes, proposal: Proposal, time_us: int, data: bytes) -> None:
        self.command = command
        self.body_hash = body_hash
        self.proposal = proposal
        self.time_us = time_us
        self.data = data
        self.touched = touched_by(proposal.events)
        self.done = False
        self.position: int | None = None  # accepted, here
        self.conflict: str | None = None
        self.error: MemoryGraphError | None = None
