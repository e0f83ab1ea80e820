"""Spreading activation (Collins & Loftus, 1975): level-synchronous, max-product, exact and deterministic.

A(v) = max over edges u-v of A(u) * decay * weight * confidence * importance(v), over paths of at most ``hops`` edges.
Every node keeps its best path, found level by level, so no order of visits changes the result.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.arcs import Rows, arcs_at, strengths
from memorygraph.projections.frame import Frame

ACTIVATION_MIN: Final = 0.01
DECAY: Final = 0.6


class Activation(Struct, frozen=True):
    """Where activation came to: node rows, activations (0..1), and by level (rows reached, rows they came from)."""

    rows: Rows
    values: NDArray[np.float64]
    levels: list[tuple[Rows, Rows]]

    def path(self, row: int) -> list[int]:
        """Return the rows of the best path, seed first."""
        path = [row]
        for reached, origins in reversed(self.levels):
            place = int(np.searchsorted(reached, path[-1]))
            if place < len(reached) and reached[place] == path[-1]:
                path.append(int(origins[place]))
        return path[::-1]


def spread(
    frame: Frame,
    seeds: Rows,
    activations: NDArray[np.float64],
    hops: int,
    *,
    visible: NDArray[np.bool_],
    decay: float = DECAY,
    activation_min: float = ACTIVATION_MIN,
) -> Activation:
    """Let activation flow from seeds along every edge, in both directions, through visible nodes only.

    Args:
        seeds: node rows, each once.
        activations: of the seeds, 0..1, same shape.
        visible: which node rows may hold activation, shape (node rows,).
    """
    level = np.zeros(frame.nodes.count)
    level[seeds] = np.where(visible[seeds], activations, 0.0)
    levels: list[tuple[Rows, Rows]] = []
    importance = frame.nodes.column("importance")
    frontier = seeds[level[seeds] > 0]
    for _ in range(hops):
        if not len(frontier):
            break
        edges, origin, target = arcs_at(frame, frontier)
        weight = strengths(frame, edges)
        value = level[origin] * decay * weight * importance[target]
        keep = (value >= activation_min) & visible[target]
        origin, target, value = origin[keep], target[keep], value[keep]
        order = np.lexsort((origin, -value, target))
        target, best = np.unique(target[order], return_index=True)
        value, origin = value[order][best], origin[order][best]
        better = value > level[target]
        frontier = target[better]
        level[frontier] = value[better]
        levels.append((frontier, origin[better]))
    rows = np.flatnonzero(level).astype(np.int32)
    return Activation(rows, level[rows], levels)
