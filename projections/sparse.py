"""Vectors that are zero in most dimensions, dimension by dimension: their products cost what they share.

The vectors of a hashing embedder have a few words' dimensions out of hundreds. For each dimension there are postings
(``postings.py``) of ``row << 32 | bits of the float32 there``; the products with a query are the sums over those of its
own dimensions. What is left out is exactly zero, so they are those of the whole vectors, up to the last bits.
"""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.postings import post
from memorygraph.projections.tables import View

Floats = NDArray[np.float32]
SHARE_MAX: Final = 1 / 8
"""Vectors with a larger share of their dimensions are not kept so: it would take more room than they do."""

ENTRY_COST: Final = 32
"""An entry costs as much as so many multiplications of whole vectors, in a row, do."""

_ROWS_MIN: Final = 64  # from so many on it is settled what the vectors of a space are like
_BITS: Final = 32


class SparseVectors:
    """The entries of vector rows that are not zero; one writer at a time, any number of readers beside it."""

    def __init__(self) -> None:
        self._postings: dict[int, array[int]] | None = {}
        self._entries = 0
        self.count = 0

    def grow(self, vectors: View) -> None:
        """Take in the rows of a view that are new; give up when they turn out to be no sparse ones."""
        for first, block in vectors.blocks("vector"):
            if self._postings is None:
                return
            if first + len(block) > self.count:
                self._add(block[self.count - first :])

    def products(self, query: Floats, count: int) -> Floats | None:
        """Return the products of a query, shape (dim,), with the first ``count`` rows, shape (count,).

        None if whole vectors are sooner multiplied.
        """
        known = self._postings
        if known is None:
            return None
        dims = [dim for dim in query.nonzero()[0].tolist() if dim in known]
        if ENTRY_COST * sum([len(known[dim]) for dim in dims]) > count * len(query):
            return None
        blocks = [known[dim].tobytes() for dim in dims]
        entries = np.frombuffer(b"".join(blocks), np.int64)
        parts = entries.astype(np.uint32).view(np.float32)
        parts *= query[dims].repeat([len(block) >> 3 for block in blocks])
        return np.bincount(entries >> _BITS, parts, count)[:count].astype(np.float32)

    def _add(self, block: Floats) -> None:
        assert self._postings is not None
        dims, rows = block.T.nonzero()  # in order of dimensions
        bits = block[rows, dims].view(np.uint32).astype(np.int64)
        count, dim = self.count + len(block), block.shape[1]
        self._entries += len(bits)
        if self._entries > SHARE_MAX * max(count, _ROWS_MIN) * dim:
            self._postings = None
        elif len(block) == 1:
            _append(self._postings, dims.tolist(), (bits | self.count << _BITS).tolist())
        else:
            post(self._postings, range(dim), dims, (rows + self.count) << _BITS | bits)
        self.count = count

    def size_bytes(self) -> int:
        """Return the bytes of the postings, about."""
        return 0 if self._postings is None else 8 * self._entries + 100 * len(self._postings)


def _append(postings: dict[int, array[int]], dims: list[int], entries: list[int]) -> None:
    """Do what ``post`` does, for one row: one memory after the other is remembered so."""
    for dim, entry in zip(dims, entries, strict=True):
        known = postings.get(dim)
        if known is None:
            postings[dim] = array("q", (entry,))
        elif known[-1] < entry:  # unless Ctrl-C came after it
            known.append(entry)
