"""``MemoryGraph``: nodes and edges, searched by similarity; every change is a command to the engine underneath."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

from memorygraph import checks
from memorygraph.actors.commands import (
    AddEdges,
    AddNodes,
    AllEdges,
    Describe,
    FindNodes,
    ForgetNodes,
    GetEdges,
    NodeEdges,
    RemoveEdges,
    ReviseEdge,
    ReviseNodes,
    Similar,
)
from memorygraph.actors.local import LocalEngine
from memorygraph.core.edge import MemoryEdge, edge_revision
from memorygraph.core.node import MemoryNode, revision
from memorygraph.events.errors import InputError, NodeNotFoundError
from memorygraph.events.records import EdgesAdded, SpaceDeclared
from memorygraph.events.stores.memory import MemoryLog
from memorygraph.events.types import MemoryType
from memorygraph.home import Home
from memorygraph.links import edge_columns, edge_of, plain_columns
from memorygraph.projections.filters import Filters
from memorygraph.projections.frame import ORDINAL_BITS, NodeState
from memorygraph.stats import MemoryStats, stats_of

PAGE: int = 4096
_DIRECTIONS = ("both", "out", "in")


class SearchResult(NamedTuple):
    """A node found by similarity: its id and its cosine with the query."""

    node_id: str
    score: float


class MemoryGraph:
    """A graph of memories.

    ``MemoryGraph()`` lives in memory; ``AgentMemory(...).graph`` is the graph of an agent's memory.

    Args:
        embedding_dim: the length that vectors are expected to have; the first vector fixes it.
        name: of the memory.
    """

    def __init__(self, embedding_dim: int = 768, name: str = "memory_graph", *, home: Home | None = None) -> None:
        self._embedding_dim = checks.count("embedding_dim", embedding_dim, 1, 65_536)
        self.name = checks.note("name", name)
        self._home = home or Home(LocalEngine(MemoryLog(), name=name))

    @property
    def embedding_dim(self) -> int:
        """The length of its vectors; before the first one, the length that is expected."""
        space: SpaceDeclared | None = self._home.engine.ask(Describe()).value.space
        return self._embedding_dim if space is None else space.dim

    def add_node(self, node: MemoryNode, *, command_id: str | None = None) -> str:
        """Add a node and return its id; from then on the object reads through to the graph.

        Raises:
            DuplicateIdError: the id is taken.
            EmbeddingDimensionError: its vector has another dimension than the graph's.
        """
        return self.add_nodes([node], command_id=command_id)[0]

    def add_nodes(self, nodes: Sequence[MemoryNode], *, command_id: str | None = None) -> list[str]:
        """Add nodes, all or none, and return their ids. At most 4,096 nodes and 8 MiB in one call."""
        home = self._home
        _all_of(MemoryNode, nodes)
        events = [node._event(home) for node in nodes]
        home.execute(AddNodes(nodes=events, space=home.space), command_id=command_id)
        for node in nodes:
            node._added_to(home)
        return [node.id for node in nodes]

    def add_edge(self, edge: MemoryEdge, *, command_id: str | None = None) -> str:
        """Add an edge and return its id; from then on the object reads through to the graph.

        Raises:
            NodeNotFoundError: an end is not in the graph.
        """
        self.add_edges([edge], command_id=command_id)
        return edge.id

    def add_edges(self, edges: Iterable[MemoryEdge | Sequence[Any]], *, command_id: str | None = None) -> None:
        """Add edges, all or none. At most 8 MiB in one call.

        Args:
            edges: ``MemoryEdge`` objects, or tuples (source, target, edge_type, weight, directed) as ``link_many``
                takes them: they cost no object each.
        """
        home = self._home
        given = list(checks.several("edges", edges))
        if not given:
            return
        columns = plain_columns(given)
        if columns is not None:
            home.execute(AddEdges(edges=columns), command_id=command_id)
            return
        made = [edge if isinstance(edge, MemoryEdge) else edge_of(edge) for edge in given]
        states = [
            edge._state if edge._position is None and edge._home in (None, home) else edge._draft() for edge in made
        ]
        receipt = home.execute(AddEdges(edges=edge_columns(states)), command_id=command_id)
        names = next((event.ids for event in receipt.events if isinstance(event, EdgesAdded) and event.ids), [])
        first = receipt.position << ORDINAL_BITS
        for place, edge in enumerate(made):
            edge._added_to(home, first + place, names[place] if names else "")

    @contextmanager
    def transaction(self, *, command_id: str | None = None) -> Iterator[Self]:
        """Do all that this thread does to the graph in the block as one record, or, after any exception, nothing of it.

        In the block the graph is seen as it will be; others see it afterwards. Blocks wait for each other; a block in a
        block is part of it. At most 4,096 events and 8 MiB.

        Args:
            command_id: of the whole; a second block of the same id is refused.

        Raises:
            TransactionConflict: somebody changed a node or edge that was read by its id, or revised, in the block.
            CommandIdReused: the block was carried out before.
            BatchTooLarge: it does not fit one record.
        """
        with self._home.transaction(command_id):
            yield self

    def get_node(self, node_id: str) -> MemoryNode:
        """Return a view of a node.

        Raises:
            NodeNotFoundError: there is no such node.
        """
        state, position = self._home.node(checks.identifier("id", node_id))
        return MemoryNode._view(state, self._home, position)

    def get_node_safe(self, node_id: str) -> MemoryNode | None:
        """Return a view of a node, or None if there is no such node."""
        try:
            return self.get_node(node_id)
        except NodeNotFoundError:
            return None

    def get_edge(self, edge_id: str) -> MemoryEdge:
        """Return a view of an edge.

        Raises:
            EdgeNotFoundError: there is no such edge.
        """
        state, position = self._home.edge(checks.identifier("id", edge_id))
        return MemoryEdge._view(state, self._home, position)

    def revise_edge(
        self,
        edge: str | MemoryEdge,
        *,
        expected: MemoryEdge | None = None,
        command_id: str | None = None,
        **fields: Any,
    ) -> MemoryEdge:
        """Replace fields of an edge and return its new view; what is not named stays.

        Args:
            edge: its id, or the edge itself.
            expected: the edge as you read it; it must still be so.
            fields: edge_type, weight, confidence, metadata.

        Raises:
            EdgeNotFoundError: there is no such edge.
            ExpectationFailed: somebody changed it meanwhile; nothing was written.
        """
        name = edge.id if isinstance(edge, MemoryEdge) else edge
        state = None if expected is None else expected._now()
        operation = ReviseEdge(change=edge_revision(name, fields), expected=state)
        self._home.execute(operation, command_id=command_id)
        return self.get_edge(name)

    def get_edges_between(self, source_id: str, target_id: str) -> list[MemoryEdge]:
        """Return the edges from one node to another; undirected ones count both ways."""
        return [edge for edge in self.edges_of(source_id, "out") if target_id in (edge.source_id, edge.target_id)]

    def remove_node(self, node_id: str, *, command_id: str | None = None) -> None:
        """Remove a node with its edges.

        Raises:
            NodeNotFoundError: there is no such node.
        """
        operation = ForgetNodes(ids=[checks.identifier("id", node_id)], reason="removed")
        self._home.execute(operation, command_id=command_id)

    def remove_edge(self, edge_id: str, *, command_id: str | None = None) -> None:
        """Remove an edge, undirected ones from both ends.

        Raises:
            EdgeNotFoundError: there is no such edge.
        """
        self._home.execute(RemoveEdges(ids=[checks.identifier("id", edge_id)]), command_id=command_id)

    def update_node_embedding(self, node_id: str, embedding: Any, *, command_id: str | None = None) -> None:
        """Give a node another vector."""
        change = revision(node_id, {"embedding": embedding}, self._home.limits)
        self._home.execute(ReviseNodes(changes=[change], space=self._home.space), command_id=command_id)

    def edges_of(self, node_id: str, direction: str = "both") -> list[MemoryEdge]:
        """Return a node's edges ("out", "in" or "both"; an undirected edge is both), oldest first.

        Raises:
            NodeNotFoundError: there is no such node.
        """
        if direction not in _DIRECTIONS:
            raise InputError(f"direction must be one of {', '.join(_DIRECTIONS)}, not {checks.shown(direction)}")
        answer = self._home.engine.ask(NodeEdges(id=checks.identifier("id", node_id), direction=direction))
        return [MemoryEdge._view(state, self._home, answer.position) for state in answer.value]

    def neighbors(self, node_id: str, direction: str = "both") -> list[str]:
        """Return the ids of the nodes that a node is linked to, each once, oldest link first."""
        ends = [
            edge.target_id if edge.source_id == node_id else edge.source_id
            for edge in self.edges_of(node_id, direction)
        ]
        return list(dict.fromkeys(ends))

    def successors(self, node_id: str) -> list[str]:
        """Return the ids that edges lead to from a node."""
        return self.neighbors(node_id, "out")

    def predecessors(self, node_id: str) -> list[str]:
        """Return the ids that edges lead from to a node."""
        return self.neighbors(node_id, "in")

    def degree(self, node_id: str) -> int:
        """Return how many edges a node has."""
        return len(self.edges_of(node_id))

    def similarity_search(
        self,
        query: Any,
        k: int = 10,
        threshold: float = 0.0,
        memory_type: MemoryType | str | None = None,
        tags: Iterable[str] | None = None,
    ) -> list[SearchResult]:
        """Return up to k nodes by cosine with a vector, best first, none below ``threshold``.

        Filters act inside the search, so k nodes come back whenever k pass them.

        Args:
            query: vector, shape (dim,), finite.
            tags: all of them must be there.
        """
        limits = self._home.limits
        filters = Filters(
            memory_type=None if memory_type is None else MemoryType.of(memory_type).code, tags=checks.tags(tags, limits)
        )
        asked = Similar(
            vector=checks.question(query),
            k=checks.count("k", k, 1, limits.k_max),
            threshold=checks.number("threshold", threshold, -1.0, math.inf),
            filters=filters,
        )
        return [SearchResult(*found) for found in self._home.engine.ask(asked).value]

    def query_by_type(self, memory_type: MemoryType | str) -> list[MemoryNode]:
        """Return the nodes of a kind, oldest first."""
        return list(self._found(Filters(memory_type=MemoryType.of(memory_type).code)))

    def query_by_tag(self, *tags: str) -> list[MemoryNode]:
        """Return the nodes that have all these tags, oldest first."""
        return list(self._found(Filters(tags=checks.tags(tags, self._home.limits))))

    def nodes(self) -> Iterator[MemoryNode]:
        """Give every node, oldest first."""
        return self._found(Filters())

    def edges(self) -> Iterator[MemoryEdge]:
        """Give every edge, oldest first, at one position."""
        pinned = self._home.engine.pinned()
        for offset in _pages():
            answer = pinned.ask(AllEdges(offset=offset, limit=PAGE))
            yield from (MemoryEdge._view(state, self._home, answer.position) for state in answer.value)
            if len(answer.value) < PAGE:
                return

    def stats(self) -> MemoryStats:
        """Return counts, means, distributions and bytes."""
        return stats_of(self._home.engine)

    def __len__(self) -> int:
        nodes: int = self._home.engine.ask(Describe()).value.nodes
        return nodes

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        nodes, _ = self._home.nodes([key])
        return nodes[0] is not None or self._home.engine.ask(GetEdges(ids=[key])).value[0] is not None

    def __iter__(self) -> Iterator[MemoryNode]:
        return self.nodes()

    def _found(self, filters: Filters) -> Iterator[MemoryNode]:
        pinned = self._home.engine.pinned()
        for offset in _pages():
            answer = pinned.ask(FindNodes(filters=filters, offset=offset, limit=PAGE))
            states: list[NodeState] = answer.value
            yield from (MemoryNode._view(state, self._home, answer.position) for state in states)
            if len(states) < PAGE:
                return


def _all_of(kind: type, given: Sequence[Any]) -> bool:
    """Whether there are any; raises ``InputError`` if one of them is something else."""
    if not isinstance(given, Sequence) or set(map(type, given)) - {kind}:
        raise InputError(f"expected a list of {kind.__name__}, not {checks.shown(given)}")
    return len(given) > 0


def _pages() -> Iterator[int]:
    offset = 0
    while True:
        yield offset
        offset += PAGE
