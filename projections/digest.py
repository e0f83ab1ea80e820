"""The state digest: one number for what a log says, on any machine and for any sharding (decision 0001, section 6).

Sum modulo 2^256 of SHA-256 over the canonical row of every live node, every live edge and every space. A canonical
row is MessagePack of recorded values; row numbers and derived values never enter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from memorygraph.events.log import no_rest
from memorygraph.projections.frame import ALIVE, NO_ROW, Frame
from memorygraph.projections.tables import CHUNK_BITS, CHUNK_ROWS, View

_MODULUS: Final = 1 << 256
_encode: Final = msgspec.msgpack.Encoder().encode


class DigestCache:
    """Sums of chunks that did not change since the last digest, by table and chunk."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int], tuple[int, int]] = {}

    def digest(self, frame: Frame, rest: Callable[[], None] = no_rest) -> str:
        """Return the digest of a Frame as 64 hexadecimal digits; ``rest`` is called after each row."""
        total = _sum([("space", space) for space in frame.spaces], rest)
        total += _sum(_pending_rows(frame), rest)
        total += self._table("node", frame.nodes, lambda rows: _node_rows(frame, rows), rest)
        total += self._table("edge", frame.edges, lambda rows: _edge_rows(frame, rows), rest)
        return total_of([total])

    def _table(
        self, kind: str, view: View, canonical: Callable[[range], Iterable[Any]], rest: Callable[[], None]
    ) -> int:
        total = 0
        for chunk, version in enumerate(view.versions[:-1]):
            cached = self._sums.get((kind, chunk))
            if cached is None or cached[0] != version:
                first = chunk << CHUNK_BITS
                rows = range(first, min(first + CHUNK_ROWS, view.count))
                cached = self._sums[kind, chunk] = (version, _sum(canonical(rows), rest))
            total += cached[1]
        return total


def total_of(sums: Iterable[int]) -> str:
    """Return the digest of the rows that several sums are of, as 64 hexadecimal digits."""
    return f"{sum(sums) % _MODULUS:064x}"


def partial_sum(frame: Frame, held: NDArray[np.bool_], *, spaces: bool) -> int:
    """Return the sum over some nodes, the edges that lead out of these, and the spaces if they are asked for.

    Args:
        held: the nodes, shape (node rows,), whose texts and vectors the Frame must have.
    """
    nodes = np.flatnonzero(held & frame.live_rows())
    edges = np.flatnonzero(held[frame.edges.column("source")] & (frame.edges.column("flags") & ALIVE).astype(np.bool_))
    rows: list[Any] = [("space", space) for space in frame.spaces] if spaces else []
    if spaces and frame.pending is not None:
        rows.append(("pending", frame.pending.space))
    parts = (rows, _pending_vectors(frame), _node_rows(frame, nodes.tolist()), _edges(frame, edges.tolist()))
    return sum(_sum(part, no_rest) for part in parts)


def _sum(rows: Iterable[Any], rest: Callable[[], None]) -> int:
    total = 0
    for row in rows:
        total += int.from_bytes(hashlib.sha256(_encode(row)).digest(), "big")
        rest()
    return total


def _pending_rows(frame: Frame) -> Iterable[Any]:
    pending = frame.pending
    if pending is None:
        return
    yield "pending", pending.space
    yield from _pending_vectors(frame)


def _pending_vectors(frame: Frame) -> Iterable[Any]:
    pending = frame.pending
    if pending is None:
        return
    rows = pending.vector_rows(frame.nodes.count)
    for row in np.flatnonzero(frame.live_rows() & (rows != NO_ROW)).tolist():
        yield "pending vector", frame.interner.ids[row], pending.vectors.vector(rows[row])


def _node_rows(frame: Frame, rows: Iterable[int]) -> Iterable[Any]:
    alive = frame.nodes.column("alive")
    for row in rows:
        if alive[row]:
            yield "node", frame.node(row)
            card = frame.nodes.value("review", row)
            if card is not None:
                yield "review", frame.interner.ids[row], card


def _edge_rows(frame: Frame, rows: range) -> Iterable[Any]:
    alive = np.flatnonzero(frame.edges.column("flags")[rows.start : rows.stop] & ALIVE) + rows.start
    return _edges(frame, alive.tolist())


def _edges(frame: Frame, rows: Iterable[int]) -> Iterable[Any]:
    for row in rows:
        yield "edge", frame.edge(row), frame.edges.value("birth", row)
