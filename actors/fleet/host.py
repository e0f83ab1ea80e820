"""``Host``: has the memories that belong to it awake while they are used, and lets the others sleep.

A memory that sleeps costs nothing here: no memory, no descriptor. The first call wakes it: its store is opened as its
only writer. What tells two hosts apart that both mean to have it is the store's epoch alone: a host that finds the
store locked by another waits a little, asks the directory whether the memory is really its own, and takes it over; the
other then finds the later epoch, before its next record is acknowledged and within a second of its next answer, and
gives the memory up.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from msgspec import Raw

from memorygraph.actors.commands import Answer, Query
from memorygraph.actors.fleet import calls, wire
from memorygraph.actors.fleet.placement import Member, Table, require_name
from memorygraph.actors.fleet.sessions import Sessions
from memorygraph.actors.fleet.steady import Steady
from memorygraph.actors.fleet.stores import Opened, Stores
from memorygraph.actors.fleet.transport import CONTROL, DIRECTORY, WRITE, Transport
from memorygraph.actors.local import LocalEngine
from memorygraph.actors.pinned import PinnedEngine
from memorygraph.events.errors import (
    ClosedError,
    Fenced,
    FleetError,
    LogFailed,
    LogLocked,
    MemoryGraphError,
    NotHosted,
    TransactionLost,
)
from memorygraph.events.log import EventLog

IDLE_S: Final = 60.0  # without a call, then a memory sleeps
SESSION_S: Final = 60.0  # without a call, then a transaction is undone
EPOCH_CHECK_S: Final = 1.0
HANDOVER_S: Final = 1.0  # who has a memory that is another's now, gives it up by then, or it is taken
BEAT_DEADLINE_S: Final = 2.0
AWAKE_MAX: Final = 256  # memories at once; beyond, those unused for longest sleep
VIEWS_MAX: Final = 64  # of one memory that are kept
AGAIN_S: Final = 0.05
WAIT_MAX_S: Final = 1.0
PAGE_BYTES: Final = 1 << 20
PAGE_RECORDS: Final = 1000
SCANNED_MAX: Final = 100_000  # records looked at for one page


class _Awake:
    """A memory at this host: open while ``opened`` is not None."""

    def __init__(self, memory: str, kept_s: float) -> None:
        self.memory = memory
        self.opening = threading.Lock()
        self.opened: Opened | None = None
        self.users = 0
        self.used_s = 0.0
        self.checked_s = 0.0
        self.sessions = Sessions(kept_s)
        self.views: OrderedDict[str, PinnedEngine] = OrderedDict()

    @property
    def engine(self) -> LocalEngine:
        return self._opened.engine

    @property
    def log(self) -> EventLog:
        return self._opened.log

    @property
    def _opened(self) -> Opened:
        if self.opened is None:
            raise ClosedError(f"the memory {self.memory!r} was given up")
        return self.opened


class Host:
    """Answers calls about memories; safe to use from several threads.

    Somebody must call ``tend`` about twice a second: there is no thread here.

    Args:
        name: of the host, a-z, 0-9, _ and -; the same after a restart.
        address: where callers find it.
        transport: how it finds the directory.
        idle_s: a memory sleeps after so many seconds without a call.
        session_s: a transaction is undone after so many seconds without a call.
        epoch_check_s: a question is answered only if the store was seen to be ours so many seconds ago, or later.
        handover_s: how long another host may keep the store of a memory that is ours, before it is taken over.
        awake_max: so many memories are awake at once.
    """

    def __init__(
        self,
        name: str,
        address: str,
        stores: Stores,
        transport: Transport,
        steady: Steady,
        *,
        idle_s: float = IDLE_S,
        session_s: float = SESSION_S,
        epoch_check_s: float = EPOCH_CHECK_S,
        handover_s: float = HANDOVER_S,
        awake_max: int = AWAKE_MAX,
    ) -> None:
        self.member = Member(require_name("the name of a host", name), address)
        self._stores = stores
        self._transport = transport
        self._steady = steady
        self._idle_s = idle_s
        self._session_s = session_s
        self._epoch_check_s = epoch_check_s
        self._handover_s = handover_s
        self._awake_max = awake_max
        self._lock = threading.Lock()  # guards what follows; never held over I/O
        self._awake: dict[str, _Awake] = {}
        self._locked_s: dict[str, float] = {}  # since when another host was seen to have a store
        self._table = Table()

    @property
    def name(self) -> str:
        """The host's name."""
        return self.member.name

    # -- the fleet -----------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Tell the directory that this host is alive and what it has awake, and learn who else is alive.

        Raises:
            FleetError: the directory cannot be reached.
        """
        call = calls.Beat(member=self.member, known=self._table, active=tuple(self._described()))
        self._tell(call)

    def tend(self) -> None:
        """Do what is due: beat, undo sessions that went silent, let memories sleep, give up what is another's."""
        with suppress(FleetError):  # callers and the stores find out without it
            self.beat()
        now_s = self._steady.now_s()
        awake = sorted(self._all(), key=lambda one: one.used_s)
        spare = len(awake) - self._awake_max
        for at, one in enumerate(awake):
            one.sessions.undo_silent(now_s)
            if not self._owns(one.memory):
                one.sessions.undo_all()
                self._close(one)
            elif at < spare or now_s - one.used_s > self._idle_s:
                self._close(one)

    def stop(self) -> None:
        """Close every memory and leave the fleet."""
        for one in self._all():
            self._close(one, at_once=True)
        with suppress(FleetError):
            self._tell(calls.Leave(name=self.name))

    def _tell(self, call: calls.AnyDirectoryCall) -> None:
        reply = self._transport.call(DIRECTORY, CONTROL, wire.encode(call), BEAT_DEADLINE_S)
        table: Table = wire.result(reply, Table, where="the directory")
        with self._lock:
            if table.version >= self._table.version:
                self._table = table

    def _all(self) -> list[_Awake]:
        with self._lock:
            return list(self._awake.values())

    def _described(self) -> Iterator[calls.Active]:
        now_s = self._steady.now_s()
        for one in self._all():
            if (opened := one.opened) is not None:
                head = opened.log.head
                yield calls.Active(
                    memory=one.memory,
                    position=head.position,
                    epoch=head.epoch,
                    sessions=len(one.sessions),
                    idle_s=max(0.0, now_s - one.used_s),
                )

    def _owns(self, memory: str) -> bool:
        owner = self._table.owner(memory)
        return owner is not None and owner.name == self.name

    def _require_own(self, memory: str) -> None:
        if not self._owns(memory):
            raise self._not_hosted(memory, "is another host's")

    def _not_hosted(self, memory: str, why: str) -> NotHosted:
        return NotHosted(
            f"the memory {memory!r} {why}",
            memory=memory,
            host=self.name,
            table=self._table.version,
            retry_after_s=AGAIN_S,
        )

    # -- calls ---------------------------------------------------------------------------------------------------

    def handle(self, payload: bytes) -> bytes:
        """Answer a call."""
        try:
            call = wire.decode_host_call(payload)
            return wire.success(self.name, self._answer(call))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to the caller
            return wire.failure(self.name, error)

    def _answer(self, call: calls.AnyHostCall) -> Any:
        if call.table > self._table.version:
            with suppress(FleetError):
                self.beat()
        self._require_own(call.memory)
        with self._using(call.memory, call.founding if isinstance(call, calls.Open) else None) as one:
            opened = one.opened
            try:
                self._check_epoch(one, call)
                return _ANSWERS[type(call)](self, one, call)
            except Fenced:
                self._drop(one, opened)
                raise self._not_hosted(call.memory, "was taken over by another host") from None
            except ClosedError:
                raise self._not_hosted(call.memory, "is not open here any more") from None
            except LogFailed:
                self._drop(one, opened)  # what is on the disk is known only after opening it anew
                raise

    def _check_epoch(self, one: _Awake, call: calls.AnyHostCall) -> None:
        """Give a memory up whose store another host took over, if that was not looked at lately.

        Who writes, or looks whether something was recorded, takes what is said for the last word, also that it cannot
        be done: then it is looked at in any case.
        """
        now_s = self._steady.now_s()
        is_last_word = call.lane == WRITE or isinstance(call, calls.ReadRecords)
        if is_last_word or now_s - one.checked_s >= self._epoch_check_s:
            one.log.require_epoch()
            one.checked_s = now_s

    # -- awake and asleep ----------------------------------------------------------------------------------------

    @contextmanager
    def _using(self, memory: str, founding: calls.Founding | None) -> Iterator[_Awake]:
        """Have a memory awake, and keep it so until the context ends."""
        with self._lock:
            one = self._awake.setdefault(memory, _Awake(memory, self._session_s))
            one.users += 1
        try:
            if one.opened is None:
                with one.opening:
                    if one.opened is None:
                        one.checked_s = self._steady.now_s()  # who takes it over while it is opened does so later
                        one.opened = self._open(memory, founding)
            yield one
        finally:
            with self._lock:
                one.users -= 1
                one.used_s = self._steady.now_s()
                if not one.users and one.opened is None:
                    self._awake.pop(memory, None)

    def _open(self, memory: str, founding: calls.Founding | None) -> Opened:
        try:
            return self._open_or_take_over(memory, founding)
        except Fenced:
            raise self._not_hosted(memory, "was taken over by another host") from None

    def _open_or_take_over(self, memory: str, founding: calls.Founding | None) -> Opened:
        try:
            opened = self._stores.open(memory, founding, takeover=False)
        except LogLocked:
            now_s = self._steady.now_s()
            if now_s - self._locked_s.setdefault(memory, now_s) < self._handover_s:
                raise self._not_hosted(memory, "is being given up by another host") from None
            self.beat()
            self._require_own(memory)
            opened = self._stores.open(memory, founding, takeover=True)
        self._locked_s.pop(memory, None)
        return opened

    def _close(self, one: _Awake, *, at_once: bool = False) -> None:
        """Let a memory sleep unless it is in use or in a transaction; it can be woken as soon as it is closed."""
        with one.opening:
            with self._lock:
                if not at_once and (one.users or one.sessions):
                    return
                opened, one.opened = one.opened, None
            one.sessions.undo_all()
            one.views.clear()
            if opened is not None:
                with suppress(MemoryGraphError):
                    opened.engine.close()
            with self._lock:
                if not one.users:
                    self._awake.pop(one.memory, None)

    def _drop(self, one: _Awake, opened: Opened | None) -> None:
        """Give up a memory that cannot be used any more as it is open."""
        with self._lock:
            if opened is None or one.opened is not opened:
                return
            one.opened = None
        one.sessions.undo_all()
        one.views.clear()
        with suppress(MemoryGraphError):
            opened.engine.close()

    # -- answers -------------------------------------------------------------------------------------------------

    def _opened(self, one: _Awake, call: calls.Open) -> calls.Opened:
        del call
        engine = one.engine
        return calls.Opened(
            memory_id=engine.memory_id,
            location=engine.location,
            position=engine.head().position,
            read_only=engine.read_only,
        )

    def _do(self, one: _Awake, call: calls.Do) -> Any:
        return calls.DEEDS[call.deed][0](one.engine)

    def _execute(self, one: _Awake, call: calls.Execute) -> calls.Done:
        if call.step is None:
            return wire.packed(one.engine.execute(call.command))
        now_s = self._steady.now_s()
        return wire.packed(one.sessions.run(call.step, lambda engine: engine.execute(call.command), now_s))

    def _ask(self, one: _Awake, call: calls.Ask) -> calls.Told:
        query = wire.decode_query(call.query, call.sight)
        if call.step is not None:
            answer = one.sessions.run(call.step, lambda engine: engine.ask(query), self._steady.now_s())
        elif call.view is not None:
            answer = self._view(one, call.view).ask(query)
        else:
            answer = self._not_before(one, call.seen, query)
        return calls.Told(answer.position, Raw(wire.encode(answer.value)))

    def _not_before(self, one: _Awake, seen: int, query: Query) -> Answer:
        """Answer at a position that the caller has seen, or later."""
        answer = one.engine.ask(query)
        if answer.position < seen:
            self._require_reached(one, seen)
            answer = one.engine.ask(query)
        return answer

    def _require_reached(self, one: _Awake, seen: int) -> None:
        """Give the memory up if somebody was at a position that it does not have: another host must be writing."""
        position = one.engine.head().position
        if position < seen:
            one.log.require_epoch()
            raise self._not_hosted(one.memory, f"is at position {position} here, and its caller has seen {seen}")

    def _pin(self, one: _Awake, call: calls.Pin) -> calls.Pinned:
        if call.step is not None:
            pinned = one.sessions.run(call.step, LocalEngine.pinned, self._steady.now_s())
        else:
            self._require_reached(one, call.seen)
            pinned = one.engine.pinned() if call.position is None else one.engine.at(call.position)
        self._keep_view(one, call.token, pinned)
        return calls.Pinned(pinned._position, call.step is not None, pinned._notes)

    def _view(self, one: _Awake, view: calls.PinnedAt) -> PinnedEngine:
        with self._lock:
            found = one.views.get(view.token)
            # A call that makes a view may come twice, and the second view is of a later position.
            if found is not None and view.position in (None, found._position):
                one.views.move_to_end(view.token)
                return found
        if view.position is None:
            raise TransactionLost("the view of a transaction as it stood is not kept any more; do it again", id="")
        pinned = one.engine.at(view.position)
        self._keep_view(one, view.token, pinned)
        return pinned

    def _keep_view(self, one: _Awake, token: str, pinned: PinnedEngine) -> None:
        with self._lock:
            one.views[token] = pinned
            while len(one.views) > VIEWS_MAX:
                one.views.popitem(last=False)

    def _begin(self, one: _Awake, call: calls.Begin) -> int:
        now_s = self._steady.now_s()
        one.sessions.undo_silent(now_s)
        return one.sessions.begin(one.engine, call, now_s)

    def _end(self, one: _Awake, call: calls.End) -> None:
        one.sessions.end(call, self._steady.now_s())

    def _read_records(self, one: _Awake, call: calls.ReadRecords) -> calls.RecordPage:
        end = one.engine.head().position
        last = end if call.last is None else min(call.last, end)
        needle = None if call.about is None else call.about.encode()
        page: list[tuple[int, bytes | None]] = []
        size_bytes = 0
        for scanned, entry in enumerate(one.log.read(call.first, last), 1):
            if needle is None or entry.data is None or needle in entry.data:
                data = None if entry.data is None else bytes(entry.data)
                page.append((entry.position, data))
                size_bytes += len(data or b"")
            if size_bytes > PAGE_BYTES or len(page) >= PAGE_RECORDS or scanned >= SCANNED_MAX:
                return calls.RecordPage(page, entry.position + 1 if entry.position < last else 0, last)
        return calls.RecordPage(page, 0, last)

    def _read_frames(self, one: _Awake, call: calls.ReadFrames) -> list[bytes]:
        page: list[bytes] = []
        size_bytes = 0
        for frame in one.engine.frames(call.first):
            page.append(bytes(frame))
            size_bytes += len(frame)
            if size_bytes > PAGE_BYTES:
                break
        return page

    def _wait(self, one: _Awake, call: calls.Wait) -> int:
        return one.engine.wait(call.position, min(call.timeout_s, WAIT_MAX_S))

    def _compact(self, one: _Awake, call: calls.Compact) -> Any:
        return one.engine.compact(call.policy, call.principal, call.provenance)


_ANSWERS: Final[dict[type[calls.HostCall], Callable[[Host, _Awake, Any], Any]]] = {
    calls.Open: Host._opened,
    calls.Do: Host._do,
    calls.DoSlowly: Host._do,
    calls.Execute: Host._execute,
    calls.Ask: Host._ask,
    calls.Pin: Host._pin,
    calls.Begin: Host._begin,
    calls.End: Host._end,
    calls.ReadRecords: Host._read_records,
    calls.ReadFrames: Host._read_frames,
    calls.Wait: Host._wait,
    calls.Compact: Host._compact,
}
