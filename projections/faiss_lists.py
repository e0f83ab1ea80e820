"""Inverted lists: vectors grouped around centres, of which a search looks into the nearest groups only.

The inverted file of Jegou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search" (2011), section IV, by
faiss, with vectors of a byte per number; what it finds is compared by exact cosines. How many groups must be looked
into depends on the vectors. So the lists measure themselves: some of their own rows are searched for, with 1, 2, 4, ...
groups, and compared with the exact scan. Where no number of groups is good enough, the exact scan is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.frame import Frame
from memorygraph.projections.products import BATCH_CELLS_MAX, products
from memorygraph.projections.similarity import ROUNDED, Floats, Norms, products_of

TRAINED_PER_LIST: Final = 64
SAMPLED: Final = 128  # rows that are searched for
MEASURED: Final = (10, 100)  # neighbours of each; more are searched for exactly
MORE: Final = 32  # candidates beyond the number asked for, as codes of a byte are coarse
SHARE_MAX: Final = 0.25  # of the groups looked into; beyond, the exact scan is as fast
RETRAINED: Final = 2  # times as many rows: new centres


class InvertedLists:
    """The first ``rows`` vectors of a space, in lists; never changed once made, so any number of readers search it.

    ``recall`` is what was measured: for each number of neighbours and groups the share that was found, 0..1, less two
    standard errors.
    """

    def __init__(self, faiss: Any, index: Any, rows: int, trained: int) -> None:
        self._faiss = faiss
        self._index = index
        self.rows = rows
        self._trained = trained  # rows that there were when the centres were found
        self.recall: dict[int, dict[int, float]] = {}

    @classmethod
    def made(cls, faiss: Any, frame: Frame, norms: Norms, rows: int, before: InvertedLists | None) -> InvertedLists:
        """Return lists of the first ``rows`` vectors of a Frame, going on from lists of fewer while these serve."""
        assert frame.space is not None
        dim = frame.space.dim
        if before is not None and rows < RETRAINED * before._trained:
            made = cls(faiss, faiss.clone_index(before._index), rows, before._trained)
        else:
            count = max(1, round(rows**0.5))
            index = faiss.IndexIVFScalarQuantizer(
                faiss.IndexFlatIP(dim), dim, count, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
            )
            some = _spread(rows, TRAINED_PER_LIST * count)
            index.train(np.concatenate(list(_units(frame, norms, some))))
            made = cls(faiss, index, rows, rows)
        for units in _units(frame, norms, np.arange(made._index.ntotal, rows)):
            made._index.add(units)
        made._measure(frame, norms)
        return made

    def groups_for(self, recall: float, k: int) -> int | None:
        """Return how many groups give this recall of k neighbours; None: no number of them does, or it is not known."""
        measured = next((self.recall[some] for some in MEASURED if some >= k), {})
        return next((groups for groups, found in measured.items() if found >= recall), None)

    def search(self, unit: Floats, k: int, groups: int, passing: NDArray[np.bool_] | None) -> NDArray[np.int64] | None:
        """Return rows that the k nearest may be among, ascending; None: it came upon too few.

        Args:
            groups: so many are looked into, if all rows pass; more if fewer do, so that as many rows are looked at.
            passing: which rows count, by row, also of fewer rows or of more; None: all.
        """
        faiss, params = self._faiss, self._faiss.SearchParametersIVF(nprobe=groups)
        wanted, there = k + MORE, self.rows
        if passing is not None:
            passing = passing[: self.rows]
            there = int(np.count_nonzero(passing))
            groups = min(self._index.nlist, groups * self.rows // max(there, 1) + 1)
            bits = np.packbits(passing, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
            params = faiss.SearchParametersIVF(nprobe=groups, sel=selector)
        found = self._index.search(unit[None], wanted, params=params)[1][0]
        found = found[found >= 0]
        return None if len(found) < min(wanted, there) else np.sort(found)

    def size_bytes(self) -> int:
        """Return the bytes of codes, their numbers and the centres."""
        index = self._index
        return int(index.ntotal * (index.code_size + 8) + index.nlist * index.d * 4)

    def _measure(self, frame: Frame, norms: Norms) -> None:
        """Search for some of the own rows and note how many of their neighbours are found, the row itself left out."""
        rows = _spread(self.rows, SAMPLED)
        units = np.concatenate(list(_units(frame, norms, rows)))
        least = self._exact(frame, norms, rows, units)
        for place, k in enumerate(MEASURED):
            if self.rows <= k:
                continue
            self.recall[k] = {}
            groups = 1
            while groups <= SHARE_MAX * self._index.nlist:
                hits = [
                    self._hits(frame, norms, int(row), unit, k, groups) >= bound
                    for row, unit, bound in zip(rows, units, least[:, place], strict=True)
                ]
                shares = np.minimum([np.count_nonzero(hit) for hit in hits], k) / k
                self.recall[k][groups] = float(shares.mean() - 2 * shares.std() / len(shares) ** 0.5)
                groups *= 2

    def _exact(self, frame: Frame, norms: Norms, rows: NDArray[np.int64], units: Floats) -> NDArray[np.float32]:
        """Return the least cosine among so many nearest neighbours of each row, shape (rows, len(MEASURED))."""
        assert frame.vectors is not None
        lengths = norms.upto(frame)[: self.rows]
        least = np.full((len(rows), len(MEASURED)), -np.inf, dtype=np.float32)
        step = max(1, BATCH_CELLS_MAX // frame.vectors.count)
        for start in range(0, len(rows), step):
            cosines = products(frame.vectors, units[start : start + step])[:, : self.rows] / lengths
            for at, row in enumerate(cosines, start):
                row[rows[at]] = -np.inf
                for place, k in enumerate(MEASURED):
                    if k < self.rows:
                        least[at, place] = np.partition(row, self.rows - k)[self.rows - k] - ROUNDED
        return least

    def _hits(self, frame: Frame, norms: Norms, row: int, unit: Floats, k: int, groups: int) -> Floats:
        """Return the cosines of what a search for a row's neighbours gives."""
        found = self.search(unit, k + 1, groups, None)
        if found is None:
            return np.zeros(0, dtype=np.float32)
        return products_of(frame, norms, unit, found[found != row])


def _spread(rows: int, wanted: int) -> NDArray[np.int64]:
    """Return so many rows, or all, evenly spread."""
    return np.unique(np.linspace(0, rows - 1, min(rows, wanted)).astype(np.int64))


def _units(frame: Frame, norms: Norms, rows: NDArray[np.int64]) -> Iterator[Floats]:
    """Give some vector rows, ascending, at length 1, a chunk at a time."""
    assert frame.vectors is not None
    lengths = norms.upto(frame)
    for first, block in frame.vectors.blocks("vector"):
        start, stop = np.searchsorted(rows, (first, first + len(block)))
        if start < stop:
            mine = rows[start:stop]
            yield (block[mine - first] / lengths[mine, None]).astype(np.float32, copy=False)
