"""Second threads for what can be done while a writer waits for the disk; they end when there is nothing to do."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

LINGER_S: Final = 1.0  # the thread stays this long after its last call, so that busy logs do not start it anew

T = TypeVar("T")


class _Call(Generic[T]):
    """A call that whoever comes first makes: the thread, or the caller who wants its result."""

    __slots__ = ("_error", "_running", "_to_do", "_value")

    def __init__(self, function: Callable[[], T]) -> None:
        self._to_do = [function]  # who takes it out makes the call
        self._running = threading.Lock()
        self._running.acquire()
        self._value: T
        self._error: BaseException | None = None

    def make(self) -> None:
        """Make the call, unless somebody has begun it."""
        try:
            function = self._to_do.pop()
        except IndexError:
            return
        try:
            self._value = function()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            self._error = error
        finally:
            self._running.release()

    def result(self) -> T:
        """Wait for the value, or raise what the call raised."""
        if self._to_do:
            self.make()
        with self._running:
            if self._error is not None:
                raise self._error
            return self._value


class Beside:
    """Makes calls on one daemon thread of this process, in order."""

    def __init__(self) -> None:
        self._start_empty()
        os.register_at_fork(after_in_child=self._start_empty)  # the thread stays with the parent

    def _start_empty(self) -> None:
        self._changing = threading.Lock()
        self._calls: SimpleQueue[_Call[object]] = SimpleQueue()
        self._running = False

    def start(self, function: Callable[[], T]) -> Callable[[], T]:
        """Begin a call, and return a function that waits for its result or raises its error.

        A call that has not begun by then is made by who waits, so it never takes longer than without the thread.
        """
        call = _Call(function)
        with self._changing:
            if not self._running:
                try:
                    threading.Thread(target=self._run, name="memorygraph", daemon=True).start()
                except RuntimeError:  # the system has no thread for us now
                    return function
                self._running = True
            self._calls.put(call)  # type: ignore[arg-type]  # nobody takes the value out of the queue
        return call.result

    def _run(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=LINGER_S)
            except Empty:
                with self._changing:
                    if self._calls.empty():
                        self._running = False
                        return
            else:
                call.make()


BESIDE: Final = Beside()  # what the writer waits for
FILLING: Final = Beside()  # what nobody waits for
