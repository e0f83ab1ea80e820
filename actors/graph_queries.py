"""What can be asked of the graph as a graph, and how a Frame answers: ways, neighbours, components.

Directions are "out", "in" or "both"; an undirected edge is all of them. Edge types are codes, None for all.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final

import numpy as np
from msgspec import Struct

from memorygraph.actors.commands import Query
from memorygraph.events.errors import NodeNotFoundError
from memorygraph.projections.arcs import BOTH, arcs_at, types_mask
from memorygraph.projections.components import grouped, strong_labels, weak_labels
from memorygraph.projections.filters import OPEN, Filters
from memorygraph.projections.frame import Frame, NodeState
from memorygraph.projections.importance import effective_importance
from memorygraph.projections.paths import breadth_first, cheapest_path, depth_first
from memorygraph.projections.similarity import births


class SimilarEach(Query, frozen=True, kw_only=True):
    """Nearest nodes of several vectors, by one matrix product -> ``list[list[tuple[str, float]]]``, as ``Similar``."""

    vectors: list[bytes]
    k: int = 10
    threshold: float = 0.0
    filters: Filters = OPEN


class Neighbours(Query, frozen=True, kw_only=True):
    """The nodes that a node is linked to, each once, oldest link first -> ``list[str]`` (ids)."""

    id: str
    direction: str = BOTH
    edge_type: int | None = None


class Degree(Query, frozen=True, kw_only=True):
    """How many edges a node has -> ``int``."""

    id: str
    direction: str = BOTH


class Traverse(Query, frozen=True, kw_only=True):
    """What is at most ``max_depth`` edges away from a node, itself first -> ``Traversal``."""

    start: str
    max_depth: int
    depth_first: bool = False
    direction: str = BOTH
    edge_type: int | None = None


class CheapestPath(Query, frozen=True, kw_only=True):
    """The path of the least cost, an edge costing 1 - weight * confidence -> ``list[str] | None`` (ids)."""

    source: str
    target: str
    cost_max: float = inf


class Components(Query, frozen=True, kw_only=True):
    """Nodes that reach each other, in any direction or ``strong``ly -> ``list[list[str]]`` (ids), largest first."""

    strong: bool = False


class ByImportance(Query, frozen=True, kw_only=True):
    """Nodes of at least an importance, most important first, equal ones by birth -> ``list[NodeState]``.

    ``effective``: what is left of it at ``now_us``, see ``projections/importance.py``.
    """

    least: float
    limit: int | None = None
    effective: bool = False
    now_us: int = 0


class ByTime(Query, frozen=True, kw_only=True):
    """Nodes whose time (a column of microseconds) is from ``since_us`` to ``until_us``, newest first.

    -> ``list[NodeState]``
    """

    column: str
    since_us: int | None = None
    until_us: int | None = None


class Traversal(Struct, frozen=True):
    """Nodes in the order in which they were come to, and how many edges each is away."""

    ids: list[str]
    depths: list[int]


def row_of(frame: Frame, node_id: str) -> int:
    """Return the row of a live node.

    Raises:
        NodeNotFoundError: there is no such node.
    """
    row = frame.row(node_id)
    if row is None:
        raise NodeNotFoundError(f"there is no node {node_id!r} in this memory", id=node_id)
    return row


def _neighbours(frame: Frame, query: Neighbours) -> list[str]:
    edges, _, targets = arcs_at(frame, _one(row_of(frame, query.id)), query.direction, _types(query.edge_type))
    by_age = targets[np.argsort(edges, kind="stable")].tolist()
    return [frame.interner.ids[row] for row in dict.fromkeys(by_age)]


def _degree(frame: Frame, query: Degree) -> int:
    return len(arcs_at(frame, _one(row_of(frame, query.id)), query.direction).edges)


def _traverse(frame: Frame, query: Traverse) -> Traversal:
    start, types = row_of(frame, query.start), _types(query.edge_type)
    name = frame.interner.ids.__getitem__
    if query.depth_first:
        found, away = depth_first(frame, start, query.max_depth, query.direction, types)
        return Traversal(list(map(name, found)), away)
    rows, depths = breadth_first(frame, start, query.max_depth, query.direction, types)
    return Traversal(list(map(name, rows.tolist())), depths.tolist())


def _cheapest_path(frame: Frame, query: CheapestPath) -> list[str] | None:
    rows = cheapest_path(frame, row_of(frame, query.source), row_of(frame, query.target), query.cost_max)
    return None if rows is None else [frame.interner.ids[row] for row in rows]


def _components(frame: Frame, query: Components) -> list[list[str]]:
    labels = strong_labels(frame) if query.strong else weak_labels(frame)
    name = frame.interner.ids.__getitem__
    return [list(map(name, rows)) for rows in grouped(frame, labels)]


def _by_importance(frame: Frame, query: ByImportance) -> list[NodeState]:
    rows = np.flatnonzero(frame.live_rows()).astype(np.int32)
    values = (
        effective_importance(frame, rows, query.now_us) if query.effective else frame.nodes.column("importance")[rows]
    )
    passing = values >= query.least
    rows, values = rows[passing], values[passing]
    order = np.lexsort((births(frame, rows), -values))
    return [frame.node(row, vector=False) for row in rows[order[: query.limit]].tolist()]


def _by_time(frame: Frame, query: ByTime) -> list[NodeState]:
    times_us = frame.nodes.column(query.column)
    passing = frame.live_rows().copy()
    if query.since_us is not None:
        passing &= times_us >= query.since_us
    if query.until_us is not None:
        passing &= times_us <= query.until_us
    rows = np.flatnonzero(passing).astype(np.int32)
    order = np.lexsort((births(frame, rows), times_us[rows]))[::-1]
    return [frame.node(row, vector=False) for row in rows[order].tolist()]


ANSWERS: Final[dict[type[Query], Callable[[Frame, Any], Any]]] = {
    Neighbours: _neighbours,
    Degree: _degree,
    Traverse: _traverse,
    CheapestPath: _cheapest_path,
    Components: _components,
    ByImportance: _by_importance,
    ByTime: _by_time,
}


def _one(row: int) -> Any:
    return np.array([row], dtype=np.int32)


def _types(code: int | None) -> Any:
    return None if code is None else types_mask([code])
