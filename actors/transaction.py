"""What one thread does between the beginning and the end of a transaction: decisions that build on each other, unseen.

It stays at the Frame that it began with, and keeps what it rests on. At its end that becomes one proposal and one
record; or nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, cast

import msgspec

from memorygraph.actors import commands as cmd
from memorygraph.actors.accesses import Accesses
from memorygraph.actors.decide import Proposer
from memorygraph.actors.proposal import Proposal
from memorygraph.actors.review_queries import GetReviews
from memorygraph.actors.shard import Shard
from memorygraph.actors.sight_queries import InSight
from memorygraph.actors.touches import review_of, version_of
from memorygraph.events.errors import BatchTooLarge, InputError, Overloaded, TransactionConflict
from memorygraph.events.ports import IdSource
from memorygraph.events.types import LIMITS
from memorygraph.projections.contradictions import StatementIndex
from memorygraph.projections.frame import Frame
from memorygraph.projections.recall import RecallIndex

_encode: Final = msgspec.msgpack.Encoder().encode
Mark = tuple[int, int, int]
BUSY_S: Final = 0.01  # when a session that must not wait may ask again


class Session(NamedTuple):
    """Somebody who is not a thread of this process, whose calls come on any thread: a token, and an id drawn there."""

    token: str
    command_id: str


class _Acting(threading.local):
    session: Session | None = None


_ACTING: Final = _Acting()


@contextmanager
def acting_for(session: Session) -> Iterator[None]:
    """Let what this thread does be done by a session, as far as transactions go."""
    _ACTING.session, before = session, _ACTING.session
    try:
        yield
    finally:
        _ACTING.session = before


def _present_owner() -> Session | int:
    """Return whose calls this thread makes: a session's, or its own."""
    return _ACTING.session or threading.get_ident()


class Transaction:
    """A transaction of the thread, or session, that makes it.

    What it reads by id and what it revises must not be changed by others meanwhile; what a search or a count gives may.
    """

    def __init__(self, shard: Shard, frame: Frame, ids: IdSource, principal: str) -> None:
        self.owner = _present_owner()
        self.principal = principal
        self.operations: list[cmd.Operation] = []
        self.accessed = Accesses()
        self._base = frame
        self._proposer = Proposer(frame, shard.index(frame).norms, ids, names_edges=True)
        self._shard = shard
        self._tried_out: TriedOut | None = None
        self._reads: list[str] = []
        self._size_bytes = 0

    def take(self, command: cmd.Command, now_us: int) -> cmd.Receipt:
        """Decide a command, all of it or nothing.

        Raises:
            InputError: it is another principal's, and a record has one.
            BatchTooLarge: all commands together are more than a record may hold.
        """
        self.require_of(command.principal)
        mark = self.mark()
        proposer = self._proposer
        proposer.take(command.operations, now_us, command.viewer)
        events = tuple(proposer.events[mark[1] :])
        self._size_bytes += sum(len(_encode(event)) for event in events)
        if self._size_bytes > LIMITS.command_bytes_max:
            size_bytes = self._size_bytes
            self.back_to(mark)
            raise BatchTooLarge(
                f"the transaction takes {size_bytes} bytes, more than {LIMITS.command_bytes_max}; split it",
                size_bytes=size_bytes,
            )
        self.operations += command.operations
        self._reads += _revised_by(command.operations)
        return cmd.Receipt(self._base.position, now_us, events)

    def require_of(self, principal: str) -> None:
        """Refuse what another principal does: it would be recorded as done by who began the transaction."""
        if principal != self.principal:
            raise InputError(
                f"{principal!r} cannot write in a transaction of {self.principal!r}: it is one record, of one "
                "principal; begin a transaction of each, one after the other",
                principal=principal,
            )

    def ask(self, query: cmd.Query) -> cmd.Answer:
        """Answer a query; nodes and edges that it names become reads."""
        value = self.shard().ask(self.frame(), query)
        self._reads += _read_by(query, value)
        return cmd.Answer(self._base.position, value)

    def frame(self) -> Frame:
        """Return what the memory is with what was done here."""
        return self._proposer.frame()

    def shard(self) -> Shard:
        """Return whom to ask at ``frame()``."""
        if not self._proposer.events:
            return self._shard
        attempt = self._proposer.attempt
        if self._tried_out is None or self._tried_out.attempt != attempt:
            self._tried_out = TriedOut(self._shard, self._base, attempt)
        return self._tried_out

    def mark(self) -> Mark:
        """Return where the transaction is, for ``back_to``."""
        return len(self.operations), len(self._proposer.events), self._size_bytes

    def back_to(self, mark: Mark) -> None:
        """Undo what was done since a mark; what was read stays read."""
        operations, events, self._size_bytes = mark
        del self.operations[operations:]
        self._proposer.back_to(events)

    def command(self, command_id: str | None, ids: IdSource, principal: str, provenance: dict[str, str]) -> cmd.Command:
        """Return the whole as one command."""
        drawn = self.owner.command_id if isinstance(self.owner, Session) else ids.command_id()
        return cmd.Command(
            id=command_id or drawn,
            operations=cast("Any", tuple(self.operations)),
            principal=principal,
            provenance=provenance,
            id_chosen=command_id is not None,
        )

    def proposal(self) -> Proposal:
        """Return all that was decided, and what it rests on."""
        proposal = self._proposer.proposal()
        return msgspec.structs.replace(proposal, reads=proposal.reads + self._reads)


