"""What a reader of the log is told of an event: what concerns the memories that it may see, and nothing of the others.

A table says for each type of event what is left of it. A type that is not in the table is told to nobody: what a
memory as a whole did (its vector spaces, its compaction) would tell of who did something in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from memorygraph.events import records as ev

Sees = Callable[[str], bool]
"""Whether the reader may see a node, by its id."""


def told(event: ev.Event, sees: Sees) -> ev.Event | None:
    """Return an event without what a reader may not see; None if nothing is left."""
    tell = _TOLD.get(type(event))
    left: ev.Event | None = None if tell is None else tell(event, sees)
    return left


def concerned(event: ev.Event) -> tuple[str, ...]:
    """Return the ids of all nodes that an event names."""
    ids = getattr(event, "ids", ()) if not isinstance(event, _OF_EDGES) else ()
    parts = (ids, *(getattr(event, name, ()) for name in ("nodes", "shown", "neighbours", "sources", "targets")))
    own = (event.id,) if isinstance(event, ev.NodeAdded | ev.NodeRevised) else ()
    return (*own, *(node_id for part in parts for node_id in part))


def _all(event: Any, _: Sees) -> Any:
    return event


def _one(event: Any, sees: Sees) -> Any:
    return event if sees(event.id) else None


def _columns(*names: str) -> Callable[[Any, Sees], Any]:
    """Return what leaves of an event the rows of ``ids`` that may be seen, in all its columns."""

    def rows(event: Any, sees: Sees) -> Any:
        kept = [place for place, node_id in enumerate(event.ids) if sees(node_id)]
        if len(kept) == len(event.ids):
            return event if kept else None
        columns = {name: getattr(event, name) for name in names}
        cut = {name: tuple(column[place] for place in kept) for name, column in columns.items()}
        return replace(event, **cut) if kept else None

    return rows


def _accesses(event: ev.AccessesRecorded, sees: Sees) -> ev.Event | None:
    shown = tuple(filter(sees, event.shown))
    cut: ev.AccessesRecorded | None = _columns("ids", "times_us")(event, sees)
    if cut is not None:
        return replace(cut, shown=shown)
    return replace(event, ids=(), times_us=(), shown=shown) if shown else None


def _forgotten(event: ev.NodesForgotten, sees: Sees) -> ev.Event | None:
    ids, neighbours = tuple(filter(sees, event.ids)), tuple(filter(sees, event.neighbours))
    return replace(event, ids=ids, neighbours=neighbours) if ids else None


def _edges(event: ev.EdgesAdded, sees: Sees) -> ev.Event | None:
    kept = [
        place
        for place, ends in enumerate(zip(event.sources, event.targets, strict=True))
        if sees(ends[0]) and sees(ends[1])
    ]
    columns = {name: getattr(event, name) for name in event.__struct_fields__}
    cut = {name: [column[place] for place in kept] for name, column in columns.items() if column}
    return replace(event, **cut) if kept else None


def _of_ends(event: Any, sees: Sees) -> Any:
    """Which ends belong to which edge is not said, so several edges are told of if all their ends may be seen."""
    return event if event.nodes and all(map(sees, event.nodes)) else None


_OF_EDGES: Final = (ev.EdgeRevised, ev.EdgesStrengthened, ev.EdgesRemoved, ev.EdgesAdded)
_TOLD: Final[dict[type[ev.Event], Callable[[Any, Sees], Any]]] = {
    ev.MemoryCreated: _all,
    ev.NodeAdded: _one,
    ev.NodeRevised: _one,
    ev.NodesForgotten: _forgotten,
    ev.NodesReinforced: _columns("ids", "deltas"),
    ev.AccessesRecorded: _accesses,
    ev.AccessesFolded: _columns("ids", "access_counts", "accessed_us", "access_times_us"),
    ev.EdgesAdded: _edges,
    ev.EdgeRevised: _of_ends,
    ev.EdgesStrengthened: _of_ends,
    ev.EdgesRemoved: _of_ends,
    ev.VectorsAdded: _columns("ids", "vectors"),
    ev.ReviewsRecorded: _columns(
        "ids", "grades", "stabilities_days", "difficulties", "repetitions", "times_us", "due_us"
    ),
    ev.ReviewsEnded: _columns("ids"),
    ev.AttentionLost: _columns("ids", "slots", "activations"),
    ev.NodesArchived: _columns("ids"),
    ev.NodesRestored: _columns("ids"),
    ev.NodesMoved: _columns("ids"),
}
