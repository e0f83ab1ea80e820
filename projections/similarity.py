"""Exact cosine similarity over the vectors of a Frame."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.events.errors import EmbeddingDimensionError
from memorygraph.projections.frame import Frame
from memorygraph.projections.products import BATCH_CELLS_MAX, ProductQueue, products
from memorygraph.projections.sparse import SparseVectors
from memorygraph.projections.tables import View

Floats = NDArray[np.float32]
GATHERED_SHARE: Final = 0.1
GROUP: Final = 64
ROUNDED: Final = 1e-6  # scores are compared rounded to so much
HIDDEN: Final = -4.0  # below every cosine


class Norms:
    """Euclidean length of each vector row; grows with the rows and serves every Frame, also those of a former space.

    ``queue`` is where searches that come at once meet. Of sparse vectors the entries are kept besides (``sparse.py``),
    when products are asked for.

    Args:
        is_fork: what goes on for a short time only: entries are not worth keeping.
    """

    def __init__(self, *, is_fork: bool = False) -> None:
        self.queue = ProductQueue()
        self._spaces: dict[int, _Lengths] = {}
        self._sparse: dict[int, SparseVectors] = {}
        self._is_fork = is_fork
        self._growing = threading.Lock()

    def upto(self, frame: Frame) -> Floats:
        """Return the lengths of a Frame's vectors, shape (rows,); a zero vector has length 1, so its cosine is 0."""
        if frame.vectors is None or frame.space is None:
            return np.zeros(0, dtype=np.float32)
        lengths = self._spaces.get(frame.space.space)
        if lengths is None or lengths.count < frame.vectors.count:
            with self._growing:
                lengths = self._spaces.setdefault(frame.space.space, _Lengths())
                lengths.grow(frame.vectors)
        return lengths.values[: frame.vectors.count]

    def fork(self, frame: Frame) -> Norms:
        """Return the lengths of a Frame's vectors; more of them do not become known here."""
        norms = Norms(is_fork=True)
        if frame.space is not None:
            lengths = self.upto(frame)
            norms._spaces[frame.space.space] = _Lengths(lengths, len(lengths))
        return norms

    def products(self, frame: Frame, query: Floats) -> Floats | None:
        """Return the products of a query, shape (dim,), with a Frame's vectors, shape (rows,), if they are sparse."""
        if frame.vectors is None or frame.space is None or self._is_fork:
            return None
        sparse = self._sparse.get(frame.space.space)
        if sparse is None or sparse.count < frame.vectors.count:
            with self._growing:
                sparse = self._sparse.setdefault(frame.space.space, SparseVectors())
                sparse.grow(frame.vectors)
        return sparse.products(query, frame.vectors.count)

    def load(self, data: bytes, space: int = 1) -> None:
        """Take in the lengths of the next rows of a space (float32 bytes), before anything was asked.

        Raises:
            ValueError: they are not finite lengths above 0.
        """
        values = np.frombuffer(data, np.float32)
        if not bool((np.isfinite(values) & (values > 0)).all()):
            raise ValueError("these are not lengths of vectors")
        known = self._spaces.get(space, _Lengths())
        values = np.concatenate([known.values[: known.count], values])
        self._spaces[space] = _Lengths(values, len(values))

    def size_bytes(self) -> int:
        """Return the bytes of lengths and entries."""
        lengths = sum(lengths.values.nbytes for lengths in list(self._spaces.values()))
        return lengths + sum(sparse.size_bytes() for sparse in list(self._sparse.values()))