class Transactions:
    """The transactions of one engine, which wait for each other."""

    def __init__(self) -> None:
        self._waiting = threading.Lock()
        self._present: Transaction | None = None

    def own(self) -> Transaction | None:
        """Return the transaction that the calling thread, or the session that it acts for, is in."""
        present = self._present
        return present if present is not None and present.owner == _present_owner() else None

    @contextmanager
    def block(self, begin: Callable[[], Transaction]) -> Iterator[Transaction | None]:
        """Give a new transaction, or None in one: then an exception undoes what was done in the inner block.

        Raises:
            Overloaded: a session, which does not wait, found another's transaction under way.
        """
        outer = self.own()
        if outer is not None:
            mark = outer.mark()
            try:
                yield None
            except BaseException:
                outer.back_to(mark)
                raise
            return
        if not self._waiting.acquire(blocking=_ACTING.session is None):
            raise Overloaded("another transaction of this memory is under way; try again soon", retry_after_s=BUSY_S)
        try:
            self._present = begin()
            yield self._present
        finally:
            self._present = None
            self._waiting.release()


class TriedOut(Shard):
    """The projections of a fork of the state: those of its Frame, and what the fork added."""

    indexes_vectors = False

    def __init__(self, shard: Shard, base: Frame, attempt: int) -> None:
        super().__init__()
        self.attempt = attempt
        self._state = shard._state
        self._shard = shard
        self._base = base

    def index(self, frame: Frame) -> RecallIndex:
        """Return the recall index of the base, forked when first needed."""
        del frame
        if self._index is None:
            self._index = self._shard.index(self._base).fork(self._base)
        return self._index

    def _said(self) -> StatementIndex:
        if self._statements is None:
            self._statements = self._shard._said().fork(self._base)
        return self._statements


def in_conflict(conflict: str | None, when: str) -> TransactionConflict:
    """Return the error of a command that rests on something that others changed."""
    name = (conflict or "").removeprefix("\0").removeprefix("version ").removeprefix("review ")
    what = repr(name) if name else "something it rests on"
    return TransactionConflict(f"{what} was changed by others {when}", id=name)


def _read_by(query: cmd.Query, value: object) -> list[str]:
    ids: list[str] = []
    if isinstance(query, InSight):
        query = query.asked
    if isinstance(query, cmd.GetNodes | cmd.GetEdges):
        ids = query.ids
    elif isinstance(query, cmd.NodeEdges) and isinstance(value, list):
        ids = [query.id, *(edge.id for edge in value)]
    elif isinstance(query, GetReviews):
        return [*query.ids, *map(review_of, query.ids)]
    return [*ids, *map(version_of, ids)]


def _revised_by(operations: tuple[cmd.Operation, ...]) -> list[str]:
    revised: list[str] = []
    for operation in operations:
        if isinstance(operation, cmd.ReviseNodes):
            revised += [version_of(change.id) for change in operation.changes]
        elif isinstance(operation, cmd.ReviseEdge):
            revised.append(version_of(operation.change.id))
    return revised
