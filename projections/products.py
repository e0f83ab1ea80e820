"""Products of all vectors with what several readers ask for at once: one matrix product in place of many passes.

A product takes as long as reading the vectors does, so one for many questions takes little longer than one for one.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.tables import View

Floats = NDArray[np.float32]
BATCH_CELLS_MAX: Final = 1 << 22  # products held at once by a batch: 16 MiB


def products(vectors: View, units: Floats) -> Floats:
    """Return the products of some vectors, shape (some, dim), with every row, shape (some, rows)."""
    found = np.empty((len(units), vectors.count), dtype=np.float32)
    for first, block in vectors.blocks("vector"):
        if len(units) == 1:  # a product with one vector is faster as such
            np.dot(block, units[0], out=found[0, first : first + len(block)])
        else:
            np.matmul(units, block.T, out=found[:, first : first + len(block)])
    return found


class _Asked:
    """A question that waits, and its products."""

    __slots__ = ("found", "unit", "vectors")

    def __init__(self, vectors: View, unit: Floats) -> None:
        self.vectors = vectors
        self.unit = unit
        self.found: Floats | None = None


class ProductQueue:
    """Who comes first multiplies for all who wait by then, the others for whom comes meanwhile; nobody waits for more.

    Safe to use from several threads. The last bits of a product depend on how many were made at once.
    """

    def __init__(self) -> None:
        self._multiplying = threading.Lock()
        self._waiting: deque[_Asked] = deque()

    def product(self, vectors: View, unit: Floats) -> Floats:
        """Return the products of a vector, shape (dim,), with every row, shape (rows,), for the caller to change."""
        asked = _Asked(vectors, unit)
        self._waiting.append(asked)
        with self._multiplying:
            while asked.found is None:
                self._multiply()
        return asked.found

    def _multiply(self) -> None:
        batch = self._take()
        try:
            found = products(batch[0].vectors, np.stack([asked.unit for asked in batch]))
        except BaseException:
            self._waiting.extendleft(reversed(batch))  # it may be for want of memory, or only we were interrupted
            raise
        for asked, row in zip(batch, found, strict=True):
            asked.found = row

    def _take(self) -> list[_Asked]:
        """Take whoever waits longest, and who asks for the same vectors, as far as one batch holds them."""
        waiting = self._waiting
        first = waiting.popleft()
        batch, most = [first], max(1, BATCH_CELLS_MAX // max(first.vectors.count, 1))
        while waiting and waiting[0].vectors is first.vectors and len(batch) < most:
            batch.append(waiting.popleft())
        return batch
