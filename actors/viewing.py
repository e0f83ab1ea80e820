"""``ViewEngine``: a memory as one of its agents sees it.

Questions go through the agent's sight, commands carry the agent, and of the log only that is told which concerns
memories that the agent might see when it was recorded and may see now. What has been taken back is taken back from the
past, too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

from memorygraph.actors.commands import Answer, Command, Everything, Query, Receipt, Summary
from memorygraph.actors.compaction import CompactionReport, RetentionPolicy
from memorygraph.actors.engine import Committed, Engine, Saved
from memorygraph.actors.index_queries import CatchUp
from memorygraph.actors.sight_queries import InSight, MovedAway, Whereabouts
from memorygraph.events.errors import NotOwnerError
from memorygraph.events.heads import SignedHead
from memorygraph.events.log import Head, VerifyReport
from memorygraph.events.records import NodeAdded, NodesMoved
from memorygraph.events.types import Partition
from memorygraph.projections.sight import Sight, Viewer
from memorygraph.projections.told import concerned, told

_Stay = tuple[int, int, Partition]  # since which event (position, index) a node is in a partition


class ViewEngine(Engine):
    """What an agent sees of an engine, and may do with it; the other agents' engine stays theirs to close.

    Args:
        engine: to ask; live, or pinned to a position.
        live: the newest state, which says what may be seen now.
    """

    def __init__(self, engine: Engine, viewer: Viewer, live: Engine | None = None) -> None:
        self._engine = engine
        self._live = engine if live is None else live
        self.viewer = viewer
        self.memory_id = engine.memory_id
        self.location = engine.location
        hidden = () if live is None else live.ask(MovedAway(partitions=viewer.partitions)).value
        self._sight = Sight(partitions=viewer.partitions, hidden=frozenset(hidden))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    @property
    def read_only(self) -> bool:
        """Whether commands are refused."""
        return self._engine.read_only

    @property
    def notes(self) -> tuple[str, ...]:
        """What the log has to say of itself, a line each."""
        return self._engine.notes

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is in a transaction."""
        return self._engine.in_transaction

    def with_scope(self, scope: int) -> ViewEngine:
        """Return the same view, to which what is added goes in another scope."""
        return ViewEngine(self._engine, msgspec.structs.replace(self.viewer, scope=scope), self._past_of())

    def execute(self, command: Command) -> Receipt:
        """Carry out a command on what the agent sees and owns."""
        return self._engine.execute(msgspec.structs.replace(command, viewer=self.viewer))

    def ask(self, query: Query) -> Answer:
        """Answer a query from what the agent sees.

        Raises:
            NotOwnerError: it is about everybody's memories.
        """
        sight = self._sight
        if isinstance(query, CatchUp):
            raise self._refusal("the index is not its own to build")
        if isinstance(query, InSight):
            sight, query = msgspec.structs.replace(sight, archive=query.sight.archive), query.asked
        elif isinstance(query, Everything):
            sight = msgspec.structs.replace(sight, archive="with")
        if isinstance(query, Summary):
            query = Summary(bytes_too=False)  # they are of the whole memory
        return self._engine.ask(InSight(sight=sight, asked=query))

    def at(self, position: int) -> Engine:
        """Return what the agent might see at a position and may see now."""
        return ViewEngine(self._engine.at(position), self.viewer, self._live)

    def pinned(self) -> Engine:
        """Return what the agent sees now, for ever; in a transaction as it stands."""
        return ViewEngine(self._engine.pinned(), self.viewer, self._past_of())

    def transaction(
        self, *, command_id: str | None = None, principal: str = "", provenance: dict[str, str] | None = None
    ) -> AbstractContextManager[None]:
        """Let this thread's commands be one record, or nothing."""
        return self._engine.transaction(command_id=command_id, principal=principal, provenance=provenance)

    def accessed(
        self, ids: list[str], time_us: int, *, principal: str = "", provenance: dict[str, str] | None = None
    ) -> None:
        """Note that nodes were recalled."""
        self._engine.accessed(ids, time_us, principal=principal, provenance=provenance)

    def read(self, first: int, last: int | None = None, *, about: str | None = None) -> Iterator[Committed]:
        """Give the records, without what the agent may not see; of some nothing but the position is left."""
        places = _Places(self._live, self.viewer.partitions)
        for committed in self._engine.read(first, last, about=about):
            yield committed if committed.events is None else _cut(committed, places)

    def frames(self, first: int = 1) -> Iterator[bytes]:
        """Refuse: raw frames hold everybody's memories."""
        raise self._refusal("its log cannot be exported", first=first)

    def wait(self, position: int, timeout_s: float) -> int:
        """Return the newest position as soon as it is beyond ``position``, or after ``timeout_s`` seconds."""
        return self._engine.wait(position, timeout_s)

    def head(self) -> Head:
        """Return the log's head."""
        return self._engine.head()

    def sign_head(self) -> SignedHead:
        """Refuse: the head is signed for everybody."""
        raise self._refusal("it signs no heads")

    def verify(self) -> VerifyReport:
        """Check the whole log."""
        return self._engine.verify()

    def log_size_bytes(self) -> int:
        """Return 0: the log is everybody's."""
        return 0

    def compact(
        self, policy: RetentionPolicy, principal: str = "", provenance: dict[str, str] | None = None
    ) -> CompactionReport:
        """Refuse: the log is everybody's."""
        del policy, principal, provenance
        raise self._refusal("its log cannot be compacted")

    def flush(self) -> None:
        """Make noted accesses durable."""
        self._engine.flush()

    def snapshot(self) -> Saved:
        """Refuse: a snapshot is of everybody's memories."""
        raise self._refusal("it takes no snapshots")

    def close(self) -> None:
        """Release nothing: the pool's memory owns the engine."""

    def _past_of(self) -> Engine | None:
        return None if self._live is self._engine else self._live

    def _refusal(self, why: str, **about: Any) -> NotOwnerError:
        return NotOwnerError(
            f"this is what {self.viewer.agent!r} sees of a memory, so {why}; use the pool's memory",
            agent=self.viewer.agent,
            **about,
        )


