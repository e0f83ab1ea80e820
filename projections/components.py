"""Components: nodes that reach each other, along edges (strongly) or in any direction (weakly).

Strong ones are found by Tarjan's algorithm (1972), iteratively, so that no depth is too deep; where SciPy is installed
(extra ``fast``), by its compiled form of one like it (Pearce, 2005).
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.arcs import Rows, all_arcs, distinct
from memorygraph.projections.frame import UNDIRECTED, Frame

Labels = NDArray[np.int32]


def weak_labels(frame: Frame) -> Labels:
    """Return the number of each node row's weakly connected component, shape (node rows,).

    Every node points to the lowest row that it knows of; rounds of pointing on and of jumping ahead (Shiloach and
    Vishkin, 1982).
    """
    labels: Labels = np.arange(frame.nodes.count, dtype=np.int32)
    _, source, target = all_arcs(frame)
    while len(source):
        one, other = labels[source], labels[target]
        lower, higher = np.minimum(one, other), np.maximum(one, other)
        apart = lower < higher
        source, target, lower, higher = source[apart], target[apart], lower[apart], higher[apart]
        np.minimum.at(labels, higher, lower)
        while not np.array_equal(ahead := labels[labels], labels):
            labels = ahead
    return labels


def strong_labels(frame: Frame, *, compiled: bool = True) -> Labels:
    """Return the number of each node row's strongly connected component, shape (node rows,).

    Args:
        compiled: let SciPy do it where it is installed.
    """
    if compiled and find_spec("scipy") is not None:
        return _labels_by_scipy(frame)
    out = _ways(frame, "source", "target")
    return _tarjan(out, _around_the_busiest(out, _ways(frame, "target", "source")))


def _labels_by_scipy(frame: Frame) -> Labels:
    """Label what undirected edges join, and then these groups along the directed edges between them."""
    sparse, graphs = import_module("scipy.sparse"), import_module("scipy.sparse.csgraph")
    edges, total = frame.edges, frame.nodes.count
    starts, rows = frame.adjacency.grouped(edges, "source", total)
    ways = _Ways(starts, edges.column("target")[rows])
    is_both = (edges.column("flags")[rows] & UNDIRECTED).astype(np.bool_)
    labels: Labels = np.arange(total, dtype=np.int32)
    if is_both.any():
        joined = ways.some(is_both)
        matrix = sparse.csr_matrix((np.ones(len(joined.ends)), joined.ends, joined.starts), shape=(total, total))
        labels = graphs.connected_components(matrix, directed=False)[1]
    if is_both.all():
        return labels
    one = labels[edges.column("source")[rows[~is_both]]]
    other = labels[ways.ends[~is_both]]
    apart = one != other
    # Parallel arcs become one, as over them SciPy's walk would not end.
    matrix = sparse.csr_matrix((np.ones(np.count_nonzero(apart)), (one[apart], other[apart])), shape=(total, total))
    of_groups: Labels = graphs.connected_components(matrix, directed=True, connection="strong")[1]
    return of_groups[labels]


def grouped(frame: Frame, labels: Labels) -> list[list[int]]:
    """Return the rows of the live nodes by their labels: the largest group first, rows and equal groups ascending."""
    rows = np.flatnonzero(frame.live_rows())
    if not len(rows):
        return []
    labels = labels[rows]
    order = np.argsort(labels, kind="stable")
    labels, rows = labels[order], rows[order]
    starts = np.concatenate([[0], np.flatnonzero(labels[1:] != labels[:-1]) + 1])
    sizes = np.diff(starts, append=len(rows))
    alone = np.sort(rows[starts[sizes == 1]]).tolist()  # often nearly all
    starts, sizes = starts[sizes > 1], sizes[sizes > 1]
    largest = np.lexsort((rows[starts], -sizes))
    stops = (starts + sizes)[largest].tolist()
    several = [rows[start:stop].tolist() for start, stop in zip(starts[largest].tolist(), stops, strict=True)]
    return several + [[row] for row in alone]


def _ways(frame: Frame, origin: str, end: str) -> _Ways:
    """Return the arcs of a Frame from one end of its edges to the other; an undirected edge is an arc back, too."""
    edges, total = frame.edges, frame.nodes.count
    starts, rows = frame.adjacency.grouped(edges, origin, total)
    ways = _Ways(starts, edges.column(end)[rows])
    flags = edges.column("flags")
    if not (flags & UNDIRECTED).any():
        return ways
    starts, rows = frame.adjacency.grouped(edges, end, total)
    back = _Ways(starts, edges.column(origin)[rows])
    return ways.with_more(back.some((flags[rows] & UNDIRECTED).astype(np.bool_)))


class _Ways:
    """Arcs as a CSR: the ends of node r are ``ends[starts[r]:starts[r + 1]]``."""

    def __init__(self, starts: NDArray[np.int32], ends: Rows) -> None:
        self.starts = starts
        self.ends = ends

    def some(self, which: NDArray[np.bool_]) -> _Ways:
        """Return some of these arcs."""
        before = np.zeros(len(self.ends) + 1, dtype=np.int32)
        np.cumsum(which, out=before[1:])
        return _Ways(before[self.starts], self.ends[which])

    def with_more(self, others: _Ways) -> _Ways:
        """Return these arcs and others of the same nodes, each node's together."""
        ends = np.empty(len(self.ends) + len(others.ends), dtype=np.int32)
        for mine, ahead in ((self, others.starts[:-1]), (others, self.starts[1:])):
            ends[np.arange(len(mine.ends)) + np.repeat(ahead, np.diff(mine.starts))] = mine.ends
        return _Ways(self.starts + others.starts, ends)

    def reached(self, start: int) -> NDArray[np.bool_]:
        """Return which nodes can be reached from one, itself too, shape (nodes,)."""
        seen = np.zeros(len(self.starts) - 1, dtype=np.bool_)
        frontier = np.array([start], dtype=np.int64)
        while len(frontier):
            seen[frontier] = True
            lengths = self.starts[frontier + 1] - self.starts[frontier]
            before = np.cumsum(lengths) - lengths
            places = np.arange(int(lengths.sum())) + np.repeat(self.starts[frontier] - before, lengths)
            ends = self.ends[places]
            frontier = distinct(ends[~seen[ends]], len(seen)).astype(np.int64)
        return seen


