"""The log as people read it: changes, one per event, and subscriptions to them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

from memorygraph.actors.engine import Committed, Engine
from memorygraph.events import records as ev
from memorygraph.times import to_seconds, to_text

IDS_SHOWN: Final = 3
WAIT_S: Final = 0.5  # how long a subscription sleeps in one go, so that it notices being closed

ADDED: Final = "added"
_KINDS: Final[dict[type[ev.Event], str]] = {
    ev.MemoryCreated: "created",
    ev.SpaceDeclared: "space",
    ev.NodeAdded: ADDED,
    ev.NodeRevised: "revised",
    ev.NodesForgotten: "forgotten",
    ev.NodesReinforced: "reinforced",
    ev.AccessesRecorded: "recalled",
    ev.EdgesAdded: "linked",
    ev.EdgeRevised: "edge_revised",
    ev.EdgesStrengthened: "strengthened",
    ev.EdgesRemoved: "unlinked",
    ev.AccessesFolded: "folded",
    ev.RecordsReplaced: "compacted",
    ev.VectorsAdded: "embedded",
    ev.SpaceActivated: "space_activated",
    ev.ReviewsRecorded: "reviewed",
    ev.ReviewsEnded: "review_ended",
    ev.AttentionLost: "attention_lost",
    ev.NodesArchived: "archived",
    ev.NodesRestored: "restored",
    ev.NodesMoved: "moved",
}
REPLACED: Final = "replaced"
_OF_IDS: Final = (
    ev.NodesForgotten,
    ev.NodesReinforced,
    ev.AccessesFolded,
    ev.VectorsAdded,
    ev.ReviewsRecorded,
    ev.ReviewsEnded,
    ev.AttentionLost,
    ev.NodesArchived,
    ev.NodesRestored,
    ev.NodesMoved,
)
KINDS: Final = (*_KINDS.values(), REPLACED)


class Change(Struct, frozen=True):
    """One event of the log: what happened, to which nodes or edges, when it was recorded and by whom.

    A record of which only the hash is kept is one change of the kind "replaced", without an event. ``time`` is Unix
    seconds. ``kind`` is one of ``KINDS``, such as "added", "revised" or "forgotten". ``ids`` are the
    nodes concerned; the edges, where it is about some, are in ``event``. ``provenance`` says where it came from.
    """

    position: int
    index: int
    time: float
    principal: str
    command_id: str
    kind: str
    ids: tuple[str, ...]
    event: ev.Event | None
    provenance: dict[str, str] = {}

    def told_of(self, node_id: str) -> Change | None:
        """Return the change as one memory's history tells it; None if it does not concern that memory."""
        if node_id in self.ids:
            return self
        if isinstance(self.event, ev.NodesForgotten) and node_id in self.event.neighbours:
            return msgspec.structs.replace(self, kind="unlinked", ids=(node_id,))
        return None

    def __repr__(self) -> str:
        ids = ", ".join(self.ids[:IDS_SHOWN]) + (", ..." if len(self.ids) > IDS_SHOWN else "")
        by = f" by {self.principal}" if self.principal else ""
        return f"<{self.position}: {self.kind} {ids}{by} at {to_text(round(self.time * 1e6))}>"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON; a vector is given as its length in numbers."""
        data: dict[str, Any] | None = msgspec.msgpack.decode(msgspec.msgpack.encode(self.event))
        if data and "vector" in data:
            data["vector"] = f"{len(data['vector']) // 4} numbers"
        if data and "vectors" in data:
            data["vectors"] = f"{len(data['vectors'])} vectors"
        return {
            "position": self.position,
            "index": self.index,
            "time": self.time,
            "when": to_text(round(self.time * 1e6)),
            "principal": self.principal,
            "provenance": dict(self.provenance),
            "command_id": self.command_id,
            "kind": self.kind,
            "ids": list(self.ids),
            "event": data,
        }


def changes_of(committed: Committed) -> list[Change]:
    """Return the events of a record as changes."""
    if committed.events is None:
        return [Change(committed.position, 0, to_seconds(committed.time_us), "", "", REPLACED, (), None)]
    return [
        Change(
            committed.position,
            index,
            to_seconds(committed.time_us),
            committed.principal,
            committed.command_id,
            _KINDS[type(event)],
            _ids(event),
            event,
            committed.provenance,
        )
        for index, event in enumerate(committed.events)
    ]


class Subscription:
    """Changes from a position on: first what is there, then what comes. An iterator; ``close()`` ends it.

    It reads from the log at its own pace, so a slow reader holds up nobody and misses nothing.
    """

    def __init__(self, engine: Engine, from_position: int) -> None:
        self._engine = engine
        self._waiting: deque[Change] = deque()
        self._closed = False
        self.position = from_position - 1
        """The last position read."""

    def next(self, timeout_s: float | None = None) -> Change | None:
        """Return the next change, waiting for it; None when ``timeout_s`` seconds have passed or it was closed."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._closed:
            if self._waiting:
                return self._waiting.popleft()
            left_s = WAIT_S if deadline is None else min(WAIT_S, deadline - time.monotonic())
            if self._engine.wait(self.position, max(0.0, left_s)) > self.position:
                self._fill()
            elif left_s <= 0:
                return None
        return None

    def close(self) -> None:
        """End it; a thread that waits in ``next`` returns within half a second."""
        self._closed = True

    def __iter__(self) -> Iterator[Change]:
        while (change := self.next()) is not None:
            yield change

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _fill(self) -> None:
        """Read on until there is a change to give; a record may hold none."""
        for committed in self._engine.read(self.position + 1):
            self.position = committed.position
            self._waiting.extend(changes_of(committed))
            if self._waiting:
                return


def _ids(event: ev.Event) -> tuple[str, ...]:
    """Return the nodes that an event concerns."""
    if isinstance(event, ev.NodeAdded | ev.NodeRevised):
        return (event.id,)
    if isinstance(event, _OF_IDS):
        return event.ids
    if isinstance(event, ev.AccessesRecorded):
        return event.ids + event.shown
    if isinstance(event, ev.EdgesAdded):
        return tuple(dict.fromkeys(event.sources + event.targets))
    if isinstance(event, ev.EdgeRevised | ev.EdgesStrengthened | ev.EdgesRemoved):
        return event.nodes
    return ()
