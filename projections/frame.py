"""A Frame: the whole memory at one position, immutable, for any number of readers (decision 0001, section 5).

``GraphState`` (``graph.py``) makes Frames. What is derived from rows that are never overwritten (adjacency, norms,
postings) is shared by all Frames and asks the Frame which rows count.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.events.records import SpaceDeclared
from memorygraph.events.types import Partition
from memorygraph.projections.tables import CHUNK_BITS, CHUNK_MASK, Interner, View

if TYPE_CHECKING:
    from memorygraph.projections.adjacency import Adjacency
    from memorygraph.projections.pending import PendingView

ORDINAL_BITS: Final = 20  # a birth is (position << 20) | ordinal in its record
ORDINAL_MASK: Final = (1 << ORDINAL_BITS) - 1
ALIVE: Final = 1  # edge flags
UNDIRECTED: Final = 2
NO_ROW: Final = -1
EDGE_ID_CHARS_MAX: Final = 20
NEVER_US: Final = 1 << 63  # later than any time


@lru_cache(maxsize=65_536)
def single(value: float) -> float:
    """Return a single precision value as the shortest decimal that gives the same single (0.8, not 0.800000011...)."""
    return float(str(np.float32(value))) + 0.0  # -0.0 and 0.0 are one value


class Extras(Struct, frozen=True, gc=False):
    """What few nodes have: kept beside the columns."""

    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    speaker: str | None = None
    session: str | int | None = None
    source: str | None = None
    expires_us: int | None = None
    owner: str | None = None


class EdgeExtras(Struct, frozen=True, gc=False):
    """What few edges have: kept beside the columns."""

    id: str = ""
    confidence: float = 1.0
    metadata: dict[str, Any] = {}


NO_EXTRAS: Final = Extras()
NO_EDGE_EXTRAS: Final = EdgeExtras()


class NodeState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node's values at one position, as plain data. Times are microseconds; ``version`` is its last content position.

    The digest is of this. So what is added here has a default, and is left out where it has that: then the digests of
    logs that do not use it stay, and backups made with them can be restored.

    ``vector`` is little-endian float32 bytes, empty when it has none, None when it was not asked for. ``expires_us`` is
    when it is to be forgotten, None for never; ``owner`` the agent whose memory it is, None for nobody's in particular.
    """

    id: str
    content: str
    memory_type: int
    importance: float
    emotional_valence: float
    confidence: float
    consolidation_state: int
    decay_function: int
    decay_rate: float
    tags: tuple[str, ...]
    metadata: dict[str, Any]
    created_us: int
    occurred_us: int
    accessed_us: int
    access_count: int
    access_times_us: tuple[int, ...]
    speaker: str | None
    session: str | int | None
    source: str | None
    partition: Partition
    birth: int
    version: int
    vector: bytes | None
    expires_us: int | None = None
    owner: str | None = None
    archived: bool = False


class EdgeState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An edge's values at one position, as plain data; as to what is added, see ``NodeState``."""

    id: str
    source_id: str
    target_id: str
    edge_type: int
    weight: float
    directed: bool
    confidence: float
    metadata: dict[str, Any]


