"""Similarity search through faiss: a scan of half the bytes, and then the exact answer.

Unit vectors are kept a second time, in half precision, in faiss indexes of ``SEGMENT_ROWS`` rows each. A segment is
never changed once it is made, so any number of readers search it without a lock; rows beyond the last one are scanned
as they are. The half precision scan gives candidates, and these are compared by their exact cosines. A cosine of the
scan is off by at most ``ERROR``: so it is known whether a row that was left out could have been among the best, and if
so, more candidates are asked for, in the end all. What comes back is what ``similarity.nearest`` gives.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.frame import Frame
from memorygraph.projections.similarity import (
    GATHERED_SHARE,
    ROUNDED,
    Floats,
    Norms,
    best,
    nearest,
    products_of,
    unit_of,
)

SEGMENT_ROWS: Final = 16_384  # a multiple of a table's chunk
ERROR: Final = 6e-4  # 2^-11, as far as half precision rounds a number of length 1, and what sums of singles add to it
MORE: Final = 32  # candidates beyond the number asked for
WIDER: Final = 8  # times as many, when that was not enough
_SHARE_MAX: Final = 0.05  # of the rows as candidates; beyond, an exact scan is cheaper


class FaissIndex:
    """The segments of one memory's vectors; they grow with the rows and serve every Frame.

    Raises:
        ImportError: faiss is not installed.
    """

    def __init__(self) -> None:
        self._faiss = load_faiss()
        self._segments: dict[int, tuple[Any, ...]] = {}
        self._growing = threading.Lock()

    def nearest(
        self,
        frame: Frame,
        norms: Norms,
        query: Floats,
        k: int,
        *,
        threshold: float = -1.0,
        visible: NDArray[np.bool_] | None = None,
    ) -> list[tuple[int, float]]:
        """Return what ``similarity.nearest`` returns."""
        vectors = frame.vectors
        passing = None if visible is None or vectors is None else visible[vectors.column("node")]
        is_few = passing is not None and np.count_nonzero(passing) <= GATHERED_SHARE * len(passing)
        segments = () if is_few else self._upto(frame, norms)
        wanted = k + MORE
        while segments and k > 0 and wanted < _SHARE_MAX * len(segments) * SEGMENT_ROWS:
            rows, left_out = self._candidates(segments, frame, unit_of(frame, query), wanted, passing)
            found = best(frame, rows, products_of(frame, norms, query, rows), k, threshold)
            reached = found[-1][1] if len(found) == k else threshold
            if left_out + ERROR + ROUNDED < reached:
                return found
            wanted *= WIDER
        return nearest(frame, norms, query, k, threshold=threshold, visible=visible)

    def size_bytes(self) -> int:
        """Return the bytes of the codes."""
        return sum(segment.ntotal * segment.code_size for known in list(self._segments.values()) for segment in known)

    def _upto(self, frame: Frame, norms: Norms) -> tuple[Any, ...]:
        """Return the segments of a Frame's vectors, making those that are not there yet."""
        if frame.vectors is None or frame.space is None:
            return ()
        number, whole = frame.space.space, frame.vectors.count // SEGMENT_ROWS
        if len(self._segments.get(number, ())) < whole:
            with self._growing:
                known = self._segments.get(number, ())
                made = (self._segment(frame, norms, first * SEGMENT_ROWS) for first in range(len(known), whole))
                self._segments = {number: (*known, *made)}  # those of a former space are not needed any more
        return self._segments.get(number, ())[:whole]  # fewer, if another space came meanwhile: no matter

    def _segment(self, frame: Frame, norms: Norms, first: int) -> Any:
        faiss, space = self._faiss, frame.space
        assert space is not None
        assert frame.vectors is not None
        index = faiss.IndexScalarQuantizer(space.dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        lengths = norms.upto(frame)
        for start, block in frame.vectors.blocks("vector"):
            if first <= start < first + SEGMENT_ROWS:
                index.add(block / lengths[start : start + len(block), None])
        return index

    def _candidates(
        self, segments: tuple[Any, ...], frame: Frame, unit: Floats, wanted: int, passing: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], float]:
        """Return the rows to compare, ascending, and what no other row's cosine in the scan is above."""
        faiss = self._faiss
        found: list[NDArray[np.int64]] = []
        left_out = -np.inf
        for number, segment in enumerate(segments):
            first, params = number * SEGMENT_ROWS, None
            if passing is not None:
                bits = np.packbits(passing[first : first + SEGMENT_ROWS], bitorder="little")
                selector = faiss.IDSelectorBitmap(bits)
                params = faiss.SearchParameters(sel=selector)
            scores, rows = segment.search(unit[None], min(wanted, SEGMENT_ROWS), params=params)
            if rows[0, -1] >= 0:
                left_out = max(left_out, float(scores[0, -1]))
            found.append(rows[0][rows[0] >= 0] + first)
        assert frame.vectors is not None
        tail = np.arange(len(segments) * SEGMENT_ROWS, frame.vectors.count)
        found.append(tail if passing is None else tail[passing[tail]])
        return np.sort(np.concatenate(found)), left_out


def load_faiss() -> Any:
    """Return the module faiss.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise ImportError(
            "use_faiss=True needs faiss; install it with: pip install 'memorygraph[faiss-cpu]'"
        ) from error
    return faiss
