"""One thread per process for work that may wait a little; it ends when there is none, so idle memories cost nothing."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

LINGER_S: Final = 1.0  # the thread stays this long after its last task, so that busy memories do not start it anew


class Background:
    """Runs callables at their time, one after the other, on a daemon thread that lives while there is work."""

    def __init__(self) -> None:
        self._start_empty()
        os.register_at_fork(after_in_child=self._start_empty)  # the tasks stay with the parent, as does the thread

    def _start_empty(self) -> None:
        self._changed = threading.Condition()
        self._tasks: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._running = False

    def after(self, delay_s: float, task: Callable[[], None]) -> None:
        """Run ``task`` in ``delay_s`` seconds; it must handle its own errors.

        Where no thread can be started (a limit of the system, an interpreter that ends), it waits for ``go_on``.
        """
        with self._changed:
            heapq.heappush(self._tasks, (time.monotonic() + delay_s, next(self._numbers), task))
            self._start()
            self._changed.notify()

    def go_on(self) -> None:
        """Start the thread if there is work and it could not be started; called often."""
        if self._tasks and not self._running:
            with self._changed:
                self._start()

    def _start(self) -> None:
        if not self._running:
            with suppress(RuntimeError):
                threading.Thread(target=self._run, name="memorygraph", daemon=True).start()
                self._running = True

    def _run(self) -> None:
        while (task := self._next()) is not None:
            try:
                task()
            except BaseException:
                with self._changed:
                    self._running = False  # the next task starts a new thread; this one reports its error and ends
                raise

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next task that is due; None: nothing came for a while, and the thread ends."""
        with self._changed:
            while True:
                if not self._tasks:
                    if not self._changed.wait(LINGER_S) and not self._tasks:
                        self._running = False
                        return None
                    continue
                delay_s = self._tasks[0][0] - time.monotonic()
                if delay_s <= 0:
                    return heapq.heappop(self._tasks)[2]
                self._changed.wait(delay_s)


BACKGROUND: Final = Background()
