"""Arcs: edges as seen from one of their ends. A directed edge leads out of its source, an undirected one of both.

The rows that come back are those of live edges; what lies at their other end is a live node, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.frame import ALIVE, UNDIRECTED, Frame

OUT: Final = "out"
IN: Final = "in"
BOTH: Final = "both"
DIRECTIONS: Final = (BOTH, OUT, IN)

Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]
Doubles = NDArray[np.float64]


class Arcs(NamedTuple):
    """Arcs by column, shape (arcs,) each: the edge's row, the node it is seen from, and the node at its other end."""

    edges: Rows
    origins: Rows
    targets: Rows


def arcs_at(frame: Frame, nodes: Rows, direction: str = BOTH, types: Mask | None = None) -> Arcs:
    """Return the arcs of some nodes, each node once.

    Args:
        direction: "out", "in" or "both"; an undirected edge is all of them.
        types: which edge types count, by code, shape (256,); None: all.
    """
    edges = frame.edges
    out = frame.adjacency.outgoing(edges, nodes)
    back = frame.adjacency.incoming(edges, nodes)
    if direction == OUT:
        back = _kept(back, edges.take("flags", back) & UNDIRECTED)
    elif direction == IN:
        out = _kept(out, edges.take("flags", out) & UNDIRECTED)
    if types is not None:
        out, back = (_kept(rows, types.take(edges.take("edge_type", rows))) for rows in (out, back))
    return Arcs(
        np.concatenate([out, back]),
        np.concatenate([edges.take("source", out), edges.take("target", back)]),
        np.concatenate([edges.take("target", out), edges.take("source", back)]),
    )


def all_arcs(frame: Frame, direction: str = OUT) -> Arcs:
    """Return every arc of a Frame; an undirected edge gives two."""
    flags = frame.edges.column("flags")
    rows = np.flatnonzero(flags & ALIVE).astype(np.int32)
    source, target = frame.edges.column("source")[rows], frame.edges.column("target")[rows]
    twice = np.ones(len(rows), np.bool_) if direction == BOTH else (flags[rows] & UNDIRECTED).astype(np.bool_)
    if direction == IN:
        source, target = target, source
    return Arcs(
        np.concatenate([rows, rows[twice]]),
        np.concatenate([source, target[twice]]),
        np.concatenate([target, source[twice]]),
    )


def strengths(frame: Frame, edges: Rows, *, confidence: bool = True) -> Doubles:
    """Return the weights of edge rows, times their confidences unless these are left out, shape (edges,)."""
    weights = frame.edges.take("weight", edges).astype(np.float64)
    return weights * _confidences(frame, edges) if confidence else weights


def types_mask(include: Iterable[int] | None = None, exclude: Iterable[int] | None = None) -> Mask | None:
    """Return which edge types count, by code: those included, else all, without those excluded; None: all."""
    if include is None and not exclude:
        return None
    mask = np.full(256, include is None)
    if include is not None:
        mask[list(include)] = True
    mask[list(exclude or ())] = False
    return mask


def distinct(rows: Rows, total: int) -> Rows:
    """Return each of some rows, all below ``total``, once, ascending."""
    if len(rows) * 16 < total:
        return np.unique(rows)
    mark = np.zeros(total, dtype=np.bool_)
    mark[rows] = True
    return np.flatnonzero(mark).astype(np.int32)


def _kept(rows: Rows, which: NDArray[Any]) -> Rows:
    """Return the rows that count; NumPy picks by place faster than by mask."""
    return rows if which.all() else rows.take(np.flatnonzero(which))


def _confidences(frame: Frame, rows: Rows) -> Doubles:
    """Edge confidences are rare, and beside the columns: they are read where any edge has something there."""
    if all(chunk is None for chunk in frame.edges.chunks["extras"]):
        return np.ones(len(rows))
    found = frame.edges.gather("extras", rows)
    return np.array([1.0 if extras is None else extras.confidence for extras in found])
