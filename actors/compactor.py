"""Compaction of one memory, beside readers and writers: what a policy does not keep is replaced by its hashes.

In this order, so that a crash at any point loses nothing: accesses are said anew, the log tells that records are going
to be replaced, a trial replay without them must come to the same state, and only then they are replaced. What a crash
leaves undone, the next compaction does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from memorygraph.actors.commands import Command, Digest, FoldAccesses, TellReplaced
from memorygraph.actors.compaction import CompactionReport, Plan, RetentionPolicy, chunks, plan
from memorygraph.actors.engine import Engine
from memorygraph.actors.pace import Pace
from memorygraph.actors.shard import Shard
from memorygraph.events.errors import DamagedLog, StoreError, TransactionConflict
from memorygraph.events.log import EventLog
from memorygraph.events.ports import Clock, IdSource
from memorygraph.events.records import RecordsReplaced
from memorygraph.projections.frame import Frame

FOLDS_MAX: Final = 50
FOLD_WAIT_S: Final = 0.02
FOLD_BYTES: Final = 256 << 10  # of one command, so that no writer waits long behind it
_TIME_BYTES: Final = 9
_NODE_BYTES: Final = 24


class Compactor:
    """Compacts one log; one compaction at a time.

    Args:
        engine: the memory at work, which writes the records that compaction adds.
        current: gives the newest Frame.
    """

    def __init__(
        self,
        engine: Engine,
        log: EventLog,
        clock: Clock,
        ids: IdSource,
        *,
        current: Callable[[], Frame],
    ) -> None:
        self._engine = engine
        self._log = log
        self._clock = clock
        self._ids = ids
        self._current = current

    def compact(self, policy: RetentionPolicy, principal: str, provenance: dict[str, str]) -> CompactionReport:
        """Replace what the policy does not keep.

        Raises:
            StoreError: it could not be written; or, before anything is replaced, the records that are left would not
                come to the same state.
        """
        bytes_before = self._log.size_bytes()
        found = self._plan(policy)
        if not found.positions:
            return CompactionReport(bytes_before=bytes_before, bytes_after=bytes_before)
        frame = self._current()
        for chunk in chunks(found.fold, lambda node_id: _fold_bytes(frame, node_id), FOLD_BYTES):
            self._fold(chunk, principal, provenance)
        told = RecordsReplaced(
            up_to=max(found.positions),
            records=len(found.positions),
            replaced=len(found.positions) + min(found.replaced, frame.replaced[1]),  # what was untold stays so
            reason=str(policy),
            memories=found.memories,
        )
        position = self._execute(TellReplaced(told=told), principal, provenance)
        self._require_same_state(found.positions)
        replaced = self._log.replace_by_hash(found.positions, Pace())
        return CompactionReport(
            replaced, len(found.fold), found.memories, position, bytes_before, self._log.size_bytes()
        )

    def _plan(self, policy: RetentionPolicy) -> Plan:
        frame = self._current()
        return plan(
            lambda: self._records(frame.position),
            policy,
            self._clock.now_us(),
            frame.position,
            is_live=lambda node_id: frame.row(node_id) is not None,
        )

    def _records(self, last: int) -> Iterator[tuple[int, bytes]]:
        """Give the records up to a position; later ones may be about memories that ``_plan`` does not know."""
        rest = Pace()
        for entry in self._log.read(1, last):
            yield entry.position, entry.data or b""
            rest()

    def _execute(self, operation: FoldAccesses | TellReplaced, principal: str, provenance: dict[str, str]) -> int:
        command = Command(
            id=self._ids.command_id(),
            operations=(operation,),
            principal=principal,
            provenance=provenance,
            id_chosen=False,
        )
        return self._engine.execute(command).position

    def _fold(self, ids: list[str], principal: str, provenance: dict[str, str]) -> None:
        """Say accesses anew. Who records others at the same time is in the way, and gets some time to be done."""
        for attempts_left in reversed(range(FOLDS_MAX)):
            try:
                self._execute(FoldAccesses(ids=ids), principal, provenance)
            except TransactionConflict:
                if not attempts_left:
                    raise
                time.sleep(FOLD_WAIT_S)
            else:
                return

    def _require_same_state(self, positions: frozenset[int]) -> None:
        answer = self._engine.ask(Digest(gently=True))
        try:
            same = self._digest_without(positions, answer.position) == answer.value
        except DamagedLog:
            same = False
        if not same:
            raise StoreError(
                f"{self._log.location}: without the {len(positions)} records that were to be replaced the memory would "
                "not be the same; nothing was replaced. Please report this",
                positions=len(positions),
            )

    def _digest_without(self, positions: frozenset[int], last: int) -> str:
        trial, rest = Shard(), Pace()
        for committed in self._engine.read(1, last):
            events = None if committed.position in positions else committed.events
            trial.apply(committed.position, committed.time_us, events)
            rest()
        digest: str = trial.ask(trial.publish(), Digest(gently=True))
        return digest


def _fold_bytes(frame: Frame, node_id: str) -> int:
    row = frame.row(node_id)
    times = () if row is None else frame.nodes.value("access_times_us", row) or ()
    return _NODE_BYTES + len(node_id) + _TIME_BYTES * len(times)
