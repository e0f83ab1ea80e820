"""What a reader may see of a Frame: a Frame in which everything else is not there.

A view is made of the Frame that the log comes to by taking nodes out, and every edge that lost an end: what is asked of
it (searches, walks, statistics, counts) then cannot tell them from nodes that never were. So who answers a question
need not know about partitions or the archive, and none can forget to look.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.events.types import Partition, Scope
from memorygraph.projections.frame import ALIVE, Frame
from memorygraph.projections.tables import CHUNK_BITS, View, chunks_of

Bools = NDArray[np.bool_]
Flags = NDArray[np.uint8]
PUBLIC: Final = Partition()
SIGHTS_MAX: Final = 64  # views of one Frame that are kept, and readers whose traces are
HIDDEN: Final = np.uint8(0xFF ^ ALIVE)  # what is left of the flags of an edge that is not seen
_NO_ROWS: Final[NDArray[np.intp]] = np.zeros(0, dtype=np.intp)
_NOTHING_SEEN: Final[Bools] = np.zeros(0, dtype=np.bool_)


class Sight(Struct, frozen=True, kw_only=True):
    """Which memories may be seen.

    ``partitions``: only of these (None: of all). ``hidden``: ids that are left out besides. ``archive``: whether what
    was put away is left out, seen alone, or seen with the rest.
    """

    partitions: frozenset[Partition] | None = None
    hidden: frozenset[str] = frozenset()
    archive: Literal["without", "only", "with"] = "without"


PRESENT: Final = Sight()
"""What is seen unless something else is asked for: everything that is not in the archive."""
WHOLE: Final = Sight(archive="with")


class Viewer(Struct, frozen=True, kw_only=True):
    """An agent that uses a memory together with others: its name, its room, and the scope of what it adds."""

    agent: str
    room: str
    scope: int = Scope.PRIVATE.code

    @property
    def partitions(self) -> frozenset[Partition]:
        """What it may see: what is its own alone, what its room shares, what is public."""
        return frozenset({self.place(Scope.PRIVATE.code), self.place(Scope.SHARED.code), PUBLIC})

    def place(self, scope: int) -> Partition:
        """Return the partition that a scope means for it."""
        if scope == Scope.PUBLIC.code:
            return PUBLIC
        return Partition(scope, self.agent if scope == Scope.PRIVATE.code else self.room)


def audience(partition: Partition) -> frozenset[Partition]:
    """Return the partitions that everyone who sees this one sees, too: what of it may be linked to unasked."""
    return frozenset({partition, PUBLIC})


class Trace(NamedTuple):
    """What a reader saw of some Frame, by chunk; kept for the next Frame, of which most chunks are the same.

    ``nodes`` and ``edges`` are the versions of the chunks there, ``alive`` and ``flags`` what was seen of them.
    """

    position: int
    nodes: tuple[int, ...]
    edges: tuple[int, ...]
    alive: tuple[Bools, ...]
    flags: tuple[Flags, ...]


_NOTHING: Final = Trace(0, (), (), (), ())


def traces_of(frame: Frame) -> dict[Sight, Trace]:
    """Return the traces that a fork of a Frame can go on from: a later Frame's chunks may be others of that version."""
    return {sight: trace for sight, trace in frame.traces.copy().items() if trace.position <= frame.position}


def seen(frame: Frame, sight: Sight) -> Frame:
    """Return a Frame as a reader sees it; the Frame itself if nothing of it is hidden."""
    if sight is PRESENT and not frame.has_archive:  # the common case, without computing the hash of a sight
        return frame
    found = frame.sights.get(sight)
    if found is None:
        if len(frame.sights) >= SIGHTS_MAX:
            frame.sights.clear()
        found = frame.sights[sight] = _view(frame, sight)
    return found


def _view(frame: Frame, sight: Sight) -> Frame:
    if sight.hidden:
        return only(frame, _visible(frame, sight))
    if not _hides(frame, sight):
        return frame
    trace = _traced(frame, sight, frame.traces.get(sight, _NOTHING))
    if len(frame.traces) >= SIGHTS_MAX:
        frame.traces.clear()
    if frame.traces.get(sight, _NOTHING).position <= frame.position:
        frame.traces[sight] = trace
    return _frame_of(frame, trace.alive, trace.flags)


def _hides(frame: Frame, sight: Sight) -> bool:
    """Whether a sight leaves out anything."""
    if sight.archive == "only" or (sight.partitions is not None and not sight.partitions.issuperset(frame.partitions)):
        return True
    return sight.archive == "without" and frame.has_archive


