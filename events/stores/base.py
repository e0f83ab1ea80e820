"""What the stores share: the ``lock()`` context and waiting for appends."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from threading import Condition
from typing import TYPE_CHECKING, Final

from memorygraph.events.errors import InputError
from memorygraph.events.frames import frame_header
from memorygraph.events.log import EventLog, Head

if TYPE_CHECKING:
    from types import TracebackType

_POLL_S: Final = 0.02


class BaseLog(EventLog):
    """An ``EventLog`` whose lock is taken by ``_enter`` and released by ``_leave``."""

    def __init__(self) -> None:
        self._forget_waiters()

    def _forget_waiters(self) -> None:
        self._arrival = Condition()
        self._waiters = 0

    def lock(self) -> AbstractContextManager[Head]:
        """Hold the right to append; entering refreshes and gives the head. Not reentrant."""
        return _Guard(self)

    @abstractmethod
    def _enter(self) -> Head:
        """Take the lock, look for frames of others, and give the head."""

    @abstractmethod
    def _leave(self) -> None:
        """Release the lock."""

    def chain_at(self, position: int) -> bytes | None:
        """Return the chain up to a position, from the head or from the frame that follows it."""
        head = self.head
        if position >= head.position:
            return head.chain if position == head.position else None
        header = frame_header(next(self.frames(position + 1)))
        return header.chain_before if header.first == position + 1 else None

    def wait(self, position: int, timeout_s: float) -> Head:
        """Return the head as soon as it is beyond ``position``, or after ``timeout_s`` seconds.

        Appends of this process wake the waiter at once; those of others are looked for every 20 ms.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            head = self.refresh()
            left_s = deadline_s - time.monotonic()
            if head.position > position or left_s <= 0:
                return head
            with self._arrival:
                self._waiters += 1
                if self.head.position <= position:
                    self._arrival.wait(min(left_s, _POLL_S))
                self._waiters -= 1

    def _in_the_log(self, positions: Iterable[int]) -> frozenset[int]:
        """Give the set of these positions, which must all be in the log."""
        wanted, end = frozenset(positions), self.refresh().position
        outside = [position for position in wanted if not 1 <= position <= end]
        if outside:
            raise InputError(
                f"position {min(outside)} is not in the log, which holds 1 to {end}", position=min(outside)
            )
        return wanted

    def _announce(self) -> None:
        """Wake the waiters; called after the new head was published."""
        if self._waiters:
            with self._arrival:
                self._arrival.notify_all()


class _Guard:
    """The context of ``lock()``."""

    __slots__ = ("_log",)

    def __init__(self, log: BaseLog) -> None:
        self._log = log

    def __enter__(self) -> Head:
        return self._log._enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log._leave()