class Frame:
    """One position of a memory; everything reachable from here is read-only."""

    __slots__ = (
        "_cache",
        "adjacency",
        "changes",
        "edge_names",
        "edges",
        "expires_us",
        "has_archive",
        "homes",
        "interner",
        "is_stale",
        "labels",
        "language",
        "live_edges",
        "live_nodes",
        "name",
        "nodes",
        "partitions",
        "pending",
        "position",
        "recorded",
        "replaced",
        "sights",
        "spaces",
        "texts",
        "times_us",
        "traces",
        "vectors",
    )

    def __init__(
        self,
        *,
        position: int,
        changes: int,
        times_us: array[int],
        name: str,
        language: str,
        interner: Interner,
        nodes: View,
        edges: View,
        edge_names: dict[str, int],
        texts: View,
        labels: View,
        vectors: View | None,
        spaces: tuple[SpaceDeclared, ...],
        partitions: tuple[Partition, ...],
        live_nodes: int,
        live_edges: int,
        adjacency: Adjacency,
        expires_us: int = NEVER_US,
        is_stale: bool = False,
        recorded: Frame | None = None,
        replaced: tuple[int, int, int] = (0, 0, 0),
        pending: PendingView | None = None,
        traces: dict[Any, Any] | None = None,
        has_archive: bool = True,
        homes: View | None = None,
    ) -> None:
        self.position = position
        self.changes = changes
        self.times_us = times_us
        self.name = name
        self.language = language
        self.interner = interner
        self.nodes = nodes
        self.edges = edges
        self.edge_names = edge_names
        self.texts = texts
        self.labels = labels
        self.vectors = vectors
        self.spaces = spaces  # in the order in which they were active
        self.pending = pending  # a space that is being filled
        self.partitions = partitions
        self.live_nodes = live_nodes
        self.live_edges = live_edges
        self.adjacency = adjacency
        self.expires_us = expires_us  # the earliest expiry of a live node
        self.has_archive = has_archive  # whether any node may be in the archive
        self.homes = homes  # of a shard: the virtual shard of each node (``partial.py``)
        self.is_stale = is_stale  # whether its rows hold content that has left the log since
        self.replaced = replaced  # of the records up to here: see GraphState
        self.recorded = recorded or self  # what the log says, where this Frame hides a part of it
        self.sights: dict[Any, Frame] = {}  # what of it some readers see (``sight.py``),
        self.traces = {} if traces is None else traces  # and of what earlier Frames they saw what
        self._cache: dict[str, Any] = {}

    @property
    def space(self) -> SpaceDeclared | None:
        """The active vector space, if one was declared."""
        return self.spaces[-1] if self.spaces else None

    def row(self, node_id: str) -> int | None:
        """Return the row of a live node, or None."""
        row = self.interner.rows.get(node_id)
        if row is None or row >= self.nodes.count or not self.nodes.value("alive", row):
            return None
        return row

    def rows(self, node_ids: Iterable[str]) -> list[int | None]:
        """Return the row of each live node, None for the others."""
        count, row_of = self.nodes.count, self.interner.rows
        alive = [chunk.item for chunk in self.nodes.chunks["alive"] if chunk is not None]
        found = [row_of.get(node_id, count) for node_id in node_ids]
        return [row if row < count and alive[row >> CHUNK_BITS](row & CHUNK_MASK) else None for row in found]

    def are_live(self, rows: NDArray[np.int32]) -> bool:
        """Whether every one of these rows is of a live node of this Frame (negative ones are not)."""
        if rows.min(initial=0) < 0 or rows.max(initial=-1) >= self.nodes.count:
            return False
        return self.live_nodes == self.nodes.count or bool(self.nodes.take("alive", rows).all())

    def has_all(self, node_ids: Collection[str]) -> bool:
        """Whether every one of these nodes is live."""
        interner = self.interner
        if self.live_nodes == self.nodes.count == len(interner.ids):  # nothing was forgotten, nothing came since
            return all(map(interner.rows.__contains__, node_ids))
        return None not in self.rows(node_ids)

    def position_at(self, time_us: int) -> int:
        """Return the last position recorded at or before a time (by the running maximum of record times)."""
        return bisect_right(self.times_us, time_us, 0, self.position)

    def live_rows(self) -> NDArray[np.bool_]:
        """Return which node rows are live, shape (rows,)."""
        return self.nodes.column("alive")

    def live_texts(self) -> NDArray[np.bool_]:
        """Return which text rows are the current text of a live node, shape (text rows,)."""
        return self._current("texts", self.texts, "text_row")

    def live_vectors(self) -> NDArray[np.bool_]:
        """Return which vector rows are the current vector of a live node, shape (vector rows,)."""
        if self.vectors is None:
            return np.zeros(0, dtype=np.bool_)
        return self._current("vectors", self.vectors, "vector_row")

    def masks(self) -> list[NDArray[np.bool_]]:
        """Return what was computed of this Frame and is kept."""
        return list(self._cache.values())

    def _current(self, key: str, rows: View, pointer: str) -> NDArray[np.bool_]:
        """Rows whose node is live and points back to them; computed once per Frame."""
        mask: NDArray[np.bool_] | None = self._cache.get(key)
        if mask is None:
            owner = rows.column("node")
            mask = self.live_rows()[owner] & (self.nodes.column(pointer)[owner] == np.arange(rows.count))
            self._cache[key] = mask
        return mask

    def content(self, row: int) -> str:
        """Return a node's text."""
        text_row = self.nodes.value("text_row", row)
        return "" if text_row == NO_ROW else str(self.texts.value("content", text_row))

    def extras(self, row: int) -> Extras:
        """Return a node's labels: tags, metadata, speaker, session, source."""
        label_row = self.nodes.value("label_row", row)
        return NO_EXTRAS if label_row == NO_ROW else self.labels.value("extras", label_row)

    def vector(self, row: int) -> bytes:
        """Return a node's vector as recorded (little-endian float32 bytes), empty when it has none."""
        vector_row = self.nodes.value("vector_row", row)
        if vector_row == NO_ROW or self.vectors is None:
            return b""
        return self.vectors.vector(vector_row)

    def node(self, row: int, *, vector: bool = True) -> NodeState:
        """Return a node's values."""
        index, place = row >> CHUNK_BITS, row & CHUNK_MASK
        cell: dict[str, Any] = {
            name: None if (chunk := chunks[index]) is None else chunk.item(place)
            for name, chunks in self.nodes.chunks.items()
        }
        extras = self.extras(row)
        return NodeState(
            id=self.interner.ids[row],
            content=self.content(row),
            memory_type=cell["memory_type"],
            importance=cell["importance"],
            emotional_valence=single(cell["emotional_valence"]),
            confidence=single(cell["confidence"]),
            consolidation_state=cell["consolidation_state"],
            decay_function=cell["decay_function"],
            decay_rate=single(cell["decay_rate"]),
            tags=extras.tags,
            metadata=extras.metadata,
            created_us=cell["created_us"],
            occurred_us=cell["occurred_us"],
            accessed_us=cell["accessed_us"],
            access_count=cell["access_count"],
            access_times_us=cell["access_times_us"] or (),
            speaker=extras.speaker,
            session=extras.session,
            source=extras.source,
            partition=self.partitions[cell["partition"]],
            birth=cell["birth"],
            version=cell["version"],
            vector=self.vector(row) if vector else None,
            expires_us=extras.expires_us,
            owner=extras.owner,
            archived=cell["archived"],
        )

    def edge(self, row: int) -> EdgeState:
        """Return an edge's values."""
        cell = self.edges.value
        extras: EdgeExtras = cell("extras", row) or NO_EDGE_EXTRAS
        return EdgeState(
            id=extras.id or edge_id(cell("birth", row)),
            source_id=self.interner.ids[cell("source", row)],
            target_id=self.interner.ids[cell("target", row)],
            edge_type=cell("edge_type", row),
            weight=single(cell("weight", row)),
            directed=not cell("flags", row) & UNDIRECTED,
            confidence=single(extras.confidence),
            metadata=extras.metadata,
        )

    def edge_row(self, wanted: str) -> int | None:
        """Return the row of a live edge by its id, or None."""
        return find_edge(self.edges, self.edge_names, wanted)


