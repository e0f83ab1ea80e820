"""Variety among the first hits: a memory that says what a better one has said already counts for less.

Maximal marginal relevance (Carbonell & Goldstein, 1998), as a factor: score * (1 - REPETITION * the largest share of
words (Jaccard) with a hit before it). It is chosen greedily among the best ``POOL``, however many hits are asked for:
fewer hits are always the beginning of more. A list question finds more of what belongs to its list.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain, count
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.frame import Frame
from memorygraph.projections.text import Analyzer

Doubles = NDArray[np.float64]
REPETITION: Final = 0.3
POOL: Final = 20
_CHARS_MAX: Final = 2000  # of a text that are looked at


class Variety:
    """Orders hits with an eye to what was said before."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._terms = analyzer.terms

    def varied(self, frame: Frame, rows: NDArray[np.int32], scores: Doubles) -> tuple[NDArray[np.int32], Doubles]:
        """Return node rows and scores in the new order; scores fall with rank, none rises.

        Args:
            rows: best first; scores: of these rows, falling.
        """
        pool = int(np.count_nonzero(scores[:POOL] > 0))
        if pool < 2:  # noqa: PLR2004 - nothing to compare
            return rows, scores
        shared = self._shared([frame.content(row)[:_CHARS_MAX] for row in rows[:pool].tolist()])
        left = scores[:pool].copy()
        said = np.zeros(pool)
        order: list[int] = []
        values: list[float] = []
        for _ in range(pool):
            worth = left * (1.0 - REPETITION * said)
            best = int(np.argmax(worth))
            order.append(best)
            values.append(float(worth[best]))
            left[best] = -1.0
            np.maximum(said, shared[best], out=said)
        rest = np.minimum(scores[pool:], values[-1])
        return np.concatenate([rows[order], rows[pool:]]), np.concatenate([values, rest])

    def _shared(self, texts: list[str]) -> Doubles:
        """Return the share of words that each two texts have in common, 0..1, shape (texts, texts)."""
        words = [frozenset(self._terms(text)) for text in texts]
        numbers: defaultdict[str, int] = defaultdict(count().__next__)
        places = np.fromiter(map(numbers.__getitem__, chain.from_iterable(words)), np.int64)
        sizes = np.array([len(some) for some in words])
        has = np.zeros((len(texts), len(numbers)), np.float32)
        has[np.repeat(np.arange(len(texts)), sizes), places] = 1.0
        both = (has @ has.T).astype(np.float64)  # whole numbers: exact
        return both / np.maximum(sizes[:, None] + sizes - both, 1.0)
