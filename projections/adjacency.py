"""Which edges touch which nodes: a CSR of edge rows by source and by target, and the newest rows as its delta.

The CSR covers the first m edge rows. Rows beyond m are found by one mask over the tail of the edge columns, so there
is no second copy of an edge to keep in step. When the tail passes 16,384 rows and 5 % of m, the sorted tail is spliced
in. Sources and targets of a row never change, so one CSR serves every Frame: rows a Frame does not have, or that
are not alive in it, are left out on reading.
"""

from __future__ import annotations

import threading
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.frame import ALIVE
from memorygraph.projections.tables import View

Rows = NDArray[np.int32]
TAIL_ROWS_MIN: Final = 16_384
TAIL_SHARE: Final = 0.05


class _Index(NamedTuple):
    """One direction: the edge rows of node r are ``edges[starts[r]:starts[r + 1]]``, in row order."""

    starts: NDArray[np.int32]
    edges: Rows


class Built(NamedTuple):
    """Both directions, over the first ``rows`` edge rows."""

    rows: int
    by_source: _Index
    by_target: _Index


def _empty() -> Built:
    index = _Index(np.zeros(1, dtype=np.int32), np.zeros(0, dtype=np.int32))
    return Built(0, index, index)


class Adjacency:
    """The shared, growing index; safe for any number of readers and writers."""

    def __init__(self) -> None:
        self._built = _empty()
        self._growing = threading.Lock()

    def size_bytes(self) -> int:
        """Return the bytes of the index arrays."""
        return sum(index.starts.nbytes + index.edges.nbytes for index in self._built[1:])

    def outgoing(self, edges: View, nodes: Rows) -> Rows:
        """Return the live edge rows whose source is one of ``nodes``, grouped by node."""
        return self._touching(edges, nodes, "source")

    def incoming(self, edges: View, nodes: Rows) -> Rows:
        """Return the live edge rows whose target is one of ``nodes``, grouped by node."""
        return self._touching(edges, nodes, "target")

    def incident(self, edges: View, nodes: Rows) -> Rows:
        """Return the live edge rows with an end among ``nodes``, each once, ascending."""
        both = np.concatenate([self.outgoing(edges, nodes), self.incoming(edges, nodes)])
        return np.unique(both).astype(np.int32)

    def grouped(self, edges: View, end: str, nodes: int) -> tuple[NDArray[np.int32], Rows]:
        """Return all live edge rows by the node at their "source" or "target", as a CSR.

        Those of node r are ``rows[starts[r]:starts[r + 1]]``, in row order; nothing is sorted for it.

        Args:
            nodes: how many node rows there are.
        """
        self.compact(edges)
        built, indexed = self._indexed(edges)
        index = built.by_source if end == "source" else built.by_target
        if indexed < edges.count:  # a fork keeps its edges to itself
            index = _splice(_empty().by_source, edges.column(end), 0)
        starts = np.full(nodes + 1, index.starts[-1], dtype=np.int32)
        starts[: len(index.starts)] = index.starts[: nodes + 1]
        rows = index.edges[: starts[-1]]
        is_live = rows < edges.count
        is_live &= (edges.column("flags").take(rows, mode="clip") & ALIVE).astype(np.bool_)
        if not is_live.all():
            before = np.zeros(len(rows) + 1, dtype=np.int32)
            np.cumsum(is_live, out=before[1:])
            starts, rows = before[starts], rows[is_live]
        return starts, rows

    def compact(self, edges: View) -> None:
        """Take every edge row of the view into the CSR now."""
        with self._growing:
            if edges.count > self._built.rows:
                self._built = _spliced(self._built, edges)

    def _indexed(self, edges: View) -> tuple[Built, int]:
        """Return the index, and how many of the view's edge rows are in it."""
        built = self._built
        if edges.count - built.rows > max(TAIL_ROWS_MIN, TAIL_SHARE * built.rows):
            self.compact(edges)
            built = self._built
        return built, min(built.rows, edges.count)

    def _touching(self, edges: View, nodes: Rows, end: str) -> Rows:
        built, indexed = self._indexed(edges)
        rows = _slices(built.by_source if end == "source" else built.by_target, nodes)
        if indexed < built.rows:
            rows = rows[rows < indexed]
        if edges.count > indexed:
            rows = np.concatenate([rows, _scan_tail(edges, indexed, nodes, end)])
        alive = edges.take("flags", rows) & ALIVE
        return rows if alive.all() else rows.take(np.flatnonzero(alive))


def _slices(index: _Index, nodes: Rows) -> Rows:
    """Gather the CSR slices of several nodes without a Python loop."""
    known = nodes[nodes < len(index.starts) - 1]
    if len(known) == 1:
        return index.edges[index.starts[known[0]] : index.starts[known[0] + 1]]
    starts = index.starts[known]
    lengths = index.starts[known + 1] - starts
    total = int(lengths.sum())
    if not total:
        return np.zeros(0, dtype=np.int32)
    ends = np.cumsum(lengths)
    places = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    gathered: Rows = index.edges[places]
    return gathered


def _scan_tail(edges: View, first: int, nodes: Rows, end: str) -> Rows:
    tail = edges.tail(end, first)
    if len(nodes) == 1:
        hit = tail == nodes[0]
    else:
        member = np.zeros(max(int(tail.max()), int(nodes.max(initial=0))) + 1, dtype=np.bool_)
        member[nodes] = True
        hit = member[tail]
    return (np.flatnonzero(hit) + first).astype(np.int32)


def _spliced(old: Built, edges: View) -> Built:
    return Built(
        edges.count,
        _splice(old.by_source, edges.tail("source", old.rows), old.rows),
        _splice(old.by_target, edges.tail("target", old.rows), old.rows),
    )


def _splice(old: _Index, ends: Rows, first: int) -> _Index:
    """Insert edge rows first, first+1, ... whose ends are ``ends`` behind their node's older rows."""
    nodes = max(len(old.starts) - 1, int(ends.max()) + 1)
    starts = np.full(nodes + 1, old.starts[-1], dtype=np.int32)
    starts[: len(old.starts)] = old.starts
    order = np.argsort(ends, kind="stable")
    rows = (order + first).astype(np.int32)
    merged = np.insert(old.edges, starts[ends[order] + 1], rows)
    grown = np.zeros(nodes + 1, dtype=np.int32)
    np.cumsum(np.bincount(ends, minlength=nodes), out=grown[1:])
    return _Index(starts + grown, merged)