class _Places:
    """Where nodes were when something was recorded of them."""

    def __init__(self, live: Engine, partitions: frozenset[Partition]) -> None:
        self._live = live
        self._partitions = partitions
        self._stays = _STAYS.setdefault(live, _Stays())

    def visible(self, ids: Iterable[str], position: int, index: int) -> set[str]:
        """Return which of some nodes might be seen at an event and may be seen now."""
        names = list(dict.fromkeys(ids))
        found = self._live.ask(Whereabouts(ids=names)).value
        return {
            name
            for name, place in zip(names, found, strict=True)
            if place is not None
            and place[0] in self._partitions
            and (not place[1] or self._was_visible(name, position, index, place[1]))
        }

    def _was_visible(self, node_id: str, position: int, index: int, moved: int) -> bool:
        stays = self._stays.of(self._live, node_id, moved)
        before = [partition for since, at, partition in stays if (since, at) <= (position, index)]
        return bool(before) and before[-1] in self._partitions  # what its records do not tell any more is not seen


class _Stays:
    """Where nodes have been, for all views of an engine: one pass through the log, which goes on where it ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._position = 0
        self._of: dict[str, tuple[_Stay, ...]] = {}
        self._partitions: dict[Partition, Partition] = {}  # one object for equal ones

    def of(self, live: Engine, node_id: str, moved: int) -> tuple[_Stay, ...]:
        """Return where a node has been, at least up to a position that it was moved at."""
        with self._lock:
            if self._position < moved:
                for committed in live.read(self._position + 1):
                    self._take(committed)
            return self._of.get(node_id, ())

    def _take(self, committed: Committed) -> None:
        for index, event in enumerate(committed.events or ()):
            if isinstance(event, NodeAdded | NodesMoved):
                partition = self._partitions.setdefault(event.partition, event.partition)
                for node_id in (event.id,) if isinstance(event, NodeAdded) else event.ids:
                    self._of[node_id] = (*self._of.get(node_id, ()), (committed.position, index, partition))
        self._position = committed.position


_STAYS: Final[WeakKeyDictionary[Engine, _Stays]] = WeakKeyDictionary()  # they are read when a view asks


def _cut(committed: Committed, places: _Places) -> Committed:
    """Return a record without what may not be seen of it."""
    events = []
    for index, event in enumerate(committed.events or ()):
        visible = places.visible(concerned(event), committed.position, index)
        left = told(event, visible.__contains__)
        if left is not None:
            events.append(left)
    if not events:
        return Committed(committed.position, "", "", {}, 0, ())
    return msgspec.structs.replace(committed, events=tuple(events), body_hash=b"")
