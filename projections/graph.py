"""The graph projection: applies events in the order of their positions and publishes Frames.

``apply`` is a pure function of the state and the record: values are copied from events or made by double precision
+ - x /, in event order, so every machine comes to the same state. It trusts its events: rules were checked when
the command was decided. What cannot be applied raises ``DamagedLog`` with the position.

A record of which only the hash is kept (compaction, erasure, a partial export) is applied as None. From then on events
may name nodes and edges that such records told of: those are passed over. Records that take away are always kept, so
what is alive here was alive in the whole log, too, and what a compaction keeps comes to the same state.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
from msgspec import UNSET
from msgspec.structs import replace

from memorygraph.events import records as ev
from memorygraph.events.errors import DamagedLog
from memorygraph.events.types import DIM_MAX, EdgeType, Partition
from memorygraph.projections.adjacency import Adjacency
from memorygraph.projections.cells import (
    TIME_MAX,
    edge_cells,
    edge_extras_of,
    extras_of,
    fits_columns,
    require_codes,
    require_single,
)
from memorygraph.projections.columns import EDGE_COLUMNS, LABEL_COLUMNS, NODE_COLUMNS, TEXT_COLUMNS, vector_columns
from memorygraph.projections.expiry import Expiries
from memorygraph.projections.frame import (
    ALIVE,
    NEVER_US,
    NO_EDGE_EXTRAS,
    NO_EXTRAS,
    NO_ROW,
    ORDINAL_BITS,
    UNDIRECTED,
    EdgeExtras,
    Extras,
    Frame,
    find_edge,
)
from memorygraph.projections.overlay import OverlayAdjacency, OverlayInterner, OverlayNames
from memorygraph.projections.pending import PendingSpace
from memorygraph.projections.places import bring_back, move, put_away
from memorygraph.projections.replaced import told_of, without_ends
from memorygraph.projections.sight import traces_of
from memorygraph.projections.tables import Interner, Table
from memorygraph.projections.usage import ACCESS_TIMES_MAX, Usage

T = TypeVar("T")

# NodeRevised fields that are columns of the same name.
_PLAIN_FIELDS: Final = (
    "memory_type",
    "importance",
    "emotional_valence",
    "confidence",
    "consolidation_state",
    "decay_function",
    "decay_rate",
)
_SMALL: Final = 16  # edges of one event that are queued one by one
_EXTRA_FIELDS: Final = ("tags", "metadata", "speaker", "session", "source", "expires_us")


class GraphState(Usage):
    """The writer's side of the graph; one writer at a time."""

    def __init__(self) -> None:
        self.position = 0
        self.name = ""
        self.language = "en"
        self.times_us: array[int] = array("q")
        self.interner = Interner()
        self.nodes = Table(NODE_COLUMNS)
        self.edges = Table(EDGE_COLUMNS)
        self.texts = Table(TEXT_COLUMNS)
        self.labels = Table(LABEL_COLUMNS)
        self.vectors: Table | None = None
        self.spaces: tuple[ev.SpaceDeclared, ...] = ()  # in the order in which they were active
        self.pending: PendingSpace | None = None
        self.partitions: tuple[Partition, ...] = ()
        self._partition_codes: dict[Partition, int] = {}
        self.traces: dict[Any, Any] = {}  # see ``sight.py``
        self.has_archive = False  # whether any node was ever put away
        self.edge_names: dict[str, int] = {}
        self.adjacency = Adjacency()
        self.live_nodes = 0
        self.live_edges = 0
        self.changes = 0  # nodes and edges that events touched, each time they did: what a replay costs
        self._time_us = 0
        self._edge_ordinal = 0
        self._tried_out = 0
        self.replaced = 0  # records of which only the hash is kept, up to here
        self.replaced_told = 0  # those of them that the log itself told of, up to here
        self.content_left = 0  # where the log told last that content leaves it
        self.is_stale = self.was_published = False  # stale: it may hold content that has left the log
        self._expiries = Expiries()
        self._expires_us = NEVER_US  # in a fork, of what it began with
        self._handlers: dict[type[ev.Event], Callable[[Any, int], None]] = {
            ev.MemoryCreated: self._memory_created,
            ev.SpaceDeclared: self._space_declared,
            ev.NodeAdded: self._node_added,
            ev.NodeRevised: self._node_revised,
            ev.NodesForgotten: self._nodes_forgotten,
            ev.NodesReinforced: self._nodes_reinforced,
            ev.AccessesRecorded: self._accesses_recorded,
            ev.EdgesAdded: self._edges_added,
            ev.EdgeRevised: self._edge_revised,
            ev.EdgesStrengthened: self._edges_strengthened,
            ev.EdgesRemoved: self._edges_removed,
            ev.AccessesFolded: self._accesses_folded,
            ev.RecordsReplaced: partial(told_of, self),
            ev.VectorsAdded: self._vectors_added,
            ev.SpaceActivated: self._space_activated,
            ev.ReviewsRecorded: self._reviews_recorded,
            ev.ReviewsEnded: self._reviews_ended,
            ev.AttentionLost: lambda *_: None,  # it tells of a working memory, which is nobody else's
            ev.NodesArchived: partial(put_away, self),
            ev.NodesRestored: partial(bring_back, self),
            ev.NodesMoved: partial(move, self),
        }

    def apply(self, position: int, time_us: int, events: Sequence[ev.Event] | None) -> None:
        """Apply the events of the record at ``position``, which must be the next one; None: only its hash is kept.

        Raises:
            DamagedLog: the record is out of order, or an event does not fit the state before it.
        """
        if position != self.position + 1:
            raise DamagedLog(
                f"the record at position {position} came after position {self.position}; positions must be dense",
                position=position,
                expected=self.position + 1,
            )
        self._time_us = time_us
        self._edge_ordinal = 0
        handlers = self._handlers
        if events is None:
            self.replaced += 1
        try:
            for birth, event in enumerate(events or (), position << ORDINAL_BITS):
                handlers[type(event)](event, birth)
            self.times_us.append(max(time_us, self.times_us[-1] if self.times_us else time_us))
        except DamagedLog as error:
            raise DamagedLog(f"{error} (position {position})", **{"position": position, **error.about}) from error
        except (KeyError, IndexError, ValueError, TypeError, OverflowError) as error:
            raise DamagedLog(
                f"an event at position {position} does not fit the memory before it: {error!r}", position=position
            ) from error
        self.position = position
        self.changes += len(events or ())

    def publish(self) -> Frame:
        """Return the state at the current position as a Frame that later events leave alone."""
        self.was_published = self.position > 0
        return Frame(
            position=self.position,
            changes=self.changes,
            times_us=self.times_us,
            name=self.name,
            language=self.language,
            interner=self.interner,
            nodes=self.nodes.publish(),
            edges=self.edges.publish(),
            edge_names=self.edge_names,
            texts=self.texts.publish(),
            labels=self.labels.publish(),
            vectors=None if self.vectors is None else self.vectors.publish(),
            spaces=self.spaces,
            pending=None if self.pending is None else self.pending.publish(),
            traces=self.traces,
            has_archive=self.has_archive,
            partitions=self.partitions,
            live_nodes=self.live_nodes,
            live_edges=self.live_edges,
            adjacency=self.adjacency,
            expires_us=min(self._expires_us, self._expiries.earliest_us(self._expiry_of)),
            is_stale=self.is_stale,
            replaced=(self.replaced, self.replaced_told, self.content_left),
        )

    @classmethod
    def fork(cls, frame: Frame) -> GraphState:
        """Return a state that goes on from a Frame, for what is not recorded yet (``try_out``); nobody else sees it.

        It shares with the Frame whatever is not changed in it.
        """
        fork = cls()
        fork.position, fork.times_us = frame.position, frame.times_us
        fork.name, fork.language = frame.name, frame.language
        fork.interner = OverlayInterner(frame)
        fork.nodes = Table.fork(NODE_COLUMNS, frame.nodes)
        fork.edges = Table.fork(EDGE_COLUMNS, frame.edges)
        fork.texts = Table.fork(TEXT_COLUMNS, frame.texts)
        fork.labels = Table.fork(LABEL_COLUMNS, frame.labels)
        if frame.vectors is not None:
            fork.vectors = Table.fork(vector_columns(frame.spaces[-1].dim), frame.vectors)
        if frame.pending is not None:
            fork.pending = PendingSpace.fork(frame.pending)
        fork.spaces, fork.partitions = frame.spaces, frame.partitions
        fork.traces, fork.has_archive = traces_of(frame), frame.has_archive
        fork._partition_codes = {partition: code for code, partition in enumerate(frame.partitions)}
        fork.edge_names = OverlayNames(frame)
        fork.adjacency = OverlayAdjacency(frame)
        fork.changes = frame.changes
        fork.live_nodes, fork.live_edges, fork.is_stale = frame.live_nodes, frame.live_edges, frame.is_stale
        fork.replaced, fork.replaced_told, fork.content_left = frame.replaced
        fork._expires_us = frame.expires_us
        return fork

    def try_out(self, time_us: int, events: Sequence[ev.Event]) -> None:
        """Apply, in a fork, more events of the record that would come next."""
        self._time_us = time_us
        first = (self.position + 1 << ORDINAL_BITS) + self._tried_out
        for birth, event in enumerate(events, first):
            self._handlers[type(event)](event, birth)
        self._tried_out += len(events)

    def expires(self, row: int, time_us: int) -> None:
        """Take note of when a node is to be forgotten."""
        self._expiries.add(time_us, row)

    def _memory_created(self, event: ev.MemoryCreated, _: int) -> None:
        self.name = event.name
        self.language = event.language

    def _space_declared(self, event: ev.SpaceDeclared, _: int) -> None:
        if not 0 < event.dim <= DIM_MAX:
            raise DamagedLog(f"a vector space of {event.dim} dimensions, which no release declares", dim=event.dim)
        if self.spaces:  # it waits for its vectors, in place of any that did
            self.pending = PendingSpace(event)
        else:
            self.begin_with((event,))

    def begin_with(self, spaces: tuple[ev.SpaceDeclared, ...]) -> None:
        """Take in the vector spaces that were active, the last of which is, and make its table."""
        self.spaces = spaces
        self.vectors = Table(vector_columns(spaces[-1].dim))

    def _vectors_added(self, event: ev.VectorsAdded, _: int) -> None:
        self.changes += len(event.ids)
        is_active = bool(self.spaces) and event.space == self.spaces[-1].space
        for row, vector in self._with_rows(event.ids, event.vectors):
            if is_active:
                self.nodes.set("vector_row", row, self._new_vector(row, vector))
            else:
                self._pending_space(event.space).put(row, vector)

    def _space_activated(self, event: ev.SpaceActivated, _: int) -> None:
        pending = self._pending_space(event.space)
        self.changes += self.nodes.count
        for row, vector_row in enumerate(pending.publish().vector_rows(self.nodes.count).tolist()):
            self.nodes.set("vector_row", row, vector_row)
        self.vectors = pending.vectors
        self.spaces = (*self.spaces, pending.space)
        self.pending = None

    def _pending_space(self, number: int) -> PendingSpace:
        if self.pending is None or self.pending.space.space != number:
            raise DamagedLog(f"the vector space {number} is not one that waits for its vectors", space=number)
        return self.pending

    def _node_added(self, event: ev.NodeAdded, birth: int) -> None:
        if not fits_columns(event):
            raise DamagedLog(f"the node {event.id!r} has a code, count or time that no release writes", id=event.id)
        interner = self.interner
        row = interner.rows.get(event.id)
        if row is None:
            row = interner.add(event.id)
        elif row >= self.nodes.count or self.nodes.value("alive", row):
            raise DamagedLog(f"the node {event.id!r} is added a second time", id=event.id)
        created = self._time_us if event.recorded_us is None else event.recorded_us
        occurred = created if event.occurred_us is None else event.occurred_us
        accessed = max(event.access_times_us) if event.access_times_us else created
        has_extras = event.tags or event.metadata or event.speaker or event.source or event.session is not None
        has_extras = has_extras or event.owner is not None
        if event.expires_us is not None:
            has_extras = True
            self.expires(row, event.expires_us)
        partition, moved = self.partition_code(event.partition), 0
        is_new = row == self.nodes.count
        if not is_new and self.nodes.value("partition", row) != partition:
            moved = birth >> ORDINAL_BITS  # of another life of the id, elsewhere
        values = (
            event.importance,
            event.emotional_valence,
            event.confidence,
            event.decay_rate,
            created,
            occurred,
            accessed,
            birth,
            birth >> ORDINAL_BITS,
            event.access_count,
            event.memory_type,
            event.consolidation_state,
            event.decay_function,
            True,
            event.archived,
            partition,
            moved,
            self._new_vector(row, event.vector) if event.vector else NO_ROW,
            self.texts.append(row, event.content, event.speaker) if event.content else NO_ROW,
            self._new_labels(extras_of(event)) if has_extras else NO_ROW,
            event.access_times_us[-ACCESS_TIMES_MAX:] or None,
            event.review,
        )
        if is_new:
            self.nodes.append(*values)
        else:
            for name, value in zip(NODE_COLUMNS, values, strict=True):
                self.nodes.set(name, row, value)
            if self.pending is not None:
                self.pending.drop(row)
        self.live_nodes += 1
        self.has_archive |= event.archived

    def _node_revised(self, event: ev.NodeRevised, birth: int) -> None:
        row = self._row(event.id)
        if row is None:
            return
        for name in _PLAIN_FIELDS:
            value = getattr(event, name)
            if value is not UNSET:
                require_single(value)
                self.nodes.set(name, row, value)
        before = self._labels(row)
        changed = {name: value for name in _EXTRA_FIELDS if (value := getattr(event, name)) is not UNSET}
        after = before
        if changed:
            after = replace(before, **changed)
            self.nodes.set("label_row", row, NO_ROW if after == NO_EXTRAS else self._new_labels(after))
        if after.expires_us is not None and after.expires_us != before.expires_us:
            if abs(after.expires_us) >= TIME_MAX:
                raise DamagedLog(f"the node {event.id!r} has a time that no release writes", id=event.id)
            self.expires(row, after.expires_us)
        if event.content is not UNSET or after.speaker != before.speaker:
            self._retext(row, event.content, after.speaker)
        if event.occurred_us is not UNSET:
            occurred = self.nodes.value("created_us", row) if event.occurred_us is None else event.occurred_us
            self.nodes.set("occurred_us", row, occurred)
        if event.vector is not UNSET:
            self.nodes.set("vector_row", row, self._new_vector(row, event.vector) if event.vector else NO_ROW)
        if self.pending is not None and event.content is not UNSET:
            self.pending.drop(row)
        self.nodes.set("version", row, birth >> ORDINAL_BITS)

    def _nodes_forgotten(self, event: ev.NodesForgotten, _: int) -> None:
        rows = [row for node_id in dict.fromkeys(event.ids) if (row := self._row(node_id)) is not None]
        edges = self.edges.publish()
        for edge in self.adjacency.incident(edges, np.array(rows, dtype=np.int32)).tolist():
            self._kill_edge(edge)
        for row in rows:
            self.nodes.set("alive", row, value=False)
            self.nodes.set("review", row, None)
        self.live_nodes -= len(rows)

    def _edges_added(self, event: ev.EdgesAdded, birth: int) -> None:
        count = len(event.sources)
        if len(event.targets) != count:
            raise DamagedLog("an event has edges with one end")
        first = (birth >> ORDINAL_BITS << ORDINAL_BITS) + self._edge_ordinal
        births: Sequence[int] = range(first, first + count)
        self._edge_ordinal += count
        if self.replaced:
            gone = {end for end in {*event.sources, *event.targets} if self._row(end) is None}
            event, births = without_ends(event, births, gone)
            count = len(births)
        start = self.edges.count
        if count < _SMALL:
            self._append_edges(event, births)
        else:
            ends = self.interner.ends_of(event.sources, event.targets)
            if ends.min() < 0:
                raise _unknown_end()
            self.edges.extend(*ends, *edge_cells(event), births, edge_extras_of(event))
        for offset, name in enumerate(event.ids):
            if name:
                self.edge_names[name] = start + offset
        self.live_edges += count
        self.changes += count

    def _append_edges(self, event: ev.EdgesAdded, births: Sequence[int]) -> None:
        """Append the edges of a small event one by one: arrays would take longer to make than to fill."""
        row_of = self.interner.rows.__getitem__
        weights = event.weights or [1.0] * len(births)
        types = event.types or [EdgeType.ASSOCIATION.code] * len(births)
        require_single(*weights)
        require_codes(types)
        flags = [ALIVE | UNDIRECTED if both else ALIVE for both in event.undirected] or [ALIVE] * len(births)
        try:
            ends = list(map(row_of, event.sources)), list(map(row_of, event.targets))
        except KeyError:
            raise _unknown_end() from None
        self.edges.append_rows(zip(*ends, weights, types, flags, births, edge_extras_of(event), strict=True))

    def _edge_revised(self, event: ev.EdgeRevised, _: int) -> None:
        rows = self._edge_rows([event.id])
        if not rows:
            return
        [row] = rows
        if event.edge_type is not UNSET:
            self.edges.set("edge_type", row, event.edge_type)
        if event.weight is not UNSET:
            require_single(event.weight)
            self.edges.set("weight", row, event.weight)
        before: EdgeExtras = self.edges.value("extras", row) or NO_EDGE_EXTRAS
        after = EdgeExtras(
            id=before.id,
            confidence=before.confidence if event.confidence is UNSET else event.confidence,
            metadata=before.metadata if event.metadata is UNSET else event.metadata,
        )
        self.edges.set("extras", row, None if after == NO_EDGE_EXTRAS else after)

    def _edges_strengthened(self, event: ev.EdgesStrengthened, _: int) -> None:
        for row in self._edge_rows(event.ids):
            before = self.edges.value("weight", row)
            after = before + event.delta * (1.0 - before) - event.decay * before
            self.edges.set("weight", row, min(1.0, max(0.0, after)))

    def _edges_removed(self, event: ev.EdgesRemoved, _: int) -> None:
        for row in self._edge_rows(dict.fromkeys(event.ids)):
            self._kill_edge(row)

    def _row(self, node_id: str) -> int | None:
        """Return the row of a live node; None if it is one that replaced records told of."""
        row = self.interner.rows.get(node_id)
        if row is not None and self.nodes.value("alive", row):
            return row
        if self.replaced:
            return None
        raise DamagedLog(f"an event names the node {node_id!r}, which is not in the graph", id=node_id)

    def _with_rows(self, node_ids: Sequence[str], values: Sequence[T]) -> Iterator[tuple[int, T]]:
        """Give the row of each live node with its value; those that replaced records told of are left out."""
        for node_id, value in zip(node_ids, values, strict=True):
            row = self._row(node_id)
            if row is not None:
                yield row, value

    def _edge_rows(self, names: Iterable[str]) -> list[int]:
        edges = self.edges.publish()
        rows = []
        for name in names:
            row = find_edge(edges, self.edge_names, name)
            if row is not None:
                rows.append(row)
            elif not self.replaced:
                raise DamagedLog(f"an event names the edge {name!r}, which is not in the graph", id=name)
        return rows

    def _kill_edge(self, row: int) -> None:
        self.edges.set("flags", row, self.edges.value("flags", row) & ~ALIVE)
        self.live_edges -= 1

    def _expiry_of(self, row: int) -> int | None:
        return self._labels(row).expires_us if self.nodes.value("alive", row) else None

    def partition_code(self, partition: Partition) -> int:
        """Return the number of a partition, giving a new one the next."""
        code = self._partition_codes.get(partition)
        if code is None:
            code = self._partition_codes[partition] = len(self.partitions)
            self.partitions = (*self.partitions, partition)
        return code

    def _new_vector(self, row: int, vector: bytes) -> int:
        if self.vectors is None or len(vector) != 4 * self.spaces[-1].dim:
            raise DamagedLog("a vector does not have the dimension of the memory's space", bytes=len(vector))
        return self.vectors.append(row, vector)

    def _labels(self, row: int) -> Extras:
        label_row = self.nodes.value("label_row", row)
        return NO_EXTRAS if label_row == NO_ROW else self.labels.value("extras", label_row)

    def _new_labels(self, extras: Extras) -> int:
        return self.labels.append(extras)

    def _retext(self, row: int, content: Any, speaker: str | None) -> None:
        """Give the node a new text row; the old one stays for older Frames."""
        text_row = self.nodes.value("text_row", row)
        if content is UNSET:
            content = "" if text_row == NO_ROW else self.texts.value("content", text_row)
        self.nodes.set("text_row", row, self.texts.append(row, content, speaker) if content else NO_ROW)


def _unknown_end() -> DamagedLog:
    return DamagedLog("an event links a node that is not in the graph")
