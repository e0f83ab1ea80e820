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
from memorygraph.persistence.contents import columns_of
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
    """Make the changes of a diff: what goes first, then what comes, what is changed last."""
    home = graph._home
    is_small = sum(diff.summary().values()) <= TOGETHER_MAX and not home.engine.in_transaction
    present = {node_id for node_id, node in after.items() if not node.archived and not _archived(before, node_id)}
    with graph.transaction() if is_small else nullcontext():
        rows = dict(_edge_ids(graph, key_of))
        gone = [rows[key] for key in diff.removed_edges if key in rows]
        for ids in chunks_of(gone, len):
            home.execute(RemoveEdges(ids=ids, reason="synced"))
        for ids in chunks_of([*diff.removed_nodes], len):
            home.execute(ForgetNodes(ids=ids, reason="synced"))
        added = [after[node_id] for node_id in diff.added_nodes]
        for nodes in chunks_of([replace(node, archived=False) for node in added], size_bytes):
            home.execute(AddNodes(nodes=nodes, space=home.space))
        present |= {node.id for node in added}
        for changes in chunks_of(list(_revisions(diff, present)), size_bytes):
            home.execute(ReviseNodes(changes=changes, space=home.space))
        new = [edges[key] for key in diff.added_edges if {key.source_id, key.target_id} <= present]
        for states in chunks_of(new, size_bytes):
            home.execute(AddEdges(edges=columns_of(states)))
        for key in diff.changed_edges:
            if key in rows:
                home.execute(ReviseEdge(change=_edge_revision(rows[key], edges[key])))
        _archive(graph, before, after, diff, [node.id for node in added if node.archived])


def _archived(before: Mapping[str, NodeAdded], node_id: str) -> bool:
    return node_id in before and before[node_id].archived


def _edge_ids(graph: MemoryGraph, key_of: Callable[[EdgeState], EdgeKey]) -> Iterator[tuple[EdgeKey, str]]:
    """Give the key of each edge of a graph, with its id; equal ones are numbered in order of birth."""
    known: set[EdgeKey] = set()
    for edge in graph.edges():
        key = key_of(edge._now())
        while key in known:
            key = key._replace(number=key.number + 1)
        known.add(key)
        yield key, edge.id


def _revisions(diff: GraphDiff, present: set[str]) -> Iterator[NodeRevised]:
    for node_id, fields in diff.changed_nodes.items():
        values: dict[str, Any] = {name: new for name, (_, new) in fields.items() if name in _REVISABLE}
        if values and node_id in present:
            yield NodeRevised(id=node_id, **values)


def _edge_revision(edge_id: str, edge: EdgeState) -> EdgeRevised:
    return EdgeRevised(id=edge_id, weight=edge.weight, confidence=edge.confidence, metadata=edge.metadata)


def _archive(
    graph: MemoryGraph,
    before: Mapping[str, NodeAdded],
    after: Mapping[str, NodeAdded],
    diff: GraphDiff,
    added: list[str],
) -> None:
    turned = [node_id for node_id, fields in diff.changed_nodes.items() if "archived" in fields]
    away = [node_id for node_id in turned if after[node_id].archived] + added
    back = [node_id for node_id in turned if before[node_id].archived]
    for ids in chunks_of(away, len):
        graph._home.execute(ArchiveNodes(ids=ids, reason="synced"))
    for ids in chunks_of(back, len):
        graph._home.execute(RestoreNodes(ids=ids))
