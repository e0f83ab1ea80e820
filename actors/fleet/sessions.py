"""Sessions: the transactions of callers far away, at the host of a memory.

A session is a thread's transaction without the thread: its calls come one after the other, on any thread, under a token
and a number. A call that comes twice is answered twice and carried out once; one that comes late is refused.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, Final

from memorygraph.actors.fleet.calls import Begin, End, Step
from memorygraph.actors.local import LocalEngine
from memorygraph.actors.transaction import Session, acting_for
from memorygraph.events.errors import MemoryGraphError, TransactionLost

ENDED_KEPT: Final = 256  # sessions of a memory whose last answer is kept, for who asks again


class _Undone(Exception):
    """What leaves a block whose caller says that an exception did."""


class _Open:
    """One session: its engine, its blocks, outermost first, and what its last call came to."""

    def __init__(self, session: Session, engine: LocalEngine, now_s: float) -> None:
        self.session = session
        self.engine = engine  # a memory that was opened anew has another, which knows nothing of the transaction
        self.heard_s = now_s
        self.blocks: list[AbstractContextManager[None]] = []
        self.lock = threading.Lock()
        self.number = -1
        self._value: Any = None
        self._error: Exception | None = None

    def run(self, number: int, work: Callable[[], Any]) -> Any:
        """Carry out the call of a number, once, and give what it came to; the lock is held."""
        if number == self.number + 1:
            self.number = number
            self._value, self._error = None, None
            try:
                with acting_for(self.session):
                    self._value = work()
            except Exception as error:
                self._error = error
                raise
        elif number != self.number:
            raise TransactionLost(f"call {number} of a transaction came after call {self.number}", id="")
        elif self._error is not None:
            raise self._error
        return self._value

    def leave(self, *, undo: bool) -> None:
        """Leave the innermost block."""
        block = self.blocks.pop()
        if undo:
            with suppress(_Undone):
                error = _Undone()
                if not block.__exit__(_Undone, error, None):
                    raise error
        else:
            block.__exit__(None, None, None)


class Sessions:
    """The sessions of one memory at one host; safe to use from several threads.

    Args:
        kept_s: a session that is not heard of for so long is undone.
    """

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._ended: OrderedDict[str, _Open | None] = OrderedDict()  # None: it was undone

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, engine: LocalEngine, call: Begin, now_s: float) -> int:
        """Enter a block, and return the newest position before it.

        Raises:
            Overloaded: another session's transaction is under way.
        """

        def enter(session: _Open) -> int:
            position = session.engine.head().position
            block = session.engine.transaction(
                command_id=call.command_id, principal=call.principal, provenance=call.provenance
            )
            block.__enter__()
            session.blocks.append(block)
            return position

        token = call.step.token
        if call.step.number or token in self._open or token in self._ended:
            return int(self._run(call.step, enter, now_s))
        session = _Open(Session(token, call.drawn_id), engine, now_s)
        with session.lock:
            position = session.run(0, lambda: enter(session))
        with self._lock:
            self._open[token] = session
        return int(position)

    def run(self, step: Step, work: Callable[[LocalEngine], Any], now_s: float) -> Any:
        """Do something in a session, with its engine."""
        return self._run(step, lambda session: work(session.engine), now_s)

    def end(self, call: End, now_s: float) -> None:
        """Leave a block."""
        token = call.step.token
        try:
            self._run(call.step, lambda session: session.leave(undo=call.undo), now_s)
        finally:
            with self._lock:
                session = self._open.get(token)
                if session is not None and not session.blocks:
                    self._forget(token, session)

    def undo_silent(self, now_s: float) -> None:
        """Undo the sessions that were not heard of for long."""
        for token, session in list(self._open.items()):
            if now_s - session.heard_s > self._kept_s and session.lock.acquire(blocking=False):
                try:
                    self._undo(token, session)
                finally:
                    session.lock.release()

    def undo_all(self) -> None:
        """Undo every session: the memory leaves this host."""
        for token, session in list(self._open.items()):
            with session.lock:
                self._undo(token, session)

    def _undo(self, token: str, session: _Open) -> None:
        while session.blocks:
            with suppress(MemoryGraphError), acting_for(session.session):
                session.leave(undo=True)
        with self._lock:
            self._forget(token, None)

    def _forget(self, token: str, session: _Open | None) -> None:
        self._open.pop(token, None)
        self._ended[token] = session
        while len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)

    def _run(self, step: Step, work: Callable[[_Open], Any], now_s: float) -> Any:
        with self._lock:
            session = self._open.get(step.token) or self._ended.get(step.token)
        if session is None:
            raise TransactionLost(
                "the transaction is not known where the memory is now: its host was lost, or heard nothing of it for "
                f"{self._kept_s:g} s; do it again",
                id="",
            )
        with session.lock:
            session.heard_s = now_s
            return session.run(step.number, lambda: work(session))
