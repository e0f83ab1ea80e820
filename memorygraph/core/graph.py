"""``MemoryGraph``: nodes and edges, searched by similarity; every change is a command to the engine underneath."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, Self

from memorygraph import checks
from memorygraph.actors.commands import (
    AddEdges,
    AddNodes,
    AllEdges,
    Describe,
    ForgetNodes,
    GetEdges,
    NodeEdges,
    RemoveEdges,
    ReviseEdge,
    ReviseNodes,
)
from memorygraph.actors.local import LocalEngine
from memorygraph.core.algorithms import GraphAlgorithms
from memorygraph.core.edge import MemoryEdge, edge_revision
from memorygraph.core.node import MemoryNode, revision
from memorygraph.core.searching import PAGE, GraphSearches, asked_recall, pages
from memorygraph.core.settling import GraphSettling
from memorygraph.events.errors import InputError, NodeNotFoundError
from memorygraph.events.records import EdgesAdded, SpaceDeclared
from memorygraph.events.stores.memory import MemoryLog
from memorygraph.events.types import EdgeType
from memorygraph.home import Home
from memorygraph.links import edge_columns, edge_of, plain_columns
from memorygraph.persistence.contents import contents_of, restore
from memorygraph.persistence.json_backend import contents_in, document_of
from memorygraph.projections.arcs import DIRECTIONS
from memorygraph.projections.faiss_index import load_faiss
from memorygraph.projections.filters import Filters
from memorygraph.projections.frame import ORDINAL_BITS
from memorygraph.query import Querying
from memorygraph.stats import MemoryStats, stats_of


class MemoryGraph(GraphSearches, GraphAlgorithms, GraphSettling, Querying):
    """A graph of memories.

    ``MemoryGraph()`` lives in memory; ``AgentMemory(...).graph`` is the graph of an agent's memory.

    Args:
        embedding_dim: the length that vectors are expected to have; the first vector fixes it.
        name: of the memory.
        auto_consolidate: bring a memory to the next state of its consolidation, up to long term, each time that
            ``reinforce`` brings or finds its importance at ``consolidation_threshold`` or above.
        use_faiss: search for vectors through faiss. Up to 49,151 of them the answers are exact, for half the bytes.
            From then on it looks into the nearest groups of vectors only, as many as a check on its own rows says are
            enough to find on average 95 % of the neighbours that there are; where none are, it is exact. A number
            asks for another share, 0..1; 1 is always exact.

    Raises:
        InputError: the share or the threshold is not in 0..1.
        ImportError: faiss is to be used and not installed.
    """

    def __init__(
        self,
        embedding_dim: int = 768,
        name: str = "memory_graph",
        *,
        auto_consolidate: bool = False,
        consolidation_threshold: float = 0.85,
        use_faiss: bool | float = False,
        home: Home | None = None,
    ) -> None:
        self._embedding_dim = checks.count("embedding_dim", embedding_dim, 1, 65_536)
        self.name = checks.note("name", name)
        self._use_faiss = asked_recall(use_faiss)
        if use_faiss:
            load_faiss()
        threshold = checks.within("consolidation_threshold", consolidation_threshold, 0.0, 1.0)
        self._home = home or Home(LocalEngine(MemoryLog(), name=name))
        if auto_consolidate:
            self._home.settles_from = threshold

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
        """Add nodes, all or none, and return their ids. At most 4,096 nodes and 8 MiB in one call.

        Raises:
            BatchTooLarge: there are more.
            DuplicateIdError, EmbeddingDimensionError: as in ``add_node``, of the first that does not fit.
        """
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

        Raises:
            NodeNotFoundError: an end of one is not in the graph; none was added.
            BatchTooLarge: there are more.
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

    def get_edges_between(
        self, source_id: str, target_id: str, edge_type: EdgeType | str | None = None
    ) -> list[MemoryEdge]:
        """Return the edges from one node to another, of one type if it is given; undirected ones count both ways.

        Raises:
            NodeNotFoundError: the first is not there.
        """
        wanted = None if edge_type is None else EdgeType.of(edge_type)
        return [
            edge
            for edge in self.edges_of(source_id, "out")
            if target_id in (edge.source_id, edge.target_id) and wanted in (None, edge.edge_type)
        ]

    def remove_node(self, node_id: str, cascade: bool = True, *, command_id: str | None = None) -> None:
        """Remove a node with its edges.

        Args:
            cascade: False refuses to remove a node that has edges.

        Raises:
            NodeNotFoundError: there is no such node.
            InputError: it has edges, and they were not to go with it.
        """
        if not cascade and self.degree(node_id):
            raise InputError(
                f"the node {node_id!r} has edges; remove them first, or let them go with it (cascade=True)", id=node_id
            )
        operation = ForgetNodes(ids=[checks.identifier("id", node_id)], reason="removed")
        self._home.execute(operation, command_id=command_id)

    def remove_edge(self, edge_id: str, *, command_id: str | None = None) -> None:
        """Remove an edge, undirected ones from both ends.

        Raises:
            EdgeNotFoundError: there is no such edge.
        """
        self._home.execute(RemoveEdges(ids=[checks.identifier("id", edge_id)]), command_id=command_id)

    def update_node_embedding(self, node_id: str, embedding: Any, *, command_id: str | None = None) -> None:
        """Give a node another vector, shape (dim,); None takes it away.

        Raises:
            NodeNotFoundError: there is no such node.
            EmbeddingDimensionError: the vector is of another length than those of the graph.
        """
        change = revision(node_id, {"embedding": embedding}, self._home.limits)
        self._home.execute(ReviseNodes(changes=[change], space=self._home.space), command_id=command_id)

    def edges_of(self, node_id: str, direction: str = "both") -> list[MemoryEdge]:
        """Return a node's edges ("out", "in" or "both"; an undirected edge is both), oldest first.

        Raises:
            NodeNotFoundError: there is no such node.
        """
        asked = NodeEdges(
            id=checks.identifier("id", node_id), direction=checks.one_of("direction", direction, DIRECTIONS)
        )
        answer = self._home.engine.ask(asked)
        return [MemoryEdge._view(state, self._home, answer.position) for state in answer.value]

    def nodes(self) -> Iterator[MemoryNode]:
        """Give every node, oldest first."""
        return self._found(Filters())

    def edges(self) -> Iterator[MemoryEdge]:
        """Give every edge, oldest first, at one position."""
        pinned = self._home.engine.pinned()
        for offset in pages():
            answer = pinned.ask(AllEdges(offset=offset, limit=PAGE))
            yield from (MemoryEdge._view(state, self._home, answer.position) for state in answer.value)
            if len(answer.value) < PAGE:
                return

    def stats(self) -> MemoryStats:
        """Return counts, means, distributions and bytes."""
        return stats_of(self._home.engine)

    def to_dict(self) -> dict[str, Any]:
        """Return its present nodes and edges as plain data for JSON, vectors and times included; no history."""
        return document_of(contents_of(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return a graph in memory with what ``to_dict`` gave; edges without a chosen id get new ones.

        Raises:
            ImportFormatError: it is something else, or damaged; the message names the node or edge.
        """
        contents = contents_in(data, "the data")
        home = Home(LocalEngine(MemoryLog(), name=contents.name, language=contents.language))
        restore(contents, home)
        return cls(contents.embedding_dim, contents.name, home=home)

    @property
    def node_count(self) -> int:
        """How many nodes it has."""
        return len(self)

    @property
    def edge_count(self) -> int:
        """How many edges it has; an undirected edge is one."""
        edges: int = self._home.engine.ask(Describe()).value.edges
        return edges

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


class HasGraph(Protocol):
    """What has a graph, such as an ``AgentMemory``: it may stand wherever a graph is asked for."""

    graph: MemoryGraph


def graph_in(given: MemoryGraph | HasGraph) -> MemoryGraph:
    """Return a graph, or the graph of what has one.

    Raises:
        InputError: it is something else.
    """
    graph = getattr(given, "graph", given)
    if not isinstance(graph, MemoryGraph):
        raise InputError(f"expected a MemoryGraph or an AgentMemory, not {checks.shown(given)}")
    return graph


def _all_of(kind: type, given: Sequence[Any]) -> bool:
    """Whether there are any; raises ``InputError`` if one of them is something else."""
    if not isinstance(given, Sequence) or set(map(type, given)) - {kind}:
        raise InputError(f"expected a list of {kind.__name__}, not {checks.shown(given)}")
    return len(given) > 0
