"""What a log needs while its memory is used and when it no longer is: work that can wait, and letting go when idle.

An open memory that nobody uses holds no thread and no descriptor: the watch over it ends with its last use, and the
background thread with its last watch. However many are used at once, only so many logs keep their descriptors.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from typing import Final

from memorygraph.actors.background import BACKGROUND
from memorygraph.events.log import EventLog

IDLE_S: Final = 1.0
OPEN_LOGS_MAX: Final = 64  # at two descriptors each, this leaves room below the 256 that macOS allows a process


class Upkeep:
    """Watches over the use of one log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._holds_nothing = not log.snapshots.is_lasting  # a log in the process's memory has no descriptors
        self._was_used = False
        self._is_open = self._holds_nothing
        self._is_watched = False
        self.used()

    def used(self) -> None:
        """Note that the log is used; called often."""
        self._was_used = True
        BACKGROUND.go_on()
        if not self._is_open:
            self._is_open = True
            _OPEN.add(self)
            self._watch()

    def release(self) -> None:
        """Have the log let go of its descriptors, until it is used."""
        self._is_open = self._holds_nothing
        self._log.release()

    def _watch(self) -> None:
        if not self._is_watched:
            self._is_watched, self._was_used = True, False
            me = weakref.ref(self)  # a memory that is dropped without close() is not kept for this
            BACKGROUND.after(IDLE_S, lambda: _look_at(me()))

    def _look(self) -> None:
        self._is_watched = False
        if self._was_used:
            self._watch()
            self._log.tend()
        else:
            _OPEN.remove(self)
            self.release()
            if self._was_used:  # in between, so that it may have opened what nobody watches
                self.used()


class _OpenLogs:
    """The logs that may have descriptors, the one that opened them first first."""

    def __init__(self) -> None:
        self._start_anew()
        os.register_at_fork(after_in_child=self._start_anew)

    def _start_anew(self) -> None:
        """In a forked child nobody watches yet, whatever its parent's logs say."""
        for upkeep in [one() for one in getattr(self, "_open", ())]:
            if upkeep is not None:
                upkeep._is_watched = False
                upkeep.release()
        self._lock = threading.Lock()
        self._open: OrderedDict[weakref.ref[Upkeep], None] = OrderedDict()

    def add(self, upkeep: Upkeep) -> None:
        with self._lock:
            self._open[weakref.ref(upkeep)] = None
            first = self._open.popitem(last=False)[0]() if len(self._open) > OPEN_LOGS_MAX else None
        if first is not None:
            first.release()

    def remove(self, upkeep: Upkeep) -> None:
        with self._lock:
            self._open.pop(weakref.ref(upkeep), None)


def _look_at(upkeep: Upkeep | None) -> None:
    if upkeep is not None:
        upkeep._look()


_OPEN: Final = _OpenLogs()
