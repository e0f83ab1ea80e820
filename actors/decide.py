"""The deciding core: what a command means for the memory as it stands. Pure: no I/O, no clock, no dice.

``propose(frame, command, now, ids)`` looks at an immutable Frame and gives the events and what they rest on: ``reads``,
ids that must not have been touched (``touched_by``) since the Frame's position. Whether the proposal still holds when
its turn comes is the ledger's question.

Existence of a node or edge is a read of its id. Links found by similarity are advisory: their targets' existence is
a read, the rest is not. Increments and accesses need only existence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, Struct

from memorygraph.actors import commands as cmd
from memorygraph.events import records as ev
from memorygraph.events.errors import (
    BatchTooLarge,
    DuplicateIdError,
    EdgeNotFoundError,
    EmbedderMismatch,
    EmbeddingDimensionError,
    ExpectationFailed,
    InputError,
    NodeNotFoundError,
)
from memorygraph.events.ports import IdSource
from memorygraph.events.types import CODE_MAX, LIMITS, ConsolidationState, DecayFunction, EdgeType
from memorygraph.projections.frame import ORDINAL_MASK, Frame, parse_edge_id
from memorygraph.projections.graph import fits_columns
from memorygraph.projections.retention import retention_now
from memorygraph.projections.similarity import Norms, nearest_each

IMPORTANT: Final = 0.9  # contract item 27: memories this important are never forgotten for having faded


class Proposal(Struct, frozen=True):
    """Events for a command, decided at ``position``, and the ids that they rest on (doubles do no harm)."""

    position: int
    events: tuple[ev.Event, ...]
    reads: list[str]


class Proposer:
    """One decision: an immutable Frame, and what the command's operations have come to so far."""

    def __init__(self, frame: Frame, norms: Norms, now_us: int, ids: IdSource) -> None:
        self._frame = frame
        self._norms = norms
        self._now_us = now_us
        self._ids = ids
        self._events: list[ev.Event] = []
        self._reads: list[str] = []
        self._added: set[str] = set()  # nodes that are there only because of earlier operations of this command
        self._gone: set[str] = set()  # nodes of the Frame that earlier operations forget
        self._named: set[str] = set()  # edges, by chosen id, that earlier operations add
        self._cut: set[str] = set()  # edges of the Frame that earlier operations remove
        self._space = frame.space

    def proposal(self, command: cmd.Command) -> Proposal:
        """Decide every operation in order.

        Raises:
            InputError: the operation does not fit the memory.
            ExpectationFailed: an expected version is not the current one.
            BatchTooLarge: more than 4,096 events.
        """
        for operation in command.operations:
            _DECISIONS[type(operation)](self, operation)
        if len(self._events) > LIMITS.command_events_max:
            raise BatchTooLarge(
                f"the command makes {len(self._events)} events, more than {LIMITS.command_events_max}; split it",
                events=len(self._events),
            )
        edges = sum(len(event.sources) for event in self._events if isinstance(event, ev.EdgesAdded))
        if edges > ORDINAL_MASK:
            raise BatchTooLarge(f"the command adds {edges} edges, more than {ORDINAL_MASK}; split it", edges=edges)
        return Proposal(self._frame.position, tuple(self._events), self._reads)

    def add_nodes(self, operation: cmd.AddNodes) -> None:
        """Give ids, declare the space, add the nodes and their links to similar ones."""
        nodes = _with_vectors(operation.nodes, operation.derived)
        space = self._fitting_space(operation.space, [node.vector for node in nodes])
        added = []
        for node in nodes:
            fields: dict[str, Any] = {}
            if not node.id:
                fields["id"] = self._ids.node_id()
            if node.vector:
                fields["space"] = space
            event = msgspec.structs.replace(node, **fields) if fields else node
            self._claim(event.id)
            if not fits_columns(event):
                raise InputError(f"the node {event.id!r} has a code, count or time out of range", id=event.id)
            added.append(event)
        self._events += added
        if operation.associate is not None:
            self._associate(added, operation.associate)

    def revise_nodes(self, operation: cmd.ReviseNodes) -> None:
        """Replace fields; a new content brings its new vector."""
        changes = list(operation.changes)
        if operation.derived:
            changes = [
                msgspec.structs.replace(change, vector=vector) if vector else change
                for change, vector in zip(changes, operation.derived, strict=True)
            ]
        vectors = [change.vector for change in changes if isinstance(change.vector, bytes)]
        space = self._fitting_space(operation.space, vectors)
        for place, change in enumerate(changes):
            row = self._existing(change.id)
            expected = operation.expected[place] if operation.expected else 0
            if expected and row is not None:
                self._expect(change.id, row, expected)
                self._reads.append(_version_of(change.id))
            codes = (change.memory_type, change.consolidation_state, change.decay_function)
            if any(code is not UNSET and not 0 <= code <= CODE_MAX for code in codes):
                raise InputError(f"the revision of {change.id!r} has a code out of range", id=change.id)
            has_vector = change.vector is not UNSET and change.vector
            self._events.append(msgspec.structs.replace(change, space=space) if has_vector else change)

    def forget_nodes(self, operation: cmd.ForgetNodes) -> None:
        """Forget named nodes."""
        ids = tuple(dict.fromkeys(operation.ids))
        self._all_existing(ids)
        self._forget(ids, operation.reason)

    def forget_faded(self, operation: cmd.ForgetFaded) -> None:
        """Forget what has faded; the curve is computed here, once, and its outcome carried in the event."""
        nodes = self._frame.nodes
        faded = self._frame.live_rows() & (retention_now(self._frame, self._now_us) < operation.retention_threshold)
        faded &= nodes.column("importance") < IMPORTANT
        faded &= nodes.column("decay_function") != DecayFunction.NO_DECAY.code
        faded &= nodes.column("consolidation_state") != ConsolidationState.LONG_TERM.code
        names = self._frame.interner.ids
        ids = tuple(names[row] for row in np.flatnonzero(faded).tolist() if names[row] not in self._gone)
        ids = ids[: operation.limit]
        self._reads += ids
        self._forget(ids, operation.reason)

    def reinforce_nodes(self, operation: cmd.ReinforceNodes) -> None:
        """Raise importance."""
        self._all_existing(operation.ids)
        self._events.append(
            ev.NodesReinforced(ids=tuple(operation.ids), deltas=(operation.delta,) * len(operation.ids))
        )

    def record_accesses(self, operation: cmd.RecordAccesses) -> None:
        """Record accesses of the nodes that are still there."""
        pairs = [
            (node_id, time_us)
            for node_id, time_us in zip(operation.ids, operation.times_us, strict=True)
            if self._frame.row(node_id) is not None and node_id not in self._gone
        ]
        if pairs:
            ids, times_us = zip(*pairs, strict=True)
            self._reads += ids
            self._events.append(ev.AccessesRecorded(ids=ids, times_us=times_us))

    def add_edges(self, operation: cmd.AddEdges) -> None:
        """Add edges between existing nodes."""
        edges = operation.edges
        rows = self._frame.interner.ends_of(edges.sources, edges.targets)
        if self._added or self._gone or not self._frame.are_live(rows.ravel()):
            self._all_existing(edges.sources + edges.targets)
        else:
            self._reads += edges.sources + edges.targets
        looped = np.flatnonzero(rows[0] == rows[1])
        if len(looped):
            name = edges.sources[looped[0]]
            raise InputError(f"an edge needs two different nodes; {name!r} cannot be linked to itself", id=name)
        if edges.types and not 0 <= min(edges.types) <= max(edges.types) <= CODE_MAX:
            raise InputError("an edge type is out of range", types=sorted(set(edges.types)))
        for name in filter(None, edges.ids):
            self._claim_edge(name)
        self._events.append(edges)

    def revise_edge(self, operation: cmd.ReviseEdge) -> None:
        """Replace fields of an edge."""
        ends = self._ends_of([operation.change.id])
        code = operation.change.edge_type
        if code is not UNSET and not 0 <= code <= CODE_MAX:
            raise InputError(f"the edge type {code} is out of range", type=code)
        self._events.append(msgspec.structs.replace(operation.change, nodes=ends))

    def strengthen_edges(self, operation: cmd.StrengthenEdges) -> None:
        """Update weights by Hebb's rule."""
        ids, ends = tuple(operation.ids), self._ends_of(operation.ids)
        event = ev.EdgesStrengthened(ids=ids, delta=operation.delta, decay=operation.decay, nodes=ends)
        self._events.append(event)

    def remove_edges(self, operation: cmd.RemoveEdges) -> None:
        """Remove edges."""
        ids = tuple(dict.fromkeys(operation.ids))
        ends = self._ends_of(ids)
        self._cut.update(ids)
        if ids:
            self._events.append(ev.EdgesRemoved(ids=ids, reason=operation.reason, nodes=ends))

    def _forget(self, ids: tuple[str, ...], reason: str) -> None:
        self._gone.update(ids)
        self._added.difference_update(ids)
        if ids:
            self._events.append(ev.NodesForgotten(ids=ids, reason=reason, neighbours=self._neighbours(ids)))

    def _neighbours(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Return the nodes that lose an edge when these go."""
        frame = self._frame
        rows = np.array([row for row in frame.rows(ids) if row is not None], dtype=np.int32)
        edges = frame.adjacency.incident(frame.edges, rows)
        ends = np.concatenate([frame.edges.take("source", edges), frame.edges.take("target", edges)])
        left = np.setdiff1d(ends, rows).tolist()
        return tuple(frame.interner.ids[row] for row in left)

    def _claim(self, node_id: str) -> None:
        """Take a new id: that nobody has it is a read, too."""
        if node_id in self._added or (self._frame.row(node_id) is not None and node_id not in self._gone):
            raise DuplicateIdError(
                f"the memory already has a node {node_id!r}; revise it, or leave the id out to get a new one",
                id=node_id,
            )
        self._added.add(node_id)
        self._reads.append(node_id)

    def _claim_edge(self, name: str) -> None:
        if parse_edge_id(name) is not None:
            raise InputError(f"edge ids like {name!r} are given by the memory; choose another, or none", id=name)
        if name in self._named or self._frame.edge_row(name) is not None:
            raise DuplicateIdError(f"the memory already has an edge {name!r}", id=name)
        self._named.add(name)
        self._reads.append(name)

    def _existing(self, node_id: str) -> int | None:
        """Return the row of a live node (None: this very command adds it) and note that we rely on it."""
        if node_id in self._added:
            return None
        row = self._frame.row(node_id)
        if row is None or node_id in self._gone:
            raise NodeNotFoundError(f"there is no node {node_id!r} in this memory", id=node_id)
        self._reads.append(node_id)
        return row

    def _all_existing(self, node_ids: Collection[str]) -> None:
        """Note that we rely on these nodes."""
        if self._added or self._gone or not self._frame.has_all(node_ids):
            for node_id in node_ids:
                self._existing(node_id)
        else:
            self._reads += node_ids

    def _ends_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the nodes that existing edges link, each once, and note that we rely on both."""
        ends: dict[str, None] = {}
        for name in names:
            row = self._frame.edge_row(name)
            edge = None if row is None or name in self._cut else self._frame.edge(row)
            if edge is None or edge.source_id in self._gone or edge.target_id in self._gone:
                raise EdgeNotFoundError(f"there is no edge {name!r} in this memory", id=name)
            ends |= {edge.source_id: None, edge.target_id: None}
            self._reads.append(name)
        self._reads += ends
        return tuple(ends)

    def _expect(self, node_id: str, row: int, expected: int) -> None:
        version = self._frame.nodes.value("version", row)
        if version != expected:
            raise ExpectationFailed(
                f"node {node_id!r} is at version {version}, not {expected}: somebody revised it; read it again",
                id=node_id,
                expected=expected,
                found=version,
            )

    def _fitting_space(self, space: ev.SpaceDeclared | None, vectors: Sequence[bytes]) -> int:
        """Return the number of the space that the vectors belong to, declaring the memory's first one."""
        dims = {len(vector) // 4 for vector in vectors if vector}
        if not dims:
            return 0
        current = self._space
        if current is None:
            dim = next(iter(dims))
            current = self._space = msgspec.structs.replace(space or _external(dim), space=1)
            self._events.append(current)
            self._reads.append(_SPACE)
        if dims != {current.dim}:
            found = min(dims - {current.dim})
            raise EmbeddingDimensionError(
                f"a vector has {found} dimensions; this memory holds vectors of {current.dim}",
                expected=current.dim,
                found=found,
            )
        if space is not None and not _same_space(space, current):
            raise EmbedderMismatch(
                f"the vectors come from {_title(space)}; this memory holds vectors of {_title(current)}. "
                "Open it with that embedder, or start a new memory",
                expected=_title(current),
                found=_title(space),
            )
        return current.space

    def _associate(self, added: list[ev.NodeAdded], policy: cmd.Associate) -> None:
        """Link each new node to the nearest older ones and to earlier ones of its batch."""
        with_vector = [node for node in added if node.vector]
        if not with_vector:
            return
        queries = np.stack([np.frombuffer(node.vector, dtype="<f4") for node in with_vector])
        older = nearest_each(self._frame, self._norms, queries, policy.k, policy.threshold)
        ids = self._frame.interner.ids
        sources, targets, weights = [], [], []
        for place, node in enumerate(with_vector):
            found = [(ids[row], cosine) for row, cosine in older[place] if ids[row] not in self._gone]
            found += _earlier(with_vector, queries, place, policy.threshold)
            found.sort(key=lambda pair: -pair[1])
            for target, cosine in found[: policy.k]:
                sources.append(node.id)
                targets.append(target)
                weights.append(_single(cosine))
        if sources:
            self._reads += targets
            self._events.append(
                ev.EdgesAdded(
                    sources=sources,
                    targets=targets,
                    weights=weights,
                    types=[EdgeType.SIMILARITY.code] * len(sources),
                    undirected=[True] * len(sources),
                )
            )


def propose(frame: Frame, norms: Norms, command: cmd.Command, now_us: int, ids: IdSource) -> Proposal:
    """Decide a command at a Frame; ``norms`` are the lengths of its vectors (derived, shared).

    Raises:
        MemoryGraphError: see ``Proposer.proposal``.
    """
    return Proposer(frame, norms, now_us, ids).proposal(command)


def touched_by(events: Sequence[ev.Event]) -> list[str]:
    """Return what events change for those who rely on it: ids that come or go, and versions that are replaced."""
    touched: list[str] = []
    for event in events:
        if isinstance(event, ev.NodeAdded):
            touched.append(event.id)
        elif isinstance(event, ev.NodeRevised):
            touched.append(_version_of(event.id))
        elif isinstance(event, ev.NodesForgotten | ev.EdgesRemoved):
            touched += event.ids
        elif isinstance(event, ev.EdgesAdded):
            touched += filter(None, event.ids)
        elif isinstance(event, ev.SpaceDeclared):
            touched.append(_SPACE)
    return touched


def _version_of(node_id: str) -> str:
    """The resource "this node's version": who only needs the node to exist does not mind a revision."""
    return f"\0version {node_id}"


_SPACE: Final = "\0space"  # the resource "the memory's vector space", as a read; no id starts with NUL

_DECISIONS: Final[dict[type[cmd.Operation], Callable[[Proposer, Any], None]]] = {
    cmd.AddNodes: Proposer.add_nodes,
    cmd.ReviseNodes: Proposer.revise_nodes,
    cmd.ForgetNodes: Proposer.forget_nodes,
    cmd.ForgetFaded: Proposer.forget_faded,
    cmd.ReinforceNodes: Proposer.reinforce_nodes,
    cmd.RecordAccesses: Proposer.record_accesses,
    cmd.AddEdges: Proposer.add_edges,
    cmd.ReviseEdge: Proposer.revise_edge,
    cmd.StrengthenEdges: Proposer.strengthen_edges,
    cmd.RemoveEdges: Proposer.remove_edges,
}


def _with_vectors(nodes: list[ev.NodeAdded], derived: list[bytes]) -> list[ev.NodeAdded]:
    if not derived:
        return nodes
    return [
        msgspec.structs.replace(node, vector=vector) if vector and not node.vector else node
        for node, vector in zip(nodes, derived, strict=True)
    ]


def _external(dim: int) -> ev.SpaceDeclared:
    """The space of vectors that come without an embedder."""
    return ev.SpaceDeclared(space=1, name="external", dim=dim)


def _same_space(one: ev.SpaceDeclared, other: ev.SpaceDeclared) -> bool:
    return (one.name, one.version, one.dim) == (other.name, other.version, other.dim)


def _title(space: ev.SpaceDeclared) -> str:
    version = f" {space.version}" if space.version else ""
    return f"{space.name}{version} ({space.dim} dimensions)"


def _earlier(nodes: list[ev.NodeAdded], queries: Any, place: int, threshold: float) -> list[tuple[str, float]]:
    """Cosines of one new node with those before it in its batch."""
    if not place:
        return []
    query = queries[place]
    lengths = np.linalg.norm(queries[:place], axis=1) * np.linalg.norm(query)
    cosine = queries[:place] @ query / np.where(lengths > 0, lengths, 1)
    return [(nodes[other].id, float(cosine[other])) for other in np.flatnonzero(cosine >= threshold).tolist()]


def _single(value: float) -> float:
    return float(np.float32(min(1.0, max(0.0, value))))
