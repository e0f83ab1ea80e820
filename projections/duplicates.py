"""Near-duplicates: which memories say what another one says, by the cosine of their vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.frame import NO_ROW, Frame
from memorygraph.projections.products import BATCH_CELLS_MAX
from memorygraph.projections.similarity import Norms

_TOLERANCE = 1e-6  # products of other shapes may differ in the last bits


def near_duplicates(
    frame: Frame, norms: Norms, threshold: float, candidates: int | None, rows: NDArray[np.int32]
) -> dict[int, list[int]]:
    """Return which of some live node rows to keep, each with those whose place it takes.

    All of these have a cosine of at least ``threshold`` with it. A node gives way to a more important one, or an older
    one of the same importance. What is compared, and multiplied, is these rows alone.

    Args:
        candidates: so many of the newest nodes are compared with all; None: every one.
        rows: shape (rows,).
    """
    vectors = frame.nodes.take("vector_row", rows)
    nodes, vectors = rows[vectors != NO_ROW], vectors[vectors != NO_ROW]
    if len(nodes) <= 1:
        return {}
    birth, importance = frame.nodes.take("birth", nodes), frame.nodes.take("importance", nodes)
    order = np.lexsort((birth, -importance))
    vectors, nodes, birth = vectors[order], nodes[order], birth[order]  # from here on a place is a rank
    chosen = np.sort(np.argsort(-birth, kind="stable")[:candidates])
    kept: dict[int, list[int]] = {}
    is_gone = np.zeros(len(nodes), dtype=np.bool_)
    step = max(1, BATCH_CELLS_MAX // len(nodes))
    for start in range(0, len(chosen), step):
        block = chosen[start : start + step]
        similar = _cosines(frame, norms, vectors[block], vectors) >= threshold - _TOLERANCE
        for place, row in zip(block.tolist(), similar, strict=True):
            if is_gone[place]:
                continue
            found = np.flatnonzero(row & ~is_gone)
            better = found[found < place]
            going, keeper = ([place], int(better[0])) if len(better) else (found[found > place].tolist(), place)
            if going:
                is_gone[going] = True
                kept.setdefault(int(nodes[keeper]), []).extend(nodes[going].tolist())
    return kept


def _cosines(frame: Frame, norms: Norms, some: NDArray[np.int32], others: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the cosines of some vector rows with others, shape (some, others)."""
    assert frame.vectors is not None
    lengths = norms.upto(frame)
    wanted = np.empty((len(some), frame.space.dim if frame.space else 0), dtype=np.float32)
    order = np.argsort(others)
    ascending = others[order]
    for first, block in frame.vectors.blocks("vector"):
        mine = (some >= first) & (some < first + len(block))
        wanted[mine] = block[some[mine] - first]
    wanted /= lengths[some, None]
    cosines = np.empty((len(some), len(others)), dtype=np.float32)
    for first, block in frame.vectors.blocks("vector"):
        start, stop = np.searchsorted(ascending, (first, first + len(block)))
        if start < stop:
            part = block if stop - start == len(block) else block[ascending[start:stop] - first]
            cosines[:, order[start:stop]] = wanted @ part.T
    cosines /= lengths[others]
    return cosines
