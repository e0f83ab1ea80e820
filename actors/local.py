"""``LocalEngine``: one memory in this process, over any ``EventLog``. The embedded default; no server, no Ray.

A command is decided in the caller's thread at the newest Frame, without a lock, then queued. Whoever gets the commit
lock first commits for all who have arrived: it takes the log's lock (which shuts out other processes), applies what
they wrote, asks the ledger about each proposal, appends the accepted records as one frame, applies and publishes them.
A proposal in conflict is decided again by its caller, up to five times. Readers take no lock unless another process has
written what is not applied yet.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from memorygraph.actors.accesses import Accesses, Batch, Recalled
from memorygraph.actors.background import BACKGROUND
from memorygraph.actors.command_table import Seen
from memorygraph.actors.commands import Answer, Command, Digest, PositionAt, Query, Receipt
from memorygraph.actors.commit_queue import WAIT_S, CommitQueue
from memorygraph.actors.compaction import CompactionReport, RetentionPolicy
from memorygraph.actors.compactor import Compactor
from memorygraph.actors.decide import propose
from memorygraph.actors.engine import Committed, Engine, Saved, committed_of
from memorygraph.actors.expiry import Expiry, forgetting_expired
from memorygraph.actors.founding import found_memory
from memorygraph.actors.ledger import Ledger
from memorygraph.actors.past import PastViews
from memorygraph.actors.pinned import PinnedEngine
from memorygraph.actors.replay import bring_to
from memorygraph.actors.saving import Saver
from memorygraph.actors.shard import Shard
from memorygraph.actors.signing import HeadSigner
from memorygraph.actors.snapshots import Snapshots, State
from memorygraph.actors.ticket import Ticket, first_result
from memorygraph.actors.touches import touched_by
from memorygraph.actors.transaction import Transaction, Transactions, in_conflict
from memorygraph.actors.untold import untold_notes, with_untold
from memorygraph.actors.upkeep import Upkeep
from memorygraph.events.errors import (
    ClosedError,
    DamagedLog,
    InputError,
    MemoryGraphError,
    NewerSchema,
    StoreReadOnly,
    TransactionConflict,
)
from memorygraph.events.heads import SignedHead
from memorygraph.events.log import EventLog, Head, VerifyReport
from memorygraph.events.ports import Clock, IdSource, RandomIds, SystemClock
from memorygraph.events.records import MemoryCreated
from memorygraph.events.types import LIMITS
from memorygraph.projections.frame import Frame

RETRIES_MAX: Final = 5
ACCESS_DELAY_S: Final = 0.2
GROUP_BYTES_MAX: Final = 12 << 20  # of one commit's records; leaves room in a 16 MiB frame for one more command


class LocalEngine(Engine):
    """One memory over one log in this process.

    Args:
        log: where the records are; the engine closes it.
        name: of the memory, recorded when the log is new, as are ``language``, ``principal`` and ``provenance``.
        progress: called with (records replayed, records in all) while the log is read.
        past_bytes_max: what views of the past may hold in memory, beside what they share with the newest state.
        signer: signs the head every so many commits.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        name: str = "",
        language: str = "en",
        clock: Clock | None = None,
        ids: IdSource | None = None,
        progress: Callable[[int, int], None] | None = None,
        principal: str = "",
        provenance: dict[str, str] | None = None,
        past_bytes_max: int = LIMITS.past_bytes_max,
        signer: HeadSigner | None = None,
    ) -> None:
        self._log = log
        self._signer = signer
        self._clock = clock or SystemClock()
        self._ids = ids or RandomIds()
        self._shard, self._ledger = Shard(), Ledger()
        self._queue = CommitQueue()
        self._committing = threading.Lock()  # one leader; held over the log's lock and sync
        self._applying = threading.Lock()  # changes shard and ledger; never held over either, so readers may take it
        self._compacting = threading.Lock()
        self._transactions = Transactions()
        self._half_done = False  # whether a record is being applied, or was when somebody interrupted it
        self._accesses = Accesses()
        self._expiry = Expiry(self._clock)
        self._snapshots = Snapshots(log)
        self._saver = Saver(self._snapshots, self._state)
        self._past = PastViews(past_bytes_max)
        self._failure: MemoryGraphError | None = None  # a record that cannot be applied; nothing after it can be read
        self._closed = False
        self.memory_id = log.memory_id.hex()
        self.location = log.location
        found_memory(
            log, MemoryCreated(name=name, language=language), principal, provenance or {}, self._clock, self._ids
        )
        try:
            self._replay(progress)
        except DamagedLog as damage:
            log.salvage(damage)  # then read-only, with what comes before
            self._replay(progress)
        self._upkeep = Upkeep(log)
        _engines.add(self)

    @property
    def read_only(self) -> bool:
        """Whether commands are refused."""
        return self._log.read_only

    @property
    def accesses_dropped(self) -> int:
        """How many accesses were not recorded, because they could not be or there were too many."""
        return self._accesses.dropped

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say of the log, the signing and the clock: cut, damaged, emptied, not signed, set."""
        untold = untold_notes(self._shard.frame)
        if untold and not self._closed:  # or a compaction told and replaced while we read
            untold = untold_notes(self._current())
        return self._log.notes + untold + (() if self._signer is None else self._signer.notes) + self._clock.notes

    def execute(self, command: Command) -> Receipt:
        """Carry out a command; durable when this returns (as durable as the log's ``append``)."""
        transaction = self._transactions.own()
        if transaction is not None:
            return transaction.take(command, self._clock.now_us())
        self._require_writable()
        return self._execute(command, frame=self._expiry.forget(self._current(), self._current, self._forget_expired))

    def _execute(self, command: Command, wait_s: float = WAIT_S, *, frame: Frame | None = None) -> Receipt:
        conflict = ""
        for _ in range(1 + RETRIES_MAX):
            frame = frame or self._current()
            seen = self._ledger.find(command.id)
            if seen is not None:
                with self._committing, self._log.lock():  # what another process wrote is durable then
                    return first_result(self._log, command, seen)
            ticket = self._propose(frame, command)
            self._submit(ticket, wait_s)
            if ticket.position is not None:
                return Receipt(ticket.position, ticket.time_us, ticket.proposal.events)
            conflict, frame = ticket.conflict or conflict, None
        raise in_conflict(conflict, f"each time the command was tried ({1 + RETRIES_MAX} times); try again")

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is in a transaction."""
        return self._transactions.own() is not None

    @contextmanager
    def transaction(
        self, *, command_id: str | None = None, principal: str = "", provenance: dict[str, str] | None = None
    ) -> Iterator[None]:
        """Let this thread's commands be one record, or nothing."""
        self._require_writable()
        if (outer := self._transactions.own()) is not None:
            outer.require_of(principal)
            if command_id is not None:
                raise InputError("a transaction in a transaction is part of it and has no command id of its own")
        with self._transactions.block(lambda: self._begin(command_id, principal)) as transaction:
            yield
            if transaction is not None:
                self._end(transaction, transaction.command(command_id, self._ids, principal, provenance or {}))
        if transaction is not None and self._accesses.take_over(transaction.accessed):
            BACKGROUND.after(ACCESS_DELAY_S, self._flush_quietly)

    def ask(self, query: Query) -> Answer:
        """Answer a query at the newest position, in a transaction as it stands."""
        transaction = self._transactions.own()
        if transaction is not None:
            self._check_open()
            return transaction.ask(query)
        frame = self._current()
        if not isinstance(query, Digest | PositionAt):  # those are of the log alone
            if not self.read_only:
                frame = self._expiry.forgotten(frame, self._current, self._forget_expired)
            frame = self._expiry.hidden(frame)
        return Answer(frame.position, self._shard.ask(frame, query))

    def at(self, position: int) -> PinnedEngine:
        """Return a read-only engine that answers as of a position; those asked for lately are kept."""
        frame = self._current()
        if not 0 <= position <= frame.position:
            raise InputError(
                f"position {position} is not in this memory, which holds 0 to {frame.position}", position=position
            )
        if position == frame.position:
            return PinnedEngine(self, self._shard, self._expiry.hidden(frame))
        shard = self._past.get(position)
        if shard is None:
            shard = self._snapshots.past(position)
            bring_to(shard, self, position)
            shard.settle(self._shard)
            self._past.put(position, shard, frame)
        return PinnedEngine(self, shard, shard.frame, shard.notes())

    def pinned(self) -> PinnedEngine:
        """Return a read-only engine that answers at the newest position for ever, in a transaction as it stands."""
        transaction = self._transactions.own()
        if transaction is not None:
            return PinnedEngine(self, transaction.shard(), transaction.frame())
        return PinnedEngine(self, self._shard, self._expiry.hidden(self._current()))

    def accessed(
        self, ids: list[str], time_us: int, *, principal: str = "", provenance: dict[str, str] | None = None
    ) -> None:
        """Note a recall; written with others a little later, by ``flush`` or on close. Never fails.

        A transaction notes its recalls when it has been carried out.
        """
        if self.read_only or not ids:
            return
        transaction = self._transactions.own()
        accesses = self._accesses if transaction is None else transaction.accessed
        is_full, is_due = accesses.note(Recalled(ids, time_us, principal, provenance or {}))
        if transaction is None and is_full:
            self._flush_quietly()
        elif transaction is None and not is_due:
            BACKGROUND.after(ACCESS_DELAY_S, self._flush_quietly)

    def read(self, first: int, last: int | None = None, *, about: str | None = None) -> Iterator[Committed]:
        """Give the records at positions first..last (None: the newest)."""
        self._current()
        needle = None if about is None else about.encode()
        for entry in self._log.read(first, last):
            if needle is None or entry.data is None or needle in entry.data:
                yield committed_of(entry)

    def frames(self, first: int = 1) -> Iterator[bytes]:
        """Give the log's raw frames."""
        self._current()
        return self._log.frames(first)

    def wait(self, position: int, timeout_s: float) -> int:
        """Return the newest position as soon as it is beyond ``position``, or after ``timeout_s`` seconds."""
        self._check_open()
        return self._log.wait(position, timeout_s).position

    def head(self) -> Head:
        """Return the log's head."""
        self._check_open()
        return self._log.refresh()

    def sign_head(self) -> SignedHead:
        """Sign the log's head as it is now."""
        self._check_open()
        if self._signer is None:
            raise InputError("there is no key to sign with; open the memory with signing_key=...")
        with self._committing:
            with self._log.lock() as head:  # giving the lock back syncs what others wrote
                pass
            return self._signer.sign(head)

    def verify(self) -> VerifyReport:
        """Check the whole log from its first byte."""
        self._check_open()
        report = self._log.verify()
        self._log.refresh()
        return with_untold(report, self._log.read(1, report.head.position))

    def log_size_bytes(self) -> int:
        """Return the bytes that the log takes in its store."""
        return self._log.size_bytes()

    def compact(
        self, policy: RetentionPolicy, principal: str = "", provenance: dict[str, str] | None = None
    ) -> CompactionReport:
        """Replace the records that a policy does not keep by their hashes, beside readers and writers."""
        self._require_writable()
        self.require_no_transaction("compact a memory")
        with self._compacting, self._snapshots.held():
            self.flush()
            report = Compactor(self, self._log, self._clock, self._ids, current=self._current).compact(
                policy, principal, provenance or {}
            )
            self._past = PastViews(self._past.bytes_max)  # they show what is replaced now
            self._snapshots.drop_stale(self._current())
        return report

    def flush(self) -> None:
        """Make noted accesses durable."""
        self._accesses.flush(self._record)

    def snapshot(self) -> Saved:
        """Write a snapshot of the newest position; it waits for one that is being written."""
        self._require_writable()
        return self._saver.save(self._current().position, self.location)

    def close(self) -> None:
        """Flush and release everything; safe to call twice."""
        if self._closed:
            return
        self._flush_quietly()
        if not self.read_only:
            self._saver.close(self._shard.frame.changes)
        with self._committing:
            self._closed = True
            if self._signer is not None:
                self._signer.close()
            self._log.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"the memory at {self.location} is closed; open it again")

    def _require_writable(self) -> None:
        if self.read_only:
            reason = "".join(f" ({note})" for note in self._log.notes)
            raise StoreReadOnly(f"the memory at {self.location} is open read-only{reason}; nothing was written")

    def _current(self) -> Frame:
        """Return the newest Frame, applying first what other processes wrote."""
        self._check_open()
        self._upkeep.used()
        frame = self._shard.frame
        if self._log.refresh().position > frame.position or self._half_done:
            with self._applying:
                self._catch_up()
            frame = self._shard.frame
        return frame

    def _forget_expired(self) -> bool:
        return bool(self._execute(forgetting_expired(self._ids.command_id())).events)

    def _begin(self, command_id: str | None, principal: str) -> Transaction:
        frame = self._expiry.forget(self._current(), self._current, self._forget_expired)
        if command_id is not None:
            self._ledger.require_new(command_id)
            self._ledger.require_young(command_id, self._clock.now_us())
        return Transaction(self._shard, frame, self._ids, principal)

    def _end(self, transaction: Transaction, command: Command) -> None:
        """Write a transaction as one record, if it did anything or has an id to be known by."""
        if self._transactions.own() is not transaction:
            raise TransactionConflict("this process was forked in the transaction, which its parent will end")
        if not command.operations and not command.id_chosen:
            return
        ticket, seen = Ticket(command, transaction.proposal(), self._clock.now_us()), None
        while ticket.position is None and ticket.conflict is None and seen is None:
            ticket.done = False  # once more if who committed for us was interrupted: it may be in the log, or not
            self._submit(ticket)
            seen = self._ledger.find(command.id)
        if ticket.position is None and not (seen is not None and self._is_recorded(ticket, seen)):
            self._ledger.require_new(command.id)
            raise in_conflict(ticket.conflict, "during the transaction; nothing was written; do it again")

    def _is_recorded(self, ticket: Ticket, seen: Seen) -> bool:
        with self._committing, self._log.lock():  # what is found is durable once we had the lock
            return ticket.is_at(seen.position, self._log)

    def _submit(self, ticket: Ticket, wait_s: float = WAIT_S) -> None:
        """Have a ticket committed, or raise why not; its ``position`` or ``conflict`` tell what became of it."""
        is_alone = not (len(self._queue) or self._committing.locked())
        if not is_alone:
            self._queue.put(ticket, wait_s, self._committing, self._commit_waiting)
        with self._committing:
            if is_alone:  # the queue would cost a tenth of a small command
                self._commit_all([ticket])
            while not ticket.done:  # a full queue takes more than one frame
                self._commit_waiting()
        if ticket.error is not None:
            raise type(ticket.error)(ticket.error.message, **ticket.error.about) from ticket.error

    def _propose(self, frame: Frame, command: Command) -> Ticket:
        now_us = self._clock.now_us()
        self._ledger.require_young(command.id, now_us)
        proposal = propose(frame, self._shard.index(frame).norms, command, now_us, self._ids)
        return Ticket(command, proposal, now_us)

    def _commit_waiting(self) -> None:
        """Commit what is queued, in one frame as far as it fits; ``_committing`` is held."""
        self._commit_all(self._queue.take(GROUP_BYTES_MAX - LIMITS.command_bytes_max))

    def _commit_all(self, tickets: list[Ticket]) -> None:
        try:
            self._commit(tickets)
        except MemoryGraphError as error:
            for ticket in tickets:
                ticket.error = error
        finally:
            for ticket in tickets:
                ticket.done = True

    def _commit(self, tickets: list[Ticket]) -> None:
        self._check_open()
        with self._log.lock():
            with self._applying:
                self._catch_up()
                accepted = self._ledger.accepted(tickets, self._shard.frame)
            if not accepted:
                return
            head = self._log.append([ticket.data for ticket in accepted], self._clock.now_us())
        with self._applying:
            self._half_done = True
            for position, ticket in enumerate(accepted, head.position - len(accepted) + 1):
                if position > self._shard.position:  # else a reader was faster and took it from the log
                    self._shard.apply(position, ticket.time_us, ticket.proposal.events)
                    self._ledger.recorded(position, ticket.command.id, ticket.body_hash, ticket.time_us, ticket.touched)
                ticket.position = position
            self._shard.publish()
            self._half_done = False
        self._saver.committed(self._shard.frame.changes)
        if self._signer is not None:
            self._signer.committed(head)

    def _state(self) -> State:
        """Return the newest state, with what goes with it."""
        with self._applying:
            self._catch_up()
            return self._shard, self._shard.frame, self._ledger.part()

    def _catch_up(self) -> None:
        """Apply records that are in the log and not in the shard yet; ``_applying`` is held.

        An interruption while records are applied leaves ``_half_done`` set: then all is built anew.
        """
        if self._failure is not None:
            raise type(self._failure)(self._failure.message, **self._failure.about) from self._failure
        try:
            self._apply_new()
        except (DamagedLog, NewerSchema) as error:  # anything else, such as too many open files, may pass
            self._failure = error
            raise

    def _apply_new(self) -> None:
        if self._half_done:
            self._replay(None)
        first = self._shard.position + 1
        if self._log.head.position < first:
            return
        self._half_done = True
        for entry in self._log.read(first):
            committed = committed_of(entry)
            self._shard.apply(committed.position, committed.time_us, committed.events)
            touched = touched_by(committed.events or ())
            self._ledger.recorded(
                committed.position, committed.command_id, committed.body_hash, committed.time_us, touched
            )
        self._shard.publish()
        self._half_done = False

    def _replay(self, progress: Callable[[int, int], None] | None) -> None:
        """Build the state from the newest snapshot that can be used, and from the records behind it."""
        self._half_done = True
        self._shard, self._ledger = self._snapshots.load() or (Shard(), Ledger())
        while self._shard.position < self._log.refresh().position:  # a compaction told meanwhile is heard of, too
            for entry in self._log.read(self._shard.position + 1):
                committed = committed_of(entry)
                self._shard.apply(committed.position, committed.time_us, committed.events)
                self._ledger.replayed(committed.position, committed.command_id, committed.body_hash, committed.time_us)
                if progress is not None and committed.position % 1000 == 0:
                    progress(committed.position, self._log.head.position)
        self._shard.publish()
        self._half_done = False

    def _record(self, batch: Batch, wait_s: float = WAIT_S) -> None:
        self._execute(batch.command(self._ids.command_id()), wait_s)

    def _flush_quietly(self) -> None:
        """Flush where no caller could use an error: reinforcement is dropped and counted, recall goes on."""
        self._accesses.flush_quietly(lambda batch: self._record(batch, wait_s=0.0))

    def _after_fork(self) -> None:
        """In the child, no thread of the parent is there to release a lock or to finish what it was applying."""
        self._committing, self._applying, self._compacting = threading.Lock(), threading.Lock(), threading.Lock()
        self._transactions = Transactions()
        self._queue = CommitQueue()
        self._accesses = Accesses()  # what was noted is the parent's to write
        self._past = PastViews(self._past.bytes_max)
        self._snapshots = Snapshots(self._log)
        self._saver = Saver(self._snapshots, self._state)
        self._expiry.renew()
        self._half_done = True


_engines: Final[weakref.WeakSet[LocalEngine]] = weakref.WeakSet()


def _renew_engines() -> None:
    for engine in _engines:
        engine._after_fork()


os.register_at_fork(after_in_child=_renew_engines)
