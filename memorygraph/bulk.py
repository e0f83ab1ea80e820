"""Bulk calls: chunks, each all or nothing, under ids ``<command>/<n>``, so that a call that broke off can go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from copy import copy
from typing import TypeVar

from memorygraph import checks
from memorygraph.events.errors import MemoryGraphError, StoreError
from memorygraph.home import Home

T = TypeVar("T")
Progress = Callable[[int], None]


class Bulk:
    """One bulk call: its id, how far it came, and what it says when it fails.

    In a transaction there is one record and no ids.

    Args:
        command_id: as the caller gave it; None: one is drawn, and named if the call fails.
        items: what the caller gave, for its length.
    """

    def __init__(
        self,
        home: Home,
        command_id: str | None,
        items: object = (),
        progress: Progress | None = None,
    ) -> None:
        self.is_given = command_id is not None
        self.name = checks.bulk_id(home.ids.command_id() if command_id is None else command_id)
        self.done = 0
        self._goes_on = self.name
        self._total = len(items) if isinstance(items, Sized) else None
        self._progress = progress
        self._is_one = home.engine.in_transaction and not self.is_given

    def then(self, part: str, items: object) -> Bulk:
        """Return the second half of the same call."""
        half = copy(self)
        half.name, half.done, half._total = f"{self.name}/{part}", 0, len(items) if isinstance(items, Sized) else None
        half._progress = None
        return half

    def run(self, chunks: Iterable[T], send: Callable[[T, str | None], int]) -> int:
        """Send chunks with the id of each, which gives how many items it had; return how many there were in all.

        Raises:
            MemoryGraphError: of the first chunk that failed; ``about`` has ``done``, ``total`` and ``command_id``.
        """
        try:
            for number, chunk in enumerate(chunks):
                self.done += send(chunk, None if self._is_one else f"{self.name}/{number}")
                if self._progress is not None:
                    self._progress(self.done)
        except MemoryGraphError as error:
            if self._is_one:
                raise
            raise self._told(error) from error
        return self.done

    def _told(self, error: MemoryGraphError) -> MemoryGraphError:
        message = error.message
        if self.done or isinstance(error, StoreError):
            of_all = "" if self._total is None else f" of {self._total:,}"
            message += (
                f"; {self.done:,}{of_all} were done before. The same call with command_id={self._goes_on!r} goes on "
                "from there and does nothing twice"
            )
        about = {"done": self.done, "total": self._total, "command_id": self._goes_on, "cause": error.message}
        return type(error)(message, **{**error.about, **about})
