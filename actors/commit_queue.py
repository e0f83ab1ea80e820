"""The queue of decided commands that wait for their commit. It has an end: who finds it full waits, then is refused."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Final

from memorygraph.actors.ticket import Ticket
from memorygraph.events.errors import Overloaded

EVENTS_MAX: Final = 65_536
BYTES_MAX: Final = 64 << 20
WAIT_S: Final = 10.0


class CommitQueue:
    """Tickets in order of arrival; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tickets: deque[Ticket] = deque()
        self._events = 0
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def put(self, ticket: Ticket, wait_s: float, committing: Lock, commit: Callable[[], None]) -> None:
        """Add a ticket; who finds the queue full commits what waits as soon as ``committing`` is free.

        Raises:
            Overloaded: it was not free for ``wait_s`` seconds.
        """
        deadline_s = time.monotonic() + wait_s
        while not self._has_put(ticket):
            if not committing.acquire(timeout=max(0.0, deadline_s - time.monotonic())):
                raise Overloaded(
                    f"{len(self)} commands wait to be written, and there was no room for another in {wait_s:g} s; "
                    f"nothing was written; try again in {WAIT_S:g} s",
                    retry_after_s=WAIT_S,
                    waiting=len(self),
                )
            try:
                commit()
            finally:
                committing.release()

    def _has_put(self, ticket: Ticket) -> bool:
        """Add a ticket if there is room for it; an empty queue takes any."""
        events, size_bytes = len(ticket.proposal.events), len(ticket.data)
        with self._lock:
            if self._tickets and (self._events + events > EVENTS_MAX or self._size_bytes + size_bytes > BYTES_MAX):
                return False
            self._tickets.append(ticket)
            self._events += events
            self._size_bytes += size_bytes
        return True

    def take(self, size_bytes: int) -> list[Ticket]:
        """Take the first tickets, until they have more than ``size_bytes``."""
        taken: list[Ticket] = []
        total = 0
        with self._lock:
            while self._tickets and total <= size_bytes:
                taken.append(self._tickets.popleft())
                total += len(taken[-1].data)
            self._events -= sum([len(ticket.proposal.events) for ticket in taken])
            self._size_bytes -= total
        return taken
