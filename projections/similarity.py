"""Exact cosine similarity over the vectors of a Frame."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.events.errors import EmbeddingDimensionError
from memorygraph.projections.frame import Frame
from memorygraph.projections.tables import View

Floats = NDArray[np.float32]
BATCH_CELLS_MAX: Final = 1 << 22  # scores held at once by a batch: 16 MiB


class Norms:
    """Euclidean length of each vector row; grows with the rows and serves every Frame, also those of a former space."""

    def __init__(self) -> None:
        self._spaces: dict[int, _Lengths] = {}
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
        norms = Norms()
        if frame.space is not None:
            lengths = self.upto(frame)
            norms._spaces[frame.space.space] = _Lengths(lengths, len(lengths))
        return norms

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
        """Return the bytes of the arrays."""
        return sum(lengths.values.nbytes for lengths in list(self._spaces.values()))


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
                lengths = np.linalg.norm(new.astype(np.float64), axis=1)
                start = max(self.count, first)
                values[start : start + len(new)] = np.where(lengths > 0, lengths, 1)
        self.values = values
        self.count = vectors.count


def cosines(frame: Frame, norms: Norms, query: Floats) -> Floats:
    """Return the cosine of a query vector, shape (dim,), with every vector row, shape (rows,).

    Raises:
        EmbeddingDimensionError: the query has another dimension.
    """
    vectors = frame.vectors
    if vectors is None or not vectors.count:
        return np.zeros(0, dtype=np.float32)
    query = _fitting(frame, query)
    length = float(np.linalg.norm(query.astype(np.float64)))
    scores = np.empty(vectors.count, dtype=np.float32)
    for first, block in vectors.blocks("vector"):
        np.dot(block, query, out=scores[first : first + len(block)])
    scores /= norms.upto(frame)
    scores /= length if length > 0 else 1.0
    return np.clip(scores, -1.0, 1.0, out=scores)


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
    return _best(frame, cosines(frame, norms, query), k, threshold, visible)


def nearest_each(
    frame: Frame, norms: Norms, queries: Floats, k: int, threshold: float, *, before: Sequence[int] = ()
) -> list[list[tuple[int, float]]]:
    """Return what ``nearest`` gives for each query, shape (queries, dim), as one product per block of vectors.

    Args:
        before: for each query a birth; only older nodes may be found. Empty: every live one.
    """
    vectors = frame.vectors
    if (len(queries) == 1 and not before) or vectors is None or not vectors.count:
        return [nearest(frame, norms, query, k, threshold=threshold) for query in queries]
    lengths = np.linalg.norm(queries, axis=1, keepdims=True)
    units = queries / np.where(lengths > 0, lengths, 1)
    norm = norms.upto(frame)
    step = max(1, BATCH_CELLS_MAX // vectors.count)
    results: list[list[tuple[int, float]]] = []
    for start in range(0, len(units), step):
        part = units[start : start + step]
        scores = np.empty((len(part), vectors.count), dtype=np.float32)
        for first, block in vectors.blocks("vector"):
            scores[:, first : first + len(block)] = part @ block.T
        scores /= norm
        np.clip(scores, -1.0, 1.0, out=scores)
        for place, row in enumerate(scores, start):
            older = frame.nodes.column("birth") < before[place] if before else None
            results.append(_best(frame, row, k, threshold, older))
    return results


def _best(
    frame: Frame, scores: Floats, k: int, threshold: float, visible: NDArray[np.bool_] | None
) -> list[tuple[int, float]]:
    """Pick from scores of vector rows; which rows count is asked only of those that pass the threshold."""
    if frame.vectors is None or not len(scores):
        return []
    rows = np.flatnonzero(scores >= threshold)
    owner = frame.vectors.column("node")[rows]
    counts = frame.live_rows()[owner] & (frame.nodes.column("vector_row")[owner] == rows)
    if visible is not None:
        counts &= visible[owner]
    rows, owner = rows[counts], owner[counts]
    found = top(scores[rows].astype(np.float64).round(6), births(frame, owner), k)
    return [(int(owner[place]), float(scores[rows[place]])) for place in found]


def births(frame: Frame, rows: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the births of node rows: what ties are broken by."""
    birth: NDArray[np.int64] = frame.nodes.column("birth")[rows]
    return birth


def top(scores: NDArray[np.float64], birth: NDArray[np.int64], k: int) -> NDArray[np.intp]:
    """Return the places of the k highest scores, best first, equal scores by birth."""
    places: NDArray[np.intp] = np.arange(len(scores))
    if 0 < k < len(scores):
        cut = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= cut)
    order: NDArray[np.intp] = places[np.lexsort((birth[places], -scores[places]))][: max(k, 0)]
    return order


def _fitting(frame: Frame, query: Floats) -> Floats:
    space = frame.space
    assert space is not None  # there are vectors, so a space was declared
    if query.shape != (space.dim,):
        raise EmbeddingDimensionError(
            f"the query vector has shape {query.shape}; this memory holds vectors of {space.dim} dimensions",
            expected=space.dim,
            found=query.shape,
        )
    return np.ascontiguousarray(query, dtype=np.float32)
