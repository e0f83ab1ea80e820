"""``FleetEngine``: a memory that lives on a host of a fleet, as an ``Engine``; a handle that can be pickled.

Nothing that changes the memory is done twice: commands have ids, calls of a transaction have numbers. What this handle
has written or seen, it sees: its reads name the newest position that it knows of. Recalls are noted here and sent as
commands, so that a recall needs no second call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from memorygraph.actors.accesses import Accesses, Batch, Recalled
from memorygraph.actors.background import BACKGROUND
from memorygraph.actors.commands import Answer, Command, Query, Receipt
from memorygraph.actors.compaction import CompactionReport, RetentionPolicy
from memorygraph.actors.engine import Committed, Engine, Saved, committed_of
from memorygraph.actors.fleet import calls, wire
from memorygraph.actors.fleet.answers import answer_type
from memorygraph.actors.fleet.caller import DEADLINE_S, Caller
from memorygraph.actors.fleet.remote_block import Block
from memorygraph.actors.fleet.steady import Steady
from memorygraph.actors.fleet.transport import Transport
from memorygraph.actors.local import ACCESS_DELAY_S
from memorygraph.actors.pinned import PinnedEngine
from memorygraph.events.errors import ClosedError, InputError, Overloaded, StoreReadOnly
from memorygraph.events.frames import frame_header
from memorygraph.events.heads import SignedHead
from memorygraph.events.log import Head, LogEntry, VerifyReport
from memorygraph.events.ports import IdSource, RandomIds

LONG_S: Final = 3600.0  # for what reads or rewrites a whole log
WAIT_S: Final = 0.5  # how long a host is asked to wait in one go
BUSY_MAX_S: Final = 60.0  # how long a transaction waits for others to end,
BUSY_PAUSE_S: Final = 0.2  # asking again after so long at most
QUIET_S: Final = 3.0  # for what nobody waits for, and others wait behind
After = Callable[[float, Callable[[], None]], None]


class FleetEngine(Engine):
    """One memory of a fleet; safe to use from several threads, and in any process once pickled.

    Args:
        memory: its name.
        founding: what to record if it is not there yet; None: then it is an error.
        read_only: refuse commands here.
        deadline_s: how long a call may take in all.
        steady, ids, after: time, ids and work for later (seconds, task); the machine's by default.

    Raises:
        StoreNotFound: there is no such memory.
        TimedOut: no host answers.
    """

    def __init__(
        self,
        memory: str,
        transport: Transport,
        *,
        founding: calls.Founding | None = None,
        read_only: bool = False,
        deadline_s: float = DEADLINE_S,
        steady: Steady | None = None,
        ids: IdSource | None = None,
        after: After | None = None,
    ) -> None:
        self._caller = Caller(memory, transport, deadline_s=deadline_s, steady=steady)
        self._ids = ids or RandomIds()
        self._after = after
        self._read_only = read_only
        self._closed = False
        self._seen = 0
        self._start()
        opened: calls.Opened = self._caller.call(calls.Open(memory=memory, founding=founding), calls.Opened)
        self.memory_id = opened.memory_id
        self.location = opened.location
        self._is_damaged = opened.read_only
        self._saw(opened.position)

    def _start(self) -> None:
        self._present = threading.local()
        self._accesses = Accesses()

    def __getstate__(self) -> dict[str, Any]:
        if self.in_transaction:
            raise InputError("a memory cannot be pickled in a transaction; do that before or after the block")
        left_out = ("_present", "_accesses")
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    @property
    def name(self) -> str:
        """The memory's name in the fleet."""
        return self._caller.memory

    @property
    def read_only(self) -> bool:
        """Whether commands are refused."""
        return self._read_only or self._is_damaged

    @property
    def notes(self) -> tuple[str, ...]:
        """What the log has to say of itself, a line each."""
        notes: tuple[str, ...] = self._do("notes")
        return notes

    @property
    def accesses_dropped(self) -> int:
        """How many accesses were not recorded."""
        return self._accesses.dropped

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is in a transaction."""
        return self._block is not None

    @property
    def _block(self) -> Block | None:
        return getattr(self._present, "block", None)

    # -- commands and queries ------------------------------------------------------------------------------------

    def execute(self, command: Command) -> Receipt:
        """Carry out a command; it is durable when this returns, and done once however often it had to be sent."""
        self._require_writable()
        block = self._block
        step = None if block is None else block.next()
        call = calls.Execute(memory=self.name, command=command, step=step)
        done: calls.Done = self._call(call, calls.Done)
        if block is None:
            self._saw(done.position)
        return wire.unpacked(done)

    def ask(self, query: Query) -> Answer:
        """Answer a query at the newest position, or at least at the newest that this handle knows of."""
        return self._ask(query, None)

    def _ask(self, query: Query, view: calls.PinnedAt | None) -> Answer:
        asked, sight = wire.encode_query(query)
        block = self._block if view is None else None
        step = None if block is None else block.next()
        call = calls.Ask(memory=self.name, query=asked, sight=sight, seen=self._seen, view=view, step=step)
        told: calls.Told = self._call(call, calls.Told)
        if view is None and block is None:
            self._saw(told.position)
        return Answer(told.position, wire.decode(told.value, answer_type(query)))

    def at(self, position: int) -> Engine:
        """Return a read-only engine that answers as of a position."""
        return self._pin(position, None)

    def pinned(self) -> Engine:
        """Return a read-only engine that answers at the newest position for ever, in a transaction as it stands."""
        block = self._block
        return self._pin(None, None if block is None else block.next())

    def _pin(self, position: int | None, step: calls.Step | None) -> Engine:
        token = self._ids.command_id()
        call = calls.Pin(memory=self.name, token=token, position=position, seen=self._seen, step=step)
        pinned: calls.Pinned = self._call(call, calls.Pinned)
        return FleetView(self, token, pinned)

    # -- transactions --------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(
        self, *, command_id: str | None = None, principal: str = "", provenance: dict[str, str] | None = None
    ) -> Iterator[None]:
        """Let this thread's commands be one record, or nothing.

        Raises:
            TransactionLost: its host was lost, or heard nothing of the block for a minute; nothing was written.
        """
        self._require_writable()
        outer = self._block
        block = Block(self._ids, command_id) if outer is None else outer
        self._begin(block, command_id, principal, provenance or {}, is_outermost=outer is None)
        self._present.block = block
        try:
            yield
        except BaseException:
            with suppress(Exception):  # the block's own exception tells more; a session that is lost is undone
                self._call(calls.End(memory=self.name, step=block.next(), undo=True), None)
            raise
        else:
            self._end(block, is_outermost=outer is None)
        finally:
            self._present.block = outer
        if outer is None and self._accesses.take_over(block.accesses):
            self._later()

    def _begin(
        self, block: Block, command_id: str | None, principal: str, provenance: dict[str, str], *, is_outermost: bool
    ) -> None:
        """Enter a block at the host, once others that are in one have left it."""
        steady = self._caller.steady
        end_s, pauses = steady.now_s() + BUSY_MAX_S, 0
        while True:
            call = calls.Begin(
                memory=self.name,
                step=block.next(),
                drawn_id=block.drawn_id,
                command_id=command_id,
                principal=principal,
                provenance=provenance,
            )
            try:
                position: int = self._call(call, int)
            except Overloaded as busy:
                if not is_outermost or steady.now_s() > end_s:
                    raise
                block.again()
                steady.sleep(min(busy.retry_after_s * 2**pauses, BUSY_PAUSE_S))
                pauses = min(pauses + 1, 10)
                continue
            if is_outermost:
                block.begun_at = position
            return

    def _end(self, block: Block, *, is_outermost: bool) -> None:
        try:
            self._call(calls.End(memory=self.name, step=block.next()), None)
        except block.may_be_recorded:
            if not is_outermost:
                raise
            # Whoever answers has the log for itself, so what is not in it now will never be.
            if not any(record.command_id == block.command_id for record in self._records_of(block)):
                raise
        if is_outermost:
            self._saw(self.head().position)

    def _records_of(self, block: Block) -> Iterator[Committed]:
        return self.read(block.begun_at + 1, about=block.command_id)

    # -- accesses ------------------------------------------------------------------------------------------------

    def accessed(
        self, ids: list[str], time_us: int, *, principal: str = "", provenance: dict[str, str] | None = None
    ) -> None:
        """Note a recall; sent with others a little later, by ``flush`` or on close. Never fails."""
        if self.read_only or self._closed or not ids:
            return
        block = self._block
        accesses = self._accesses if block is None else block.accesses
        is_full, is_due = accesses.note(Recalled(ids, time_us, principal, provenance or {}))
        if block is None and is_full:
            self._flush_quietly()
        elif block is None and not is_due:
            self._later()

    def flush(self) -> None:
        """Make noted accesses durable."""
        self._accesses.flush(self._record)

    def _later(self) -> None:
        (self._after or BACKGROUND.after)(ACCESS_DELAY_S, self._flush_quietly)

    def _record(self, batch: Batch, deadline_s: float | None = None) -> None:
        call = calls.Execute(memory=self.name, command=batch.command(self._ids.command_id()))
        done: calls.Done = self._call(call, calls.Done, deadline_s=deadline_s)
        self._saw(done.position)

    def _flush_quietly(self) -> None:
        self._accesses.flush_quietly(lambda batch: self._record(batch, QUIET_S))

    # -- the log -------------------------------------------------------------------------------------------------

    def read(self, first: int, last: int | None = None, *, about: str | None = None) -> Iterator[Committed]:
        """Give the records at positions first..last (None: the newest), a page at a time."""
        while first:
            page: calls.RecordPage = self._call(
                calls.ReadRecords(memory=self.name, first=first, last=last, about=about), calls.RecordPage
            )
            for position, data in page.records:
                yield committed_of(LogEntry(position, data))
            first, last = page.next, page.last

    def frames(self, first: int = 1) -> Iterator[bytes]:
        """Give the log's raw frames, a page at a time."""
        return self._frames_from(self._frame_page(first))

    def _frames_from(self, page: list[bytes]) -> Iterator[bytes]:
        while page:
            yield from page
            page = self._frame_page(frame_header(page[-1]).last + 1)

    def _frame_page(self, first: int) -> list[bytes]:
        page: list[bytes] = self._call(calls.ReadFrames(memory=self.name, first=first), list[bytes])
        return page

    def wait(self, position: int, timeout_s: float) -> int:
        """Return the newest position as soon as it is beyond ``position``, or after ``timeout_s`` seconds."""
        steady = self._caller.steady
        end_s = steady.now_s() + timeout_s
        while True:
            left_s = max(0.0, end_s - steady.now_s())
            call = calls.Wait(memory=self.name, position=position, timeout_s=min(left_s, WAIT_S))
            newest: int = self._call(call, int)
            if newest > position or steady.now_s() >= end_s:
                return newest

    def head(self) -> Head:
        """Return the log's head."""
        head: Head = self._do("head")
        return head

    def sign_head(self) -> SignedHead:
        """Sign the log's head: the host must have a key."""
        signed: SignedHead = self._do("sign_head", slowly=True)
        return signed

    def verify(self) -> VerifyReport:
        """Check the whole log from its first byte."""
        report: VerifyReport = self._do("verify", slowly=True)
        return report

    def log_size_bytes(self) -> int:
        """Return the bytes that the log takes in its store."""
        size_bytes: int = self._do("log_size_bytes")
        return size_bytes

    def snapshot(self) -> Saved:
        """Write a snapshot of the newest position."""
        self._require_writable()
        saved: Saved = self._do("snapshot", slowly=True)
        return saved

    def compact(
        self, policy: RetentionPolicy, principal: str = "", provenance: dict[str, str] | None = None
    ) -> CompactionReport:
        """Replace the records that a policy does not keep by their hashes."""
        self._require_writable()
        self.require_no_transaction("compact a memory")
        self.flush()
        call = calls.Compact(memory=self.name, policy=policy, principal=principal, provenance=provenance or {})
        report: CompactionReport = self._call(call, CompactionReport, deadline_s=LONG_S)
        return report

    def close(self) -> None:
        """Send what was noted and let go of the memory, which stays where it is; safe to call twice."""
        if not self._closed:
            self._flush_quietly()
            self._closed = True

    # -- calls ---------------------------------------------------------------------------------------------------

    def _do(self, deed: str, *, slowly: bool = False) -> Any:
        call = (calls.DoSlowly if slowly else calls.Do)(memory=self.name, deed=deed)
        return self._call(call, calls.DEEDS[deed][1], deadline_s=LONG_S if slowly else None)

    def _call(self, call: calls.HostCall, kind: Any, *, deadline_s: float | None = None) -> Any:
        if self._closed:
            raise ClosedError(f"the memory {self.name!r} is closed; open it again")
        return self._caller.call(call, kind, deadline_s=deadline_s, once=deadline_s == LONG_S)

    def _require_writable(self) -> None:
        if self.read_only:
            why = "open read-only" if self._read_only else "damaged, and so read-only"
            raise StoreReadOnly(f"the memory {self.name!r} is {why}; nothing was written", memory=self.name)

    def _saw(self, position: int) -> None:
        self._seen = max(self._seen, position)


class FleetView(PinnedEngine):
    """A read-only engine that answers at one position for ever, wherever the memory is."""

    def __init__(self, live: FleetEngine, token: str, pinned: calls.Pinned) -> None:
        self._live: FleetEngine = live
        self._position = pinned.position
        self._kept = calls.PinnedAt(token, None if pinned.in_transaction else pinned.position)
        self._notes = pinned.notes
        self.memory_id = live.memory_id
        self.location = live.location

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def ask(self, query: Query) -> Answer:
        """Answer at the pinned position."""
        return self._live._ask(query, self._kept)
