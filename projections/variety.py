"""Variety among the first hits: a memory that says what a better one has said already counts for less.

Maximal marginal relevance (Carbonell & Goldstein, 1998), as a factor: score * (1 - REPETITION * the largest share of
words (Jaccard) with a hit before it). It is chosen greedily among the best ``POOL``, however many hits are asked for:
fewer hits are always the beginning of more. A list question finds more of what belongs to its list.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.frame import Frame
from memorygraph.projections.text import Analyzer

Doubles = NDArray[np.float64]
REPETITION: Final = 0.3
POOL: Final = 20
_CHARS_MAX: Final = 2000  # of a text that are looked at
_CACHED_MAX: Final = 4096


class Variety:
    """Orders hits with an eye to what was said before; keeps the words of texts that come up often."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._words = lru_cache(_CACHED_MAX)(lambda text: frozenset(analyzer.terms(text)))

    def varied(self, frame: Frame, rows: NDArray[np.int32], scores: Doubles) -> tuple[NDArray[np.int32], Doubles]:
        """Return node rows and scores in the new order; scores fall with rank, none rises.

        Args:
            rows: best first; scores: of these rows, falling.
        """
        pool = int(np.count_nonzero(scores[:POOL] > 0))
        if pool < 2:  # noqa: PLR2004 - nothing to compare
            return rows, scores
        words = [self._words(frame.content(row)[:_CHARS_MAX]) for row in rows[:pool].tolist()]
        said = [0.0] * pool
        left = list(range(pool))
        order: list[int] = []
        values: list[float] = []
        while left:
            best = max(left, key=lambda place: (scores[place] * (1.0 - REPETITION * said[place]), -place))
            left.remove(best)
            order.append(best)
            values.append(float(scores[best]) * (1.0 - REPETITION * said[best]))
            for place in left:
                said[place] = max(said[place], _shared(words[best], words[place]))
        rest = np.minimum(scores[pool:], values[-1])
        return np.concatenate([rows[order], rows[pool:]]), np.concatenate([values, rest])


def _shared(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of words that two texts have in common, 0..1."""
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0
