"""Variety among the first hits: a memory that says what a better one has said already counts for less.

Maximal marginal relevance (Carbonell & Goldstein, 1998), as a factor: score * (1 - REPETITION * the largest share of
terms (Jaccard) with a hit before it). It is chosen greedily among the best ``POOL``, however many hits are asked for:
fewer hits are always the beginning of more. A list question finds more of what belongs to its list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.frame import NO_ROW
from memorygraph.projections.seen import Seen

Doubles = NDArray[np.float64]
REPETITION: Final = 0.3
POOL: Final = 20


def varied(
    seen: Seen, shared_by: Callable[[NDArray[np.int32]], Doubles], rows: NDArray[np.int32], scores: Doubles, k: int
) -> tuple[NDArray[np.int32], Doubles]:
    """Return the first k node rows and scores in the new order; scores fall with rank, none rises.

    Args:
        shared_by: gives the share of terms that each two of some text rows have in common.
        rows: best first; ``scores``: of these rows, falling.
    """
    pool = int(np.count_nonzero(scores[:POOL] > 0))
    if pool < 2:  # noqa: PLR2004 - nothing to compare
        return rows[:k], scores[:k]
    texts = seen.frame.nodes.take("text_row", rows[:pool])
    has_text = np.flatnonzero(texts != NO_ROW)
    shared = np.zeros((pool, pool))
    shared[np.ix_(has_text, has_text)] = shared_by(texts[has_text])
    order, values = _chosen(scores[:pool].tolist(), shared.tolist(), k)
    rest = np.minimum(scores[pool:k], values[-1])
    return np.concatenate([rows[order], rows[pool:k]]), np.concatenate([values, rest])


def _chosen(scores: list[float], shared: list[list[float]], k: int) -> tuple[list[int], list[float]]:
    """Return the first k places in the order in which they are chosen, and what each is worth then."""
    left = list(range(len(scores)))
    said = [0.0] * len(scores)
    order: list[int] = []
    values: list[float] = []
    while left and len(order) < k:
        worth = [scores[place] * (1.0 - REPETITION * said[place]) for place in left]
        value = max(worth)
        best = left.pop(worth.index(value))
        order.append(best)
        values.append(value)
        said = list(map(max, said, shared[best]))
    return order, values
