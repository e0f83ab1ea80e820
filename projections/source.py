"""Where a recall looks up what is large."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.lexical import LexicalMatches
from memorygraph.projections.seen import Seen

Rows = NDArray[np.int32]
Doubles = NDArray[np.float64]


class Source(Protocol):
    """Where a recall looks up what is large: words and vectors. The index itself, or the shards that have a part each.

    Everything else that it needs (concepts, links, sessions, labels, times) is at hand.
    """

    def legs(self, seen: Seen, words: str | None, vector: NDArray[np.float32] | None) -> Looked:
        """Look up the words and the vector of a question, as far as they are given."""
        ...

    def shared(self, text_rows: Rows) -> Doubles:
        """Return the share of terms that each two of some text rows have in common; see ``LexicalIndex.shared``."""
        ...

    def contents(self, seen: Seen, text_rows: Rows) -> list[str]:
        """Return the texts of some text rows."""
        ...


Looked = tuple[LexicalMatches | None, Doubles | None]
"""Which text rows match the words, and the cosine of each node, at least 0 (NaN: no vector), shape (node rows,)."""


class Found:
    """A source for one question whose words and vector were looked up already; the rest another one tells."""

    def __init__(self, source: Source, words: str | None, looked: Looked) -> None:
        self._source = source
        self._words = words
        self._looked = looked

    def legs(self, seen: Seen, words: str | None, vector: NDArray[np.float32] | None) -> Looked:
        """Return what was looked up; other words (names that may be speakers are tried out) are looked up now."""
        return self._looked if words == self._words else self._source.legs(seen, words, vector)

    def shared(self, text_rows: Rows) -> Doubles:
        """Return the share of terms that each two of some text rows have in common."""
        return self._source.shared(text_rows)

    def contents(self, seen: Seen, text_rows: Rows) -> list[str]:
        """Return the texts of some text rows."""
        return self._source.contents(seen, text_rows)
