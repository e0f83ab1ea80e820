"""``Linking``: how memories are linked, and links revised and taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from memorygraph import checks
from memorygraph.actors.commands import AddEdges, RemoveEdges
from memorygraph.bulk import Bulk
from memorygraph.core.edge import MemoryEdge
from memorygraph.core.graph import MemoryGraph
from memorygraph.core.node import MemoryNode
from memorygraph.drafts import id_of
from memorygraph.events.records import EdgesAdded
from memorygraph.events.types import EdgeType
from memorygraph.home import Home
from memorygraph.links import batches_of, edge_columns, edges_in


class Linking:
    """The part of ``AgentMemory`` that writes links."""

    graph: MemoryGraph
    _home: Home

    def link(
        self,
        source: str | MemoryNode,
        target: str | MemoryNode,
        edge_type: EdgeType | str = EdgeType.ASSOCIATION,
        weight: float = 0.8,
        directed: bool = True,
        *,
        metadata: Mapping[str, Any] | None = None,
        command_id: str | None = None,
    ) -> MemoryEdge:
        """Link two memories and return the edge; two may have several.

        Args:
            source, target: ids, or the memories.
            edge_type: an ``EdgeType`` or its name.
            weight: strength, 0..1 (clipped).
            directed: False: it holds both ways.
            metadata: plain data.

        Raises:
            InputError: both are the same memory, or a value cannot be used.
            NodeNotFoundError: one of them is not there.
        """
        edge = MemoryEdge(id_of(source), id_of(target), edge_type, weight, directed=directed, metadata=metadata)
        receipt = self._home.execute(AddEdges(edges=edge_columns([edge._state])), command_id=command_id)
        return self.graph.get_edge(edges_in(receipt.events, receipt.position)[0])

    def link_many(
        self,
        links: Iterable[Sequence[Any] | Mapping[str, Any]],
        *,
        command_id: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Link many memories, in chunks that are each all or nothing, and return how many links were made.

        Args:
            links: tuples (source, target, edge_type, weight, directed) or dicts of ``link``'s arguments.
            command_id, progress: as in ``AgentMemory.remember_many``.

        Raises:
            MemoryGraphError: of the chunk that failed; it says how many were done and how to go on.
        """
        return self._link_many(links, Bulk(self._home, command_id, links, progress))

    def revise_edge(
        self,
        edge: str | MemoryEdge,
        *,
        expected: MemoryEdge | None = None,
        command_id: str | None = None,
        **fields: Any,
    ) -> MemoryEdge:
        """Replace fields of a link and return its new view; see ``MemoryGraph.revise_edge``."""
        return self.graph.revise_edge(edge, expected=expected, command_id=command_id, **fields)

    def unlink(self, edge: str | MemoryEdge, *, reason: str = "", command_id: str | None = None) -> None:
        """Take a link away; both memories stay.

        Args:
            reason: for the log.

        Raises:
            EdgeNotFoundError: there is no such link.
        """
        self.unlink_many([edge], reason=reason, command_id=command_id)

    def unlink_many(
        self, edges: Iterable[str | MemoryEdge], *, reason: str = "", command_id: str | None = None
    ) -> None:
        """Take links away, all or none.

        Raises:
            EdgeNotFoundError: one of them is not there; nothing was taken away.
        """
        ids = [
            edge.id if isinstance(edge, MemoryEdge) else checks.identifier("edge", edge)
            for edge in checks.several("edges", edges)
        ]
        self._home.execute(RemoveEdges(ids=ids, reason=checks.note("reason", reason)), command_id=command_id)

    def _link_many(self, links: Iterable[Sequence[Any] | Mapping[str, Any]], bulk: Bulk) -> int:
        def send(edges: EdgesAdded, name: str | None) -> int:
            self._home.execute(AddEdges(edges=edges), command_id=name, id_chosen=bulk.is_given)
            return len(edges.sources)

        return bulk.run(batches_of(checks.several("links", links)), send)
