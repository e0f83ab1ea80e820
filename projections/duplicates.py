"""Near-duplicates: which memories say what another one says, by the cosine of their vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.frame import Frame
from memorygraph.projections.products import BATCH_CELLS_MAX
from memorygraph.projections.similarity import Norms

_TOLERANCE = 1e-6  # products of other shapes may differ in the last bits


def near_duplicates(frame: Frame, norms: Norms, threshold: float, candidates: int | None) -> dict[int, list[int]]:
    """Return the node rows to keep, each with those whose place it takes, all with a cosine of at least ``threshold``.

    A node gives way to a more important one, or an older one of the same importance; never to one of another partition.

    Args:
        candidates: so many of the newest nodes are compared with all; None: every one.
    """
    if frame.vectors is None or frame.live_nodes == 0:
        return {}
    vectors = np.flatnonzero(frame.live_vectors())
    nodes = frame.vectors.column("node")[vectors]
    birth, importance = frame.nodes.column("birth")[nodes], frame.nodes.column("importance")[nodes]
    order = np.lexsort((birth, -importance))
    vectors, nodes, birth = vectors[order], nodes[order], birth[order]  # from here on a place is a rank
    partition = frame.nodes.column("partition")[nodes]
    chosen = np.sort(np.argsort(-birth, kind="stable")[:candidates])
    kept: dict[int, list[int]] = {}
    is_gone = np.zeros(len(nodes), dtype=np.bool_)
    step = max(1, BATCH_CELLS_MAX // max(len(nodes), 1))
    for start in range(0, len(chosen), step):
        block = chosen[start : start + step]
        similar = _cosines(frame, norms, vectors[block], vectors) >= threshold - _TOLERANCE
        for place, row in zip(block.tolist(), similar, strict=True):
            if is_gone[place]:
                continue
            found = np.flatnonzero(row & ~is_gone & (partition == partition[place]))
            better = found[found < place]
            going, keeper = ([place], int(better[0])) if len(better) else (found[found > place].tolist(), place)
            if going:
                is_gone[going] = True
                kept.setdefault(int(nodes[keeper]), []).extend(nodes[going].tolist())
    return kept


def _cosines(frame: Frame, norms: Norms, some: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the cosines of some vector rows with others, shape (some, others)."""
    assert frame.vectors is not None
    lengths = norms.upto(frame)
    wanted = np.empty((len(some), frame.space.dim if frame.space else 0), dtype=np.float32)
    for first, block in frame.vectors.blocks("vector"):
        mine = (some >= first) & (some < first + len(block))
        wanted[mine] = block[some[mine] - first]
    wanted /= lengths[some, None]
    products = np.empty((len(some), frame.vectors.count), dtype=np.float32)
    for first, block in frame.vectors.blocks("vector"):
        np.matmul(wanted, block.T, out=products[:, first : first + len(block)])
    cosines: NDArray[np.float32] = products[:, others] / lengths[others]
    return cosines
