"""Making the changes in a graph that bring it in line with another (``graphops.py``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from memorygraph.actors.commands import (
    AddEdges,
    AddNodes,
    ArchiveNodes,
    ForgetNodes,
    RemoveEdges,
    RestoreNodes,
    ReviseEdge,
    ReviseNodes,
)
from memorygraph.core.graph import MemoryGraph
from memorygraph.drafts import chunks_of, size_bytes
from memorygraph.events.records import EdgeRevised, NodeAdded, NodeRevised
from memorygraph.projections.contents import columns_of
from memorygraph.projections.frame import EdgeState

if TYPE_CHECKING:
    from memorygraph.graphops import EdgeKey, GraphDiff

TOGETHER_MAX: Final = 1000  # changes that are made in one transaction
_REVISABLE: Final = frozenset(NodeRevised.__struct_fields__) - {"id", "space"}


def bring_in_line(
    graph: MemoryGraph,
    before: Mapping[str, NodeAdded],
    after: Mapping[str, NodeAdded],
    edges: Mapping[EdgeKey, EdgeState],
    diff: GraphDiff,
    key_of: Callable[[EdgeState], EdgeKey],
) -> None:
    """Make the changes of a diff: what goes first, then what comes, what is changed last.

    What they concern is taken out of the archive for them, and put away at the end where it is to be there.
    """
    home = graph._home
    is_small = sum(diff.summary().values()) <= TOGETHER_MAX and not home.engine.in_transaction
    woken = [node_id for node_id in _concerned(diff) if node_id in before and before[node_id].archived]
    with graph.transaction() if is_small else nullcontext():
        for ids in chunks_of(woken, len):
            home.execute(RestoreNodes(ids=ids))
        rows = dict(_edge_ids(graph, key_of))
        gone = [rows[key] for key in diff.removed_edges if key in rows]
        for ids in chunks_of(gone, len):
            home.execute(RemoveEdges(ids=ids, reason="synced"))
        for ids in chunks_of([*diff.removed_nodes], len):
            home.execute(ForgetNodes(ids=ids, reason="synced"))
        added = [after[node_id] for node_id in diff.added_nodes]
        for nodes in chunks_of([replace(node, archived=False) for node in added], size_bytes):
            home.execute(AddNodes(nodes=nodes, space=home.space))
        for changes in chunks_of(list(_revisions(diff)), size_bytes):
            home.execute(ReviseNodes(changes=changes, space=home.space))
        for states in chunks_of([edges[key] for key in diff.added_edges], size_bytes):
            home.execute(AddEdges(edges=columns_of(states)))
        for key in diff.changed_edges:
            if key in rows:
                home.execute(ReviseEdge(change=_edge_revision(rows[key], edges[key])))
        turned = [*woken, *diff.added_nodes, *diff.changed_nodes]
        away = [node_id for node_id in dict.fromkeys(turned) if node_id in after and after[node_id].archived]
        for ids in chunks_of(away, len):
            home.execute(ArchiveNodes(ids=ids, reason="synced"))


def _concerned(diff: GraphDiff) -> dict[str, None]:
    """Return the nodes of which a diff says something, and the ends of such edges."""
    edges = (*diff.added_edges, *diff.removed_edges, *diff.changed_edges)
    ends = [end for key in edges for end in (key.source_id, key.target_id)]
    return dict.fromkeys([*diff.removed_nodes, *diff.changed_nodes, *ends])


def _edge_ids(graph: MemoryGraph, key_of: Callable[[EdgeState], EdgeKey]) -> Iterator[tuple[EdgeKey, str]]:
    """Give the key of each edge of a graph, with its id; equal ones are numbered in order of birth."""
    known: set[EdgeKey] = set()
    for edge in graph.edges():
        key = key_of(edge._now())
        while key in known:
            key = key._replace(number=key.number + 1)
        known.add(key)
        yield key, edge.id


def _revisions(diff: GraphDiff) -> Iterator[NodeRevised]:
    for node_id, fields in diff.changed_nodes.items():
        values: dict[str, Any] = {name: new for name, (_, new) in fields.items() if name in _REVISABLE}
        if values:
            yield NodeRevised(id=node_id, **values)


def _edge_revision(edge_id: str, edge: EdgeState) -> EdgeRevised:
    return EdgeRevised(id=edge_id, weight=edge.weight, confidence=edge.confidence, metadata=edge.metadata)
