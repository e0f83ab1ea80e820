"""Keeping expired memories out of answers: forgotten by a command where that can be written, hidden where it cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from memorygraph.actors.commands import Command, ForgetExpired
from memorygraph.events.errors import ConflictError, StoreError
from memorygraph.events.ports import Clock
from memorygraph.projections.expiry import unexpired
from memorygraph.projections.frame import NEVER_US, Frame


class Expiry:
    """The expiry of one memory; safe to use from several threads.

    ``current`` gives the newest Frame; ``forget_some`` forgets a command's worth of what has expired, and gives False
    if there was none.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.renew()

    def renew(self) -> None:
        """Start anew, in a forked child."""
        self._forgetting = threading.Lock()
        self._hidden: tuple[Frame, Frame, int] | None = None

    def forget(self, frame: Frame, current: Callable[[], Frame], forget_some: Callable[[], bool]) -> Frame:
        """Forget what has expired by now, one thread for all; return the newest Frame, or this if it has nothing.

        Raises:
            StoreError: it could not be written.
        """
        if frame.expires_us == NEVER_US or frame.expires_us > (now_us := self._clock.now_us()):
            return frame
        with self._forgetting:
            while current().expires_us <= now_us and forget_some():  # False if the clock went back
                pass
        return current()

    def forgotten(self, frame: Frame, current: Callable[[], Frame], forget_some: Callable[[], bool]) -> Frame:
        """Return the newest Frame after forgetting what has expired, as far as it could be written."""
        with suppress(StoreError, ConflictError):  # a full disk is no reason to answer with what has expired
            return self.forget(frame, current, forget_some)
        return current()

    def hidden(self, frame: Frame) -> Frame:
        """Return the Frame without what has expired; the last one made is kept until something else expires."""
        if frame.expires_us == NEVER_US or (now_us := self._clock.now_us()) < frame.expires_us:
            return frame
        kept = self._hidden
        if kept is None or kept[0] is not frame or not kept[2] <= now_us < kept[1].expires_us:
            kept = self._hidden = (frame, unexpired(frame, now_us), now_us)
        return kept[1]


def forgetting_expired(command_id: str) -> Command:
    """Return the command that forgets what has expired, as far as it fits one."""
    return Command(id=command_id, operations=(ForgetExpired(),), provenance={"via": "expiry"}, id_chosen=False)
