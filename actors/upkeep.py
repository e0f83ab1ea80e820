"""What a log needs while its memory is used and when it no longer is: work that can wait, and letting go when idle.

An open memory that nobody uses holds no thread and no descriptor: the watch over it ends with its last use, and the
background thread with its last watch.
"""

from __future__ import annotations

import os
import weakref
from typing import Final

from memorygraph.actors.background import BACKGROUND
from memorygraph.events.log import EventLog

IDLE_S: Final = 1.0


class Upkeep:
    """Watches over the use of one log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._is_needed = log.snapshots.is_lasting  # a log in the process's memory holds nothing
        self._was_used = False
        self._is_watching = False
        _all.add(self)
        self.used()

    def used(self) -> None:
        """Note that the log is used; called often."""
        self._was_used = True
        if not self._is_watching and self._is_needed:
            self._watch()

    def renew(self) -> None:
        """Start anew in a forked child, which has no background thread yet."""
        self._is_watching = False

    def _watch(self) -> None:
        self._is_watching, self._was_used = True, False
        me = weakref.ref(self)  # a memory that is dropped without close() is not kept for this
        BACKGROUND.after(IDLE_S, lambda: _look_at(me()))

    def _look(self) -> None:
        if self._was_used:
            self._watch()
            self._log.tend()
            return
        self._is_watching = False
        if self._was_used:  # in between
            self._watch()
        else:
            self._log.release()


def _look_at(upkeep: Upkeep | None) -> None:
    if upkeep is not None:
        upkeep._look()


_all: Final[weakref.WeakSet[Upkeep]] = weakref.WeakSet()


def _renew_all() -> None:
    for upkeep in _all:
        upkeep.renew()


os.register_at_fork(after_in_child=_renew_all)
