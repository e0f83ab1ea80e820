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
    """A question that waits, and its products; ``woken`` is let go when these are there, or when it is to lead."""

    __slots__ = ("found", "leads", "unit", "vectors", "woken")

    def __init__(self, vectors: View, unit: Floats) -> None:
        self.vectors = vectors
        self.unit = unit
        self.found: Floats | None = None
        self.leads = False
        self.woken = threading.Lock()
        self.woken.acquire()


class ProductQueue:
    """Who comes first multiplies for all who wait by then, and leaves it to the next of those who came meanwhile.

    So who comes alone waits for nobody, and who comes together for one product besides their own. Safe to use from
    several threads. The last bits of a product depend on how many were made at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held for moments
        self._waiting: deque[_Asked] = deque()
        self._is_led = False

    def product(self, vectors: View, unit: Floats) -> Floats:
        """Return the products of a vector, shape (dim,), with every row, shape (rows,), for the caller to change."""
        asked = _Asked(vectors, unit)
        try:
            with self._lock:
                self._waiting.append(asked)
                asked.leads, self._is_led = not self._is_led, True
            if not asked.leads:
                asked.woken.acquire()
            while asked.found is None:
                self._multiply(asked)
        finally:
            self._leave(asked)
        return asked.found

    def _multiply(self, leader: _Asked) -> None:
        batch = self._take()
        try:
            found = products(batch[0].vectors, np.stack([asked.unit for asked in batch]))
        except BaseException:
            with self._lock:  # it may be for want of memory, or only we were interrupted: the others try again
                self._waiting.extendleft(asked for asked in reversed(batch) if asked is not leader)
            raise
        for asked, row in zip(batch, found, strict=True):
            asked.found = row
            if asked is not leader:
                asked.woken.release()

    def _take(self) -> list[_Asked]:
        """Take whoever waits longest, and who asks for the same vectors, as far as one batch holds them."""
        with self._lock:
            waiting = self._waiting
            first = waiting.popleft()
            batch, most = [first], max(1, BATCH_CELLS_MAX // max(first.vectors.count, 1))
            while waiting and waiting[0].vectors is first.vectors and len(batch) < most:
                batch.append(waiting.popleft())
        return batch

    def _leave(self, asked: _Asked) -> None:
        """Let the next one lead, if this one did; one that was interrupted waits no more."""
        with self._lock:
            if asked.found is None and asked in self._waiting:
                self._waiting.remove(asked)
            if not asked.leads:
                return
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].woken.release()
            else:
                self._is_led = False