def _traced(frame: Frame, sight: Sight, before: Trace) -> Trace:
    """Return what a reader sees of each chunk, looking only at chunks that changed since a trace was made.

    Of the others only edges are looked at that touch a node which came into sight or went out of it.
    """
    nodes, edges = frame.nodes, frame.edges
    is_open = _open_partitions(frame, sight)
    alive: list[Bools] = []
    turned: list[NDArray[np.intp]] = []
    for at, version in enumerate(nodes.versions[:-1]):
        known = before.alive[at] if at < len(before.alive) else _NOTHING_SEEN
        if at < len(before.nodes) and before.nodes[at] == version:
            alive.append(known)
            continue
        chunk = _seen_chunk(nodes, at, is_open, sight)
        is_turned = chunk.copy()
        is_turned[: len(known)] ^= known[: len(chunk)]
        turned.append(np.flatnonzero(is_turned) + (at << CHUNK_BITS))
        alive.append(chunk)
    whole = np.concatenate(alive)
    flags: list[Flags] = []
    for at, version in enumerate(edges.versions[:-1]):
        is_known = at < len(before.edges) and before.edges[at] == version
        flags.append(before.flags[at] if is_known else _seen_edges(edges, at, whole))
    _turn(frame, np.concatenate([_NO_ROWS, *turned]), whole, flags)
    return Trace(frame.position, nodes.versions[:-1], edges.versions[:-1], tuple(alive), tuple(flags))


def _seen_chunk(nodes: View, at: int, is_open: Bools, sight: Sight) -> Bools:
    """Return which nodes of a chunk are seen, shape (its rows,)."""
    cells = {name: _cells(nodes, name, at) for name in ("alive", "partition", "archived")}
    chunk: Bools = cells["alive"] & is_open[cells["partition"]]
    if sight.archive == "only":
        chunk &= cells["archived"]
    elif sight.archive == "without":
        chunk &= ~cells["archived"]
    return chunk


def _seen_edges(edges: View, at: int, alive: Bools) -> Flags:
    """Return the flags of a chunk's edges as they are seen, shape (its rows,)."""
    flags, ends = _cells(edges, "flags", at), (_cells(edges, "source", at), _cells(edges, "target", at))
    return np.where(alive[ends[0]] & alive[ends[1]], flags, flags & HIDDEN)


def _turn(frame: Frame, rows: NDArray[np.intp], alive: Bools, flags: list[Flags]) -> None:
    """Set the flags of the edges of nodes that came into sight or went out of it."""
    touched = frame.adjacency.incident(frame.edges, rows.astype(np.int32)) if len(rows) else _NO_ROWS
    for at in np.unique(touched >> CHUNK_BITS).tolist():
        flags[at] = _seen_edges(frame.edges, at, alive)


def _cells(view: View, name: str, at: int) -> NDArray[Any]:
    """Return a column's cells of a chunk, as far as they are published."""
    chunk = view.chunks[name][at]
    assert chunk is not None  # no column of objects
    return chunk[: max(0, view.count - (at << CHUNK_BITS))]


def only(frame: Frame, visible: NDArray[np.bool_], expires_us: int | None = None) -> Frame:
    """Return a Frame of some of its nodes, shape (node rows,), and of the edges between them.

    Args:
        expires_us: the earliest expiry of these, if another.
    """
    alive = frame.live_rows() & visible
    edges = frame.edges
    flags = edges.column("flags")
    flags = np.where(alive[edges.column("source")] & alive[edges.column("target")], flags, flags & HIDDEN)
    return _frame_of(frame, chunks_of(alive), chunks_of(flags), expires_us)


def _frame_of(frame: Frame, alive: tuple[Bools, ...], flags: tuple[Flags, ...], expires_us: int | None = None) -> Frame:
    return Frame(
        position=frame.position,
        changes=frame.changes,
        times_us=frame.times_us,
        name=frame.name,
        language=frame.language,
        interner=frame.interner,
        nodes=frame.nodes.with_chunks("alive", alive),
        edges=frame.edges.with_chunks("flags", flags),
        edge_names=frame.edge_names,
        labels=frame.labels,
        texts=frame.texts,
        vectors=frame.vectors,
        spaces=frame.spaces,
        pending=frame.pending,
        partitions=frame.partitions,
        live_nodes=sum(int(np.count_nonzero(chunk)) for chunk in alive),
        live_edges=sum(int(np.count_nonzero(chunk & ALIVE)) for chunk in flags),
        adjacency=frame.adjacency,
        expires_us=frame.expires_us if expires_us is None else expires_us,
        is_stale=frame.is_stale,
        recorded=frame.recorded,
        replaced=frame.replaced,
        homes=frame.homes,
    )


def _open_partitions(frame: Frame, sight: Sight) -> Bools:
    """Return which partitions may be seen, shape (partitions,)."""
    wanted = sight.partitions
    return np.array([wanted is None or partition in wanted for partition in frame.partitions], dtype=np.bool_)


def _visible(frame: Frame, sight: Sight) -> Bools:
    """Return which node rows a reader may see, dead ones among them, shape (node rows,)."""
    chunks = [_seen_chunk(frame.nodes, at, _open_partitions(frame, sight), sight) for at in _chunks(frame.nodes)]
    visible = np.concatenate(chunks)
    visible[[row for row in frame.rows(sight.hidden) if row is not None]] = False
    return visible


def _chunks(view: View) -> range:
    return range(len(view.versions) - 1)
