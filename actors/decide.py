"""The deciding core: what a command means for the memory as it stands. Pure: no I/O, no clock, no dice.

``propose(frame, command, now, ids)`` looks at an immutable Frame and gives a ``Proposal``: events, and what they rest
on since the Frame's position. Whether the proposal still holds when its turn comes is the ledger's question.

Existence of a node or edge is a read of its id. Links found by similarity are advisory: their targets' existence is
a read, the rest is not. Increments and accesses need only existence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET

from memorygraph.actors import commands as cmd
from memorygraph.actors import reviews
from memorygraph.actors.association import links_of_added, superseding_links
from memorygraph.actors.consolidating import advance_consolidation, settle_reinforced
from memorygraph.actors.merging import merge_similar
from memorygraph.actors.placing import (
    archive_nodes,
    move_nodes,
    owns,
    placed,
    require_allowed,
    require_an_end,
    require_free,
    require_owner,
    restore_nodes,
)
from memorygraph.actors.proposal import Proposal
from memorygraph.actors.revising import completed
from memorygraph.actors.spaces import activate_space, add_vectors, declare_space, fitting_space, renew_links
from memorygraph.actors.touches import ACCESSES, version_of
from memorygraph.events import records as ev
from memorygraph.events.errors import (
    BatchTooLarge,
    DuplicateIdError,
    EdgeNotFoundError,
    ExpectationFailed,
    InputError,
    NodeNotFoundError,
)
from memorygraph.events.ports import IdSource
from memorygraph.events.types import CODE_MAX, LIMITS
from memorygraph.projections.cells import fits_columns
from memorygraph.projections.expiry import expired_rows
from memorygraph.projections.fading import faded
from memorygraph.projections.frame import ORDINAL_BITS, ORDINAL_MASK, EdgeState, Frame, parse_edge_id
from memorygraph.projections.graph import GraphState
from memorygraph.projections.sight import PRESENT, Sight, Viewer, seen
from memorygraph.projections.similarity import Norms


class Proposer:
    """Decisions that build on each other: a Frame, and what the operations so far have made of it.

    From the second operation on there is a fork of the state, to which the events so far were applied, so an operation
    is always decided against an ordinary Frame; who only has one to decide pays nothing for it.

    Args:
        names_edges: draw an id for each edge without one, so that it is known before the record has its position.
    """

    def __init__(self, frame: Frame, norms: Norms, ids: IdSource, *, names_edges: bool = False) -> None:
        self._base = self._whole = frame
        self._frame = frame  # what the viewer of a command sees of the whole
        self.viewer: Viewer | None = None
        self._base_norms = self._norms = norms
        self._ids = ids
        self._names_edges = names_edges
        self._now_us = 0
        self._fork: GraphState | None = None
        self._edges = 0
        self._tried = 0  # events that the Frame has
        self.attempt = 0  # rises when the fork is made anew
        self.events: list[ev.Event] = []
        self.reads: list[str] = []
        self.edges_of: list[str] = []

    def take(self, operations: Sequence[cmd.Operation], now_us: int, viewer: Viewer | None = None) -> None:
        """Decide operations in order, all or none, on what the viewer sees.

        Raises:
            InputError: an operation does not fit the memory.
            ExpectationFailed: an expected version is not the current one.
            BatchTooLarge: more than 4,096 events in all.
        """
        events, reads, edges_of = len(self.events), len(self.reads), len(self.edges_of)
        self._now_us = now_us
        self.viewer = viewer
        sight = PRESENT if viewer is None else Sight(partitions=viewer.partitions)
        try:
            for operation in operations:
                if viewer is not None:
                    require_allowed(viewer, operation)
                self._frame = seen(self.frame(), sight)
                _DECISIONS[type(operation)](self, operation)
            self._require_fitting(events)
        except BaseException:
            del self.reads[reads:], self.edges_of[edges_of:]
            self.back_to(events)
            raise

    def frame(self) -> Frame:
        """Return what the Frame and the events so far come to."""
        if self._tried < len(self.events):
            if self._fork is None:
                self._fork = GraphState.fork(self._base)
                self._norms = self._base_norms.fork(self._base)
            self._fork.try_out(self._now_us, self.events[self._tried :])
            self._whole = self._fork.publish()
            self._tried = len(self.events)
        return self._whole

    def seen_by(self, sight: Sight) -> Frame:
        """Return what somebody sees of ``frame()``."""
        return seen(self.frame(), sight)

    def norms(self) -> Norms:
        """Return the lengths of the Frame's vectors."""
        self.frame()
        return self._norms

    def proposal(self) -> Proposal:
        """Return all that was decided."""
        return Proposal(self._base.position, tuple(self.events), self.reads, tuple(self.edges_of))

    def back_to(self, events: int) -> None:
        """Forget all but the first events."""
        del self.events[events:]
        self._edges = _edges_in(self.events)
        if self._tried > events:
            self._fork, self._tried = None, 0
            self.attempt += 1
            self._whole, self._norms = self._base, self._base_norms

    def _require_fitting(self, first: int) -> None:
        if len(self.events) > LIMITS.command_events_max:
            raise BatchTooLarge(
                f"the command makes {len(self.events)} events, more than {LIMITS.command_events_max}; split it",
                events=len(self.events),
            )
        edges = self._edges = self._edges + _edges_in(self.events[first:])
        if edges > ORDINAL_MASK:
            raise BatchTooLarge(f"the command adds {edges} edges, more than {ORDINAL_MASK}; split it", edges=edges)

    def add_nodes(self, operation: cmd.AddNodes) -> None:
        """Give ids, declare the space, add the nodes and their links to similar ones."""
        nodes = _with_vectors(operation.nodes, operation.derived) if operation.derived else operation.nodes
        space = fitting_space(self, operation.space, [node.vector for node in nodes])
        added: list[ev.NodeAdded] = []
        taken: set[str] = set()
        for node in nodes:
            fields: dict[str, Any] = {} if self.viewer is None else placed(self.viewer)
            if not node.id:
                fields["id"] = self._ids.node_id()
            if node.vector:
                fields["space"] = space
            event = msgspec.structs.replace(node, **fields) if fields else node
            self._claim(event, taken)
            if not fits_columns(event):
                raise InputError(f"the node {event.id!r} has a code, count or time out of range", id=event.id)
            if event.expires_us is not None:
                self._require_later(event.id, event.expires_us)
            added.append(event)
        self.events += added
        if operation.supersedes:
            self._supersede(added, operation.supersedes)
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
        space = fitting_space(self, operation.space, vectors)
        for place, change in enumerate(changes):
            row = self._own(change.id)
            expected = operation.expected[place] if operation.expected else 0
            if expected:
                self._expect(change.id, row, expected)
                self.reads.append(version_of(change.id))
            codes = (change.memory_type, change.consolidation_state, change.decay_function)
            if any(code is not UNSET and not 0 <= code <= CODE_MAX for code in codes):
                raise InputError(f"the revision of {change.id!r} has a code out of range", id=change.id)
            if isinstance(change.expires_us, int):
                self._require_later(change.id, change.expires_us)
            self.events.append(completed(self._frame, row, change, space))

    def forget_nodes(self, operation: cmd.ForgetNodes) -> None:
        """Forget named nodes."""
        ids = tuple(dict.fromkeys(operation.ids))
        self._all_own(ids)
        self._forget(ids, operation.reason)

    def forget_faded(self, operation: cmd.ForgetFaded) -> None:
        """Forget what has faded; the curve is computed here, once, and its outcome carried in the event."""
        frame, names = self._frame, self._frame.interner.ids
        rows = np.flatnonzero(frame.live_rows()).astype(np.int32)
        if operation.ids is not None:
            rows = np.array(sorted({row for row in frame.rows(operation.ids) if row is not None}), dtype=np.int32)
        gone = faded(frame, rows, operation.retention_threshold, self._now_us).tolist()
        ids = tuple(names[row] for row in gone if owns(self.viewer, frame, row))
        ids = ids[: operation.limit]
        self.reads += ids
        self._forget(ids, operation.reason)

    def forget_expired(self, operation: cmd.ForgetExpired) -> None:
        """Forget what has expired by now, as much as fits a command."""
        names = self._frame.interner.ids
        ids: list[str] = []
        size_bytes = 0
        for row in expired_rows(self._whole, self._now_us)[: operation.limit]:
            ids.append(names[row])
            size_bytes += len(names[row])
            if size_bytes > LIMITS.command_bytes_max // 8:
                break
        self.reads += ids
        self._forget(tuple(ids), "expired")

    def reinforce_nodes(self, operation: cmd.ReinforceNodes) -> None:
        """Raise importance."""
        self._all_own(operation.ids)
        self.events.append(ev.NodesReinforced(ids=tuple(operation.ids), deltas=(operation.delta,) * len(operation.ids)))
        settle_reinforced(self, operation)

    def record_accesses(self, operation: cmd.RecordAccesses) -> None:
        """Record accesses of the nodes that are still there."""
        pairs = [
            (node_id, time_us)
            for node_id, time_us in zip(operation.ids, operation.times_us, strict=True)
            if self._frame.row(node_id) is not None
        ]
        ids = tuple([node_id for node_id, _ in pairs])
        gone = set(operation.ids).difference(ids) if operation.is_audited else ()
        shown = (*filter(gone.__contains__, operation.ids), *operation.shown)
        if ids or shown:
            times_us = tuple([time_us for _, time_us in pairs])
            self.reads += ids
            self.events.append(ev.AccessesRecorded(ids=ids, times_us=times_us, shown=shown))

    def fold_accesses(self, operation: cmd.FoldAccesses) -> None:
        """Say what accesses came to; it holds only as long as no other access is recorded."""
        frame = self._whole
        rows = [row for row in frame.rows(dict.fromkeys(operation.ids)) if row is not None]
        if not rows:
            return
        cell = frame.nodes.value
        event = ev.AccessesFolded(
            ids=tuple(frame.interner.ids[row] for row in rows),
            access_counts=tuple(cell("access_count", row) for row in rows),
            accessed_us=tuple(cell("accessed_us", row) for row in rows),
            access_times_us=tuple(cell("access_times_us", row) or () for row in rows),
        )
        self.reads += [*event.ids, ACCESSES]
        self.events.append(event)

    def tell_replaced(self, operation: cmd.TellReplaced) -> None:
        """Say it."""
        self.events.append(operation.told)

    def add_edges(self, operation: cmd.AddEdges) -> None:
        """Add edges between existing nodes."""
        edges = operation.edges
        rows = self._frame.interner.ends_of(edges.sources, edges.targets)
        if not self._frame.are_live(rows.ravel()):
            self._all_existing(edges.sources + edges.targets)
        else:
            self.reads += edges.sources + edges.targets
        looped = np.flatnonzero(rows[0] == rows[1])
        if len(looped):
            name = edges.sources[looped[0]]
            raise InputError(f"an edge needs two different nodes; {name!r} cannot be linked to itself", id=name)
        if edges.types and not 0 <= min(edges.types) <= max(edges.types) <= CODE_MAX:
            raise InputError("an edge type is out of range", types=sorted(set(edges.types)))
        taken: set[str] = set()
        for name in filter(None, edges.ids):
            self._claim_edge(name, taken)
        self.events.append(self.named(edges))

    def revise_edge(self, operation: cmd.ReviseEdge) -> None:
        """Replace fields of an edge."""
        ends = self._ends_of([operation.change.id])
        if operation.expected is not None:
            self._expect_edge(operation.expected)
        code = operation.change.edge_type
        if code is not UNSET and not 0 <= code <= CODE_MAX:
            raise InputError(f"the edge type {code} is out of range", type=code)
        self.events.append(msgspec.structs.replace(operation.change, nodes=ends))

    def strengthen_edges(self, operation: cmd.StrengthenEdges) -> None:
        """Update weights by Hebb's rule."""
        ids, ends = tuple(operation.ids), self._ends_of(operation.ids)
        self.events.append(ev.EdgesStrengthened(ids=ids, delta=operation.delta, decay=operation.decay, nodes=ends))

    def remove_edges(self, operation: cmd.RemoveEdges) -> None:
        """Remove edges."""
        ids = tuple(dict.fromkeys(operation.ids))
        ends = self._ends_of(ids)
        if ids:
            self.events.append(ev.EdgesRemoved(ids=ids, reason=operation.reason, nodes=ends))

    def _forget(self, ids: tuple[str, ...], reason: str) -> None:
        if ids:
            self.events.append(ev.NodesForgotten(ids=ids, reason=reason, neighbours=self._neighbours(ids)))

    def _neighbours(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Return the nodes that lose an edge when these go."""
        frame = self._whole  # also those that the viewer does not see are told
        rows = np.array([row for row in frame.rows(ids) if row is not None], dtype=np.int32)
        edges = frame.adjacency.incident(frame.edges, rows)
        ends = np.concatenate([frame.edges.take("source", edges), frame.edges.take("target", edges)])
        left = np.setdiff1d(ends, rows).tolist()
        return tuple(frame.interner.ids[row] for row in left)

    def _require_later(self, node_id: str, expires_us: int) -> None:
        if expires_us <= self._now_us:
            raise InputError(
                f"the memory {node_id!r} would have expired {(self._now_us - expires_us) / 1e6:.0f} seconds ago; "
                "give a time to come, or forget it",
                id=node_id,
                expires_us=expires_us,
            )

    def _claim(self, node: ev.NodeAdded, taken: set[str]) -> None:
        """Take a new id: that nobody has it is a read, too."""
        require_free(self._whole, node, taken)
        taken.add(node.id)
        self.reads.append(node.id)

    def _claim_edge(self, name: str, taken: set[str]) -> None:
        if parse_edge_id(name) is not None:
            raise InputError(f"edge ids like {name!r} are given by the memory; choose another, or none", id=name)
        if name in taken or self._whole.edge_row(name) is not None:
            raise DuplicateIdError(f"the memory already has an edge {name!r}", id=name)
        taken.add(name)
        self.reads.append(name)

    def named(self, edges: ev.EdgesAdded) -> ev.EdgesAdded:
        """Give edges ids, if they need them now."""
        if not self._names_edges:
            return edges
        names = edges.ids or [""] * len(edges.sources)
        return msgspec.structs.replace(edges, ids=[name or self._ids.node_id() for name in names])

    def _existing(self, node_id: str) -> int:
        """Return the row of a live node and note that we rely on it."""
        row = self._frame.row(node_id)
        if row is None:
            raise NodeNotFoundError(f"there is no node {node_id!r} in this memory", id=node_id)
        self.reads.append(node_id)
        return row

    def _own(self, node_id: str) -> int:
        """Return the row of a live node that the viewer may change."""
        row = self._existing(node_id)
        require_owner(self.viewer, self._frame, row)
        return row

    def _all_own(self, node_ids: Collection[str]) -> None:
        if self.viewer is None:
            self._all_existing(node_ids)
        else:
            for node_id in node_ids:
                self._own(node_id)

    def _all_existing(self, node_ids: Collection[str]) -> None:
        """Note that we rely on these nodes."""
        if not self._frame.has_all(node_ids):
            for node_id in node_ids:
                self._existing(node_id)
        else:
            self.reads += node_ids

    def _ends_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the nodes that edges which the viewer may change link, each once; note that we rely on both."""
        ends: dict[str, None] = {}
        for name in names:
            row = self._edge_row(name)
            if row is None:
                raise EdgeNotFoundError(f"there is no edge {name!r} in this memory", id=name)
            ends |= dict.fromkeys(require_an_end(self.viewer, self._frame, row))
            self.reads.append(name)
        self.reads += ends
        return tuple(ends)

    def _edge_row(self, name: str) -> int | None:
        """Return the row of a live edge; one that this command adds has no id yet, unless one was given."""
        if self._fork is not None and (parse_edge_id(name) or 0) >> ORDINAL_BITS > self._base.position:
            return None
        return self._frame.edge_row(name)

    def _expect(self, node_id: str, row: int, expected: int) -> None:
        version = self._frame.nodes.value("version", row)
        if version != expected:
            raise ExpectationFailed(
                f"node {node_id!r} is at version {version}, not {expected}: somebody revised it; read it again",
                id=node_id,
                expected=expected,
                found=version,
            )

    def _expect_edge(self, expected: EdgeState) -> None:
        """An edge has no version: it must be as it was read, and stay so."""
        row = self._frame.edge_row(expected.id)
        found = None if row is None else self._frame.edge(row)
        if found != expected:
            raise ExpectationFailed(
                f"edge {expected.id!r} is not as it was read: somebody revised it; read it again", id=expected.id
            )
        self.reads.append(version_of(expected.id))

    def _supersede(self, added: list[ev.NodeAdded], supersedes: list[list[str]]) -> None:
        """Link each new node to those whose place it takes."""
        pairs = [(node.id, old) for node, olds in zip(added, supersedes, strict=False) for old in dict.fromkeys(olds)]
        made = {node.id for node in added} if pairs else set()
        for new, old in pairs:
            if new == old:
                raise InputError(f"the node {new!r} cannot supersede itself", id=new)
            if old not in made:
                self._existing(old)
        if pairs:
            self.events.append(self.named(superseding_links(pairs)))

    def _associate(self, added: list[ev.NodeAdded], policy: cmd.Associate) -> None:
        """Link each new node to the nearest older ones and to earlier ones of its batch."""
        for links in links_of_added(self._whole, self._norms, added, policy):
            self.reads += links.targets
            self.events.append(self.named(links))


def propose(frame: Frame, norms: Norms, command: cmd.Command, now_us: int, ids: IdSource) -> Proposal:
    """Decide a command at a Frame; ``norms`` are the lengths of its vectors (derived, shared).

    Raises:
        MemoryGraphError: see ``Proposer.take``.
    """
    proposer = Proposer(frame, norms, ids)
    proposer.take(command.operations, now_us, command.viewer)
    return proposer.proposal()


_DECISIONS: Final[dict[type[cmd.Operation], Callable[[Proposer, Any], None]]] = {
    cmd.AddNodes: Proposer.add_nodes,
    cmd.ReviseNodes: Proposer.revise_nodes,
    cmd.ForgetNodes: Proposer.forget_nodes,
    cmd.ForgetFaded: Proposer.forget_faded,
    cmd.ForgetExpired: Proposer.forget_expired,
    cmd.ReinforceNodes: Proposer.reinforce_nodes,
    cmd.RecordAccesses: Proposer.record_accesses,
    cmd.FoldAccesses: Proposer.fold_accesses,
    cmd.TellReplaced: Proposer.tell_replaced,
    cmd.AddEdges: Proposer.add_edges,
    cmd.ReviseEdge: Proposer.revise_edge,
    cmd.StrengthenEdges: Proposer.strengthen_edges,
    cmd.RemoveEdges: Proposer.remove_edges,
    cmd.DeclareSpace: declare_space,
    cmd.AddVectors: add_vectors,
    cmd.ActivateSpace: activate_space,
    cmd.RenewLinks: renew_links,
    cmd.AdvanceConsolidation: advance_consolidation,
    cmd.MergeSimilar: merge_similar,
    cmd.MoveNodes: move_nodes,
    cmd.ArchiveNodes: archive_nodes,
    cmd.RestoreNodes: restore_nodes,
    **reviews.DECISIONS,
}


def _edges_in(events: Sequence[ev.Event]) -> int:
    edges = 0
    for event in events:
        if isinstance(event, ev.EdgesAdded):
            edges += len(event.sources)
    return edges


def _with_vectors(nodes: list[ev.NodeAdded], derived: list[bytes]) -> list[ev.NodeAdded]:
    return [
        msgspec.structs.replace(node, vector=vector) if vector and not node.vector else node
        for node, vector in zip(nodes, derived, strict=True)
    ]