def _around_the_busiest(out: _Ways, back: _Ways) -> Labels:
    """Label with 0 the component of the node with the most arcs in and out, the others with -1.

    Of most graphs that is nearly all, and it takes two searches of whole levels at a time (Fleischer et al., 2000).
    """
    labels = np.full(len(out.starts) - 1, -1, dtype=np.int32)
    if len(out.ends):
        busiest = int(np.argmax(np.diff(out.starts) * np.diff(back.starts)))
        labels[out.reached(busiest) & back.reached(busiest)] = 0
    return labels


def _tarjan(out: _Ways, known: Labels) -> Labels:
    """Label the nodes whose label is -1; a node's way down is an iterator on a stack, not a call."""
    total, starts, targets = len(known), out.starts.tolist(), out.ends
    number = (known >= 0).astype(np.int64).tolist()  # the order of visits, from 1
    low = [0] * total  # the least number that is reached from below
    labels = known.tolist()
    visits = found = 1
    unlabelled: list[int] = []
    for root in range(total):
        if number[root]:
            continue
        visits += 1
        number[root] = low[root] = visits
        unlabelled.append(root)
        path = [root]
        ways = [iter(targets[starts[root] : starts[root + 1]].tolist())]
        while path:
            node = path[-1]
            for end in ways[-1]:
                if not number[end]:
                    visits += 1
                    number[end] = low[end] = visits
                    unlabelled.append(end)
                    path.append(end)
                    ways.append(iter(targets[starts[end] : starts[end + 1]].tolist()))
                    break
                if labels[end] < 0 and number[end] < low[node]:
                    low[node] = number[end]
            else:
                path.pop()
                ways.pop()
                if path and low[node] < low[path[-1]]:
                    low[path[-1]] = low[node]
                if low[node] == number[node]:
                    while labels[node] < 0:
                        labels[unlabelled.pop()] = found
                    found += 1
    return np.array(labels, dtype=np.int32)
