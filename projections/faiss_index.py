"""Similarity search through faiss: inverted lists while they are good enough, else a scan of half the bytes.

From ``LISTS_ROWS_MIN`` vectors on there are inverted lists (``faiss_lists.py``), which know what share of the nearest
they find. Where that is less than was asked for, the answer is exact, by the scan:

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

from memorygraph.projections.faiss_lists import InvertedLists
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
LISTS_ROWS_MIN: Final = 3 * SEGMENT_ROWS  # fewer are scanned in about the time of a search in lists
_SHARE_MAX: Final = 0.05  # of the rows as candidates; beyond, an exact scan is cheaper


class FaissIndex:
    """The segments and lists of one memory's vectors; they grow with the rows and serve every Frame.

    Segments are made when a search needs them. Lists take seconds, so a search goes on without: whoever owns the index
    asks whether they are ``due`` and lets ``grow`` make them.

    Raises:
        ImportError: faiss is not installed.
    """

    def __init__(self) -> None:
        self._faiss = load_faiss()
        self._segments: dict[int, dict[int, Any]] = {}  # by space, then by number
        self._lists: dict[int, InvertedLists] = {}
        self._growing = threading.Lock()
        self._growing_lists = threading.Lock()

    def nearest(
        self,
        frame: Frame,
        norms: Norms,
        query: Floats,
        k: int,
        *,
        recall: float = 1.0,
        threshold: float = -1.0,
        visible: NDArray[np.bool_] | None = None,
    ) -> list[tuple[int, float]]:
        """Return what ``similarity.nearest`` returns, or on average at least a share ``recall`` of it, 0..1."""
        vectors = frame.vectors
        passing = None if visible is None or vectors is None else visible[vectors.column("node")]
        if vectors is None or k <= 0 or _are_few(passing):
            return nearest(frame, norms, query, k, threshold=threshold, visible=visible)
        lists = self._lists_of(frame)
        groups = None if lists is None or recall >= 1.0 else lists.groups_for(recall, k)
        if lists is not None and groups is not None:
            found = self._by_lists(lists, groups, frame, norms, query, k, threshold, passing)
            if found is not None:
                return found
        segments = self._segments_from(0, frame, norms)
        wanted = k + MORE
        while segments and wanted < _SHARE_MAX * len(segments) * SEGMENT_ROWS:
            rows, left_out = self._candidates(segments, frame, unit_of(frame, query), wanted, passing)
            found = best(frame, rows, products_of(frame, norms, query, rows), k, threshold)
            reached = found[-1][1] if len(found) == k else threshold
            if left_out + ERROR + ROUNDED < reached:
                return found
            wanted *= WIDER
        return nearest(frame, norms, query, k, threshold=threshold, visible=visible)

    def due(self, frame: Frame) -> bool:
        """Whether there are vectors for which lists should be made."""
        lists, rows = self._lists_of(frame), _whole(frame)
        return rows >= LISTS_ROWS_MIN and (lists is None or rows > lists.rows) and not self._growing_lists.locked()

    def grow(self, frame: Frame, norms: Norms) -> None:
        """Make the lists that are due; it takes seconds, and others search meanwhile."""
        with self._growing_lists:
            before, rows = self._lists_of(frame), _whole(frame)
            if frame.space is None or rows < LISTS_ROWS_MIN or (before is not None and before.rows >= rows):
                return
            self._lists = {frame.space.space: InvertedLists.made(self._faiss, frame, norms, rows, before)}

    def size_bytes(self) -> int:
        """Return the bytes of the codes."""
        segments = [segment for known in list(self._segments.values()) for segment in list(known.values())]
        codes = sum(int(segment.ntotal * segment.code_size) for segment in segments)
        return codes + sum(known.size_bytes() for known in list(self._lists.values()))

    def _lists_of(self, frame: Frame) -> InvertedLists | None:
        return None if frame.space is None else self._lists.get(frame.space.space)

    def _by_lists(
        self,
        lists: InvertedLists,
        groups: int,
        frame: Frame,
        norms: Norms,
        query: Floats,
        k: int,
        threshold: float,
        passing: NDArray[np.bool_] | None,
    ) -> list[tuple[int, float]] | None:
        """Return what the lists find, and a scan of what is not in them; None: they find too few."""
        live = frame.live_vectors()
        passing = live if passing is None else live & passing
        if _are_few(passing):
            return None
        unit = unit_of(frame, query)
        rows = lists.search(unit, k, groups, None if passing.all() and len(passing) >= lists.rows else passing)
        if rows is None:
            return None
        beyond = self._segments_from(min(lists.rows, len(passing)) // SEGMENT_ROWS, frame, norms)
        others, _ = self._candidates(beyond, frame, unit, k + MORE, passing, lists.rows // SEGMENT_ROWS)
        rows = np.concatenate([rows, others])
        return best(frame, rows, products_of(frame, norms, query, rows), k, threshold)

    def _segments_from(self, first: int, frame: Frame, norms: Norms) -> list[Any]:
        """Return the segments of a Frame's vectors from a number on, making those that are not there yet."""
        if frame.vectors is None or frame.space is None:
            return []
        numbers = range(first, _whole(frame) // SEGMENT_ROWS)
        known = self._segments.get(frame.space.space, {})
        if not all(number in known for number in numbers):
            with self._growing:
                known = dict(self._segments.get(frame.space.space, {}))
                for number in numbers:
                    if number not in known:
                        known[number] = self._segment(frame, norms, number * SEGMENT_ROWS)
                self._segments = {frame.space.space: known}  # those of a former space are not needed any more
        return [known[number] for number in numbers]

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
        self,
        segments: list[Any],
        frame: Frame,
        unit: Floats,
        wanted: int,
        passing: NDArray[np.bool_] | None,
        start: int = 0,
    ) -> tuple[NDArray[np.int64], float]:
        """Return the rows to compare, ascending, and what no other row's cosine in the scan is above.

        Args:
            start: the number of the first segment; what is before is left out.
        """
        faiss = self._faiss
        found: list[NDArray[np.int64]] = []
        left_out = -np.inf
        for number, segment in enumerate(segments, start):
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
        tail = np.arange((start + len(segments)) * SEGMENT_ROWS, frame.vectors.count)
        found.append(tail if passing is None else tail[passing[tail]])
        return np.sort(np.concatenate(found)), left_out


def _whole(frame: Frame) -> int:
    """Return how many of a Frame's vectors fill whole segments."""
    return 0 if frame.vectors is None else frame.vectors.count // SEGMENT_ROWS * SEGMENT_ROWS


def _are_few(passing: NDArray[np.bool_] | None) -> bool:
    """Whether so few rows pass that they are sooner compared one by one."""
    return passing is not None and bool(np.count_nonzero(passing) <= GATHERED_SHARE * len(passing))


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