class _Lengths:
    """The lengths of one space's vectors, as far as they are known."""

    def __init__(self, values: Floats | None = None, count: int = 0) -> None:
        self.values: Floats = np.zeros(0, dtype=np.float32) if values is None else values
        self.count = count

    def grow(self, vectors: View) -> None:
        if self.count >= vectors.count:
            return
        values = self.values
        if len(values) < vectors.count:
            values = np.ones(max(vectors.count, len(values) * 5 // 4, 16), dtype=np.float32)
            values[: self.count] = self.values[: self.count]
        for first, block in vectors.blocks("vector"):
            new = block[max(self.count - first, 0) :]
            if len(new):
                exact = new.astype(np.float64)
                lengths = np.sqrt(np.add.reduce(exact * exact, axis=1))
                start = max(self.count, first)
                values[start : start + len(new)] = np.where(lengths > 0, lengths, 1)
        self.values = values
        self.count = vectors.count


def cosines(frame: Frame, norms: Norms, query: Floats) -> Floats:
    """Return the cosine of a query vector, shape (dim,), with every vector row, shape (rows,).

    Raises:
        EmbeddingDimensionError: the query has another dimension.
    """
    scores = _products(frame, norms, query)
    return np.clip(scores, -1.0, 1.0, out=scores)


def cosines_each(frame: Frame, norms: Norms, queries: Sequence[Floats]) -> Iterator[Floats]:
    """Give what ``cosines`` gives for each query, of which as many at a time as fit are one product.

    Raises:
        EmbeddingDimensionError: a query has another dimension.
    """
    vectors = frame.vectors
    if vectors is None or not vectors.count or len(queries) == 1:
        yield from (cosines(frame, norms, query) for query in queries)
        return
    units = [unit_of(frame, query) for query in queries]
    step = max(1, BATCH_CELLS_MAX // vectors.count)
    for start in range(0, len(units), step):
        scores = products(vectors, np.stack(units[start : start + step]))
        scores /= norms.upto(frame)
        yield from np.clip(scores, -1.0, 1.0, out=scores)


def nearest(
    frame: Frame,
    norms: Norms,
    query: Floats,
    k: int,
    *,
    threshold: float = -1.0,
    visible: NDArray[np.bool_] | None = None,
) -> list[tuple[int, float]]:
    """Return up to k (node row, cosine), none below ``threshold``, best first, ties by birth.

    Args:
        visible: which node rows may be found, shape (node rows,); None: every live one.
    """
    vectors = frame.vectors
    if vectors is None or not vectors.count:
        return []
    if visible is None and 2 * frame.live_nodes < frame.nodes.count:
        visible = frame.live_rows()  # most are forgotten, or hidden from who asks
    if visible is None:
        return best(frame, None, _products(frame, norms, query), k, threshold)
    passing = visible[vectors.column("node")]
    if np.count_nonzero(passing) <= GATHERED_SHARE * vectors.count:  # fewer rows are sooner copied than scanned
        rows = np.flatnonzero(passing)
        return best(frame, rows, products_of(frame, norms, query, rows), k, threshold)
    scores = _products(frame, norms, query)
    scores[~passing] = HIDDEN
    return best(frame, None, scores, k, threshold)


def nearest_each(
    frame: Frame,
    norms: Norms,
    queries: Floats,
    k: int,
    threshold: float,
    *,
    before: Sequence[int] = (),
    visible: NDArray[np.bool_] | None = None,
) -> list[list[tuple[int, float]]]:
    """Return what ``nearest`` gives for each query, shape (queries, dim), as one product per block of vectors.

    Args:
        before: for each query a birth; only older nodes may be found. Empty: every live one.
        visible: which node rows may be found, shape (node rows,); None: every live one.
    """
    vectors = frame.vectors
    if not len(queries):
        return []
    if (len(queries) == 1 and not before) or vectors is None or not vectors.count:
        return [nearest(frame, norms, query, k, threshold=threshold, visible=visible) for query in queries]
    units = np.stack([unit_of(frame, query) for query in queries])
    norm = norms.upto(frame)
    owner = vectors.column("node") if before else None
    hidden = None if visible is None else ~visible[vectors.column("node")]
    step = max(1, BATCH_CELLS_MAX // vectors.count)
    results: list[list[tuple[int, float]]] = []
    for start in range(0, len(units), step):
        part = units[start : start + step]
        scores = products(vectors, part)
        scores /= norm
        for place, row in enumerate(scores, start):
            if owner is not None:
                row[(frame.nodes.column("birth") >= before[place])[owner]] = HIDDEN
            if hidden is not None:
                row[hidden] = HIDDEN
            results.append(best(frame, None, row, k, threshold))
    return results


def best(
    frame: Frame, rows: NDArray[np.int64] | None, scores: Floats, k: int, threshold: float
) -> list[tuple[int, float]]:
    """Pick the k best of scored vector rows, as ``nearest`` gives them.

    Args:
        rows: the vector rows that are scored, ascending; None: all of them. Rows that are not the present vector of a
            live node are left out; that is asked only of those with the highest scores.
        scores: their cosines, shape (rows,), ``HIDDEN`` for what must not be found.
    """
    if k <= 0:
        return []
    least = threshold if threshold > -1.0 else HIDDEN / 2
    wanted = k
    while True:
        bound = max(least, _bound(scores, wanted) - ROUNDED)
        found = (scores >= bound).nonzero()[0]
        vector_rows = found if rows is None else rows[found]
        owner = _owners(frame, vector_rows)
        counts = frame.nodes.take("alive", owner) & (frame.nodes.take("vector_row", owner) == vector_rows)
        if bound <= least or np.count_nonzero(counts) >= k:
            break
        wanted *= 8
    found, owner = found[counts], owner[counts]
    cosine = np.clip(scores[found], -1.0, 1.0).astype(np.float64)
    order = top(cosine.round(6), births(frame, owner), k)
    return [(int(owner[place]), float(cosine[place])) for place in order]


def _bound(scores: Floats, k: int) -> float:
    """Return a number that at least k of the scores reach, if there are so many; a little below the k-th highest.

    The highest of each of several groups are as many scores: the k-th highest of these is such a number, and costs one
    pass that the processor does many scores at a time.
    """
    groups = len(scores) // GROUP
    if k > groups // 4:
        return float(np.partition(scores, len(scores) - k)[len(scores) - k]) if k < len(scores) else HIDDEN
    highest = scores[: groups * GROUP].reshape(GROUP, groups).max(axis=0)
    return float(np.partition(highest, groups - k)[groups - k])


def _products(frame: Frame, norms: Norms, query: Floats) -> Floats:
    """Cosines, but for the last bits, by which they may leave [-1, 1]."""
    vectors = frame.vectors
    if vectors is None or not vectors.count:
        return np.zeros(0, dtype=np.float32)
    unit = unit_of(frame, query)
    scores = norms.products(frame, unit)
    if scores is None:
        scores = norms.queue.product(vectors, unit)
    scores /= norms.upto(frame)
    return scores


def products_of(frame: Frame, norms: Norms, query: Floats, rows: NDArray[np.int64]) -> Floats:
    """Return the cosines of some vector rows, ascending; their last bits may leave [-1, 1]."""
    vectors, unit = frame.vectors, unit_of(frame, query)
    assert vectors is not None
    scores = np.empty(len(rows), dtype=np.float32)
    for first, block in vectors.blocks("vector"):
        start, stop = np.searchsorted(rows, (first, first + len(block)))
        if start < stop:
            part = block if stop - start == len(block) else block[rows[start:stop] - first]
            np.dot(part, unit, out=scores[start:stop])
    scores /= norms.upto(frame)[rows]
    return scores


def _owners(frame: Frame, vector_rows: NDArray[np.int64]) -> NDArray[np.int32]:
    assert frame.vectors is not None
    owners: NDArray[np.int32] = frame.vectors.take("node", vector_rows)
    return owners


def births(frame: Frame, rows: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the births of node rows: what ties are broken by."""
    birth: NDArray[np.int64] = frame.nodes.take("birth", rows)
    return birth


def top(scores: NDArray[np.float64], birth: NDArray[np.int64], k: int) -> NDArray[np.intp]:
    """Return the places of the k highest scores, best first, equal scores by birth."""
    places: NDArray[np.intp] = np.arange(len(scores))
    if 0 < k < len(scores):
        cut = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= cut)
    order: NDArray[np.intp] = places[np.lexsort((birth[places], -scores[places]))][: max(k, 0)]
    return order


def unit_of(frame: Frame, query: Floats) -> Floats:
    """Return a query at length 1 (a zero vector stays one).

    Raises:
        EmbeddingDimensionError: it has another dimension than the Frame's vectors.
    """
    space = frame.space
    assert space is not None  # there are vectors, so a space was declared
    if query.shape != (space.dim,):
        raise EmbeddingDimensionError(
            f"the query vector has shape {query.shape}; this memory holds vectors of {space.dim} dimensions",
            expected=space.dim,
            found=query.shape,
        )
    exact = query.astype(np.float64)
    length = math.sqrt(exact @ exact)
    return (exact / length if length > 0 else exact).astype(np.float32)
