"""``Contents``: what a file holds of a graph, taken from an engine, checked after reading, and put into another one.

Kept is the present: every live node and edge with all fields, vectors, accesses and partitions. What tells of the log
(versions, and ids like ``7.0``, the 1st edge of position 7) stays behind: in another log they are others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from memorygraph.actors.commands import AddEdges, AddNodes, ArchiveNodes, Describe, Everything
from memorygraph.drafts import CHUNK_BYTES, CHUNK_ITEMS, size_bytes
from memorygraph.events.records import EdgesAdded, NodeAdded, SpaceDeclared
from memorygraph.events.types import EdgeType
from memorygraph.links import unless_all
from memorygraph.projections.contents import columns_of
from memorygraph.projections.frame import EdgeState

if TYPE_CHECKING:
    from memorygraph.core.graph import MemoryGraph
    from memorygraph.home import Home

_MOMENT_US: Final = 60_000_000  # what expires while a file is read in is left out, too
_NODE_BYTES: Final = 1 << 10  # what a node takes beside its texts and vector, names of fields included
_EDGES_AT_ONCE: Final = 1024  # three ids of 512 characters of 4 bytes, so many times, fit a command


class Contents(Struct, frozen=True, kw_only=True):
    """A graph as a file holds it.

    ``edges`` has every column filled, with '' for an id that was not chosen; ``space`` is None where there are no
    vectors.
    """

    name: str
    language: str
    position: int
    embedding_dim: int
    space: SpaceDeclared | None
    nodes: list[NodeAdded]
    edges: EdgesAdded


def contents_of(graph: MemoryGraph) -> Contents:
    """Return what a graph holds at one position, with what it recalled until now."""
    engine = graph._home.engine
    if not (engine.read_only or engine.in_transaction):
        engine.flush()
    pinned = engine.pinned()
    about, position = pinned.ask(Describe()).value, pinned.ask(Describe()).position
    nodes, edges = pinned.ask(Everything()).value
    return Contents(
        name=about.name,
        language=about.language,
        position=position,
        embedding_dim=graph.embedding_dim,
        space=about.space,
        nodes=nodes,
        edges=edges,
    )


def restore(contents: Contents, home: Home) -> None:
    """Add nodes and edges to an empty memory, but for what has expired since they were written, in large commands."""
    now_us = home.clock.now_us() + _MOMENT_US
    gone = {node.id for node in contents.nodes if node.expires_us is not None and node.expires_us <= now_us}
    nodes = [node for node in contents.nodes if node.id not in gone] if gone else contents.nodes
    for part in _slices([_size_bytes(node) for node in nodes], CHUNK_ITEMS):
        some = [replace(node, archived=False) if node.archived else node for node in nodes[part]]
        home.execute(AddNodes(nodes=some, space=contents.space))
    edges = _without(contents.edges, gone) if gone else contents.edges
    sizes = [size_bytes(state) for state in edge_states(edges)] if any(edges.metadata) else [0] * len(edges.sources)
    for part in _slices(sizes, _EDGES_AT_ONCE):
        home.execute(AddEdges(edges=_part(edges, part)))
    archived = [node.id for node in nodes if node.archived]  # now that their edges are there
    for part in _slices([len(name) for name in archived], len(archived)):
        home.execute(ArchiveNodes(ids=archived[part], reason="loaded"))


def edge_states(edges: EdgesAdded) -> Iterator[EdgeState]:
    """Give edges one by one."""
    for at, name in enumerate(edges.ids):
        yield EdgeState(
            id=name,
            source_id=edges.sources[at],
            target_id=edges.targets[at],
            edge_type=edges.types[at],
            weight=edges.weights[at],
            directed=not edges.undirected[at],
            confidence=edges.confidences[at],
            metadata=edges.metadata[at],
        )


def _size_bytes(node: NodeAdded) -> int:
    """Return the bytes of a node in the log, or a little more."""
    rare = node.metadata or node.access_times_us or node.speaker or node.source or node.session is not None
    if rare or node.partition.name or not node.content.isascii():
        return size_bytes(node)
    return _NODE_BYTES + len(node.content) + len(node.vector) + 4 * (len(node.id) + sum(map(len, node.tags)))


def _slices(sizes: Sequence[int], items_max: int) -> Iterator[slice]:
    """Cut items of these sizes into runs of at most so many and about ``CHUNK_BYTES``."""
    first = total = 0
    for place, size in enumerate(sizes):
        if place > first and (place - first == items_max or total + size > CHUNK_BYTES):
            yield slice(first, place)
            first, total = place, 0
        total += size
    if first < len(sizes):
        yield slice(first, len(sizes))


def _part(edges: EdgesAdded, part: slice) -> EdgesAdded:
    """Return some of the edges as an event; columns that hold only defaults stay empty."""
    return EdgesAdded(
        sources=edges.sources[part],
        targets=edges.targets[part],
        weights=unless_all(1.0, edges.weights[part]),
        types=unless_all(EdgeType.ASSOCIATION.code, edges.types[part]),
        undirected=edges.undirected[part] if any(edges.undirected[part]) else [],
        confidences=unless_all(1.0, edges.confidences[part]),
        metadata=edges.metadata[part] if any(edges.metadata[part]) else [],
        ids=edges.ids[part] if any(edges.ids[part]) else [],
    )


def _without(edges: EdgesAdded, gone: set[str]) -> EdgesAdded:
    """Return the edges whose ends are not among these nodes."""
    return columns_of([edge for edge in edge_states(edges) if not gone & {edge.source_id, edge.target_id}])
