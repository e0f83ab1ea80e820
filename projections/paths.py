"""Ways through the graph: breadth first, depth first, and cheapest paths. All are iterative, at any depth.

What comes back is in a fixed order: the same Frame gives the same answer on every machine.
"""

from __future__ import annotations

from heapq import heappop, heappush, nsmallest
from math import inf
from typing import Final

import numpy as np

from memorygraph.projections.arcs import IN, OUT, Mask, Rows, arcs_at, distinct, strengths
from memorygraph.projections.frame import Frame

AHEAD: Final = 16  # nodes whose arcs are looked up together; NumPy takes about as long for one


def breadth_first(
    frame: Frame, start: int, max_depth: int, direction: str, types: Mask | None = None
) -> tuple[Rows, Rows]:
    """Return (node rows, depths) of what is at most ``max_depth`` edges away: the nearest first, then by row."""
    seen = np.zeros(frame.nodes.count, dtype=np.bool_)
    frontier = np.array([start], dtype=np.int32)
    seen[start] = True
    levels = [frontier]
    while len(levels) <= max_depth:
        target = arcs_at(frame, frontier, direction, types).targets
        frontier = distinct(target[~seen[target]], len(seen))
        if not len(frontier):
            break
        seen[frontier] = True
        levels.append(frontier)
    depths = np.repeat(np.arange(len(levels), dtype=np.int32), [len(level) for level in levels])
    return np.concatenate(levels), depths


def depth_first(
    frame: Frame, start: int, max_depth: int, direction: str, types: Mask | None = None
) -> tuple[list[int], list[int]]:
    """Return (node rows, depths) in preorder: each node before what is found from it, over its oldest edges first.

    A depth is the length of the way that the search took, at most ``max_depth``.
    """
    neighbours = _neighbours_within(frame, start, max_depth, direction, types)
    rows, depths = [start], [0]
    seen = {start}
    trail = [iter(neighbours.get(start, ()))]
    while trail:
        target = next((row for row in trail[-1] if row not in seen), None)
        if target is None or len(trail) > max_depth:
            trail.pop()
            continue
        seen.add(target)
        rows.append(target)
        depths.append(len(trail))
        trail.append(iter(neighbours.get(target, ())))
    return rows, depths


def _neighbours_within(
    frame: Frame, start: int, max_depth: int, direction: str, types: Mask | None
) -> dict[int, list[int]]:
    """Return the neighbours, by age of the edges, of each node less than ``max_depth`` edges away."""
    rows, depths = breadth_first(frame, start, max_depth, direction, types)
    inner = rows[depths < max_depth]
    edges, origin, target = arcs_at(frame, inner, direction, types)
    order = np.lexsort((edges, origin))
    neighbours: dict[int, list[int]] = {}
    for source, end in zip(origin[order].tolist(), target[order].tolist(), strict=True):
        neighbours.setdefault(source, []).append(end)
    return neighbours


def cheapest_path(frame: Frame, source: int, target: int, cost_max: float = inf) -> list[int] | None:
    """Return the node rows of a path of the least cost from source to target, or None if none costs up to ``cost_max``.

    An edge costs 1 - weight * confidence. Dijkstra (1959), from both ends at once (Nicholson, 1966).
    """
    if source == target:
        return [source]
    sides = (_Search(frame, source, OUT), _Search(frame, target, IN))
    best, meeting = inf, -1
    bound = cost_max
    while sides[0].heap and sides[1].heap and sides[0].heap[0][0] + sides[1].heap[0][0] <= min(best, bound):
        near = min(sides, key=lambda side: len(side.heap))
        other = sides[1] if near is sides[0] else sides[0]
        cost, row = heappop(near.heap)
        if row in near.settled:
            continue
        near.settled.add(row)
        for end, step in near.arcs(row):
            total = cost + step
            if total > bound or total >= near.cost.get(end, inf):
                continue
            near.cost[end] = total
            near.previous[end] = row
            heappush(near.heap, (total, end))
            met = total + other.cost.get(end, inf)
            if met < best and met <= bound:
                best, meeting = met, end
    if meeting < 0:
        return None
    return sides[0].trail(meeting)[::-1] + sides[1].trail(meeting)[1:]


class _Search:
    """One side of a search: what the nodes reached cost, and where each was reached from."""

    def __init__(self, frame: Frame, start: int, direction: str) -> None:
        self.cost = {start: 0.0}
        self.previous = {start: -1}
        self.heap = [(0.0, start)]
        self.settled: set[int] = set()
        self._frame = frame
        self._direction = direction
        self._known: dict[int, list[tuple[int, float]]] = {}

    def arcs(self, row: int) -> list[tuple[int, float]]:
        """Return (neighbour, cost) of a node; those that are likely to be asked for next are looked up with it."""
        if row not in self._known:
            likely = {end for _, end in nsmallest(AHEAD, self.heap) if end not in self._known}
            self._look_up(sorted({row, *likely}))
        return self._known[row]

    def trail(self, row: int) -> list[int]:
        """Return the rows from here back to where the search began."""
        rows = []
        while row >= 0:
            rows.append(row)
            row = self.previous[row]
        return rows

    def _look_up(self, nodes: list[int]) -> None:
        rows = np.array(nodes, dtype=np.int32)
        edges, origin, target = arcs_at(self._frame, rows, self._direction)
        cost = np.maximum(1.0 - strengths(self._frame, edges), 0.0)
        order = np.lexsort((edges, origin))
        pairs = list(zip(target[order].tolist(), cost[order].tolist(), strict=True))
        bounds = np.searchsorted(origin[order], [*nodes, nodes[-1] + 1]).tolist()
        for place, node in enumerate(nodes):
            self._known[node] = pairs[bounds[place] : bounds[place + 1]]