def find_edge(edges: View, names: dict[str, int], wanted: str) -> int | None:
    """Return the row of a live edge by its chosen id (``names``), or by its birth if it has none; else None."""
    row = names.get(wanted)
    if row is None:
        birth = parse_edge_id(wanted)
        row = None if birth is None else _edge_born(edges, birth)
        if row is not None and (edges.value("extras", row) or NO_EDGE_EXTRAS).id:
            return None
    elif row >= edges.count:  # the name was given (again) after these edges were published
        return next((row for row in _edges_named(edges, wanted) if edges.value("flags", row) & ALIVE), None)
    if row is None or not edges.value("flags", row) & ALIVE:
        return None
    return row


def _edges_named(edges: View, wanted: str) -> Iterable[int]:
    return (row for row, extras in edges.objects("extras") if extras.id == wanted)


def _edge_born(edges: View, birth: int) -> int | None:
    """Binary search over the chunks: births rise with the rows."""
    low, high = 0, edges.count
    while low < high:
        middle = (low + high) >> 1
        if edges.value("birth", middle) < birth:
            low = middle + 1
        else:
            high = middle
    return low if low < edges.count and edges.value("birth", low) == birth else None


def edge_id(birth: int) -> str:
    """Write an edge's birth as its id, ``position.ordinal``."""
    return f"{birth >> ORDINAL_BITS}.{birth & ORDINAL_MASK}"


def parse_edge_id(text: str) -> int | None:
    """Read ``position.ordinal`` back to a birth; None if the text is not of that form."""
    position, dot, ordinal = text.partition(".")
    if not dot or not (position.isascii() and position.isdigit() and ordinal.isascii() and ordinal.isdigit()):
        return None
    if len(text) > EDGE_ID_CHARS_MAX:
        return None
    birth = int(position) << ORDINAL_BITS | int(ordinal)
    return birth if edge_id(birth) == text else None  # an edge has one name: 07.0 is not 7.0
