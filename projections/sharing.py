"""Two Frames of one memory that hold equal rows need them only once.

Chunks are compared byte by byte, so it does not matter where the Frames came from: what is equal is shared, what is
not (a log whose records were replaced since, say) stays apart.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.adjacency import Adjacency
from memorygraph.projections.frame import Frame
from memorygraph.projections.snapshot_format import encode_cells
from memorygraph.projections.snapshot_writer import views
from memorygraph.projections.tables import CHUNK_BITS, CHUNK_ROWS, Interner, View

Held: TypeAlias = "NDArray[Any] | Interner | Adjacency | array[int]"  # quoted: arrays cannot be subscripted at run time


def sharing(frame: Frame, live: Frame) -> tuple[Frame, bool]:
    """Return a Frame that says the same as ``frame`` with as much of ``live``, a later one, as is equal.

    Returns:
        the Frame, and whether its texts, labels and vectors are all rows of ``live``, so that one index serves both.
    """
    rows = {name: _shared(view, views(live).get(name)) for name, view in views(frame).items()}
    derived = {"_cache", "sights", "traces"}
    fields: dict[str, Any] = {name: getattr(frame, name) for name in Frame.__slots__ if name not in derived}
    fields["recorded"] = None if frame.recorded is frame else frame.recorded
    fields |= rows
    if live.interner.ids[: frame.nodes.count] == frame.interner.ids[: frame.nodes.count]:
        fields["interner"] = live.interner
    if live.times_us[: frame.position] == frame.times_us[: frame.position]:
        fields["times_us"] = live.times_us
    if _all_of(rows["edges"], live.edges, ("source", "target")):
        fields["adjacency"] = live.adjacency
    searched = [name for name in rows if name in {"texts", "labels", "vectors"}]
    serves = all(_all_of(rows[name], views(live)[name], rows[name].chunks) for name in searched)
    return Frame(**fields), serves


def held_by(frame: Frame) -> Iterator[Held]:
    """Give what a Frame holds: chunks, what it joined of them, ids, times and adjacency."""
    for view in views(frame).values():
        for chunks in view.chunks.values():
            yield from (chunk for chunk in chunks if chunk is not None)
        yield from list(view.joined.values())
    yield from frame.masks()
    yield frame.interner
    yield frame.adjacency
    yield frame.times_us


def held_bytes(part: Held) -> int:
    """Return the bytes of such a part; of a column of objects also those of its values, as far as they are its own."""
    if isinstance(part, Interner | Adjacency):
        return part.size_bytes()
    if isinstance(part, array):
        return part.itemsize * len(part)
    if not part.dtype.hasobject:
        return part.nbytes
    return part.nbytes + sum(sys.getsizeof(value) for value in part.tolist() if value is not None)


def _shared(mine: View, live: View | None) -> View:
    if live is None or live.kinds != mine.kinds:
        return mine
    chunks = {
        name: tuple(_shared_chunk(name, index, mine, live) for index in range(len(column)))
        for name, column in mine.chunks.items()
    }
    return View(mine.count, chunks, mine.versions, mine.kinds)


def _shared_chunk(name: str, index: int, mine: View, live: View) -> NDArray[Any] | None:
    chunk = mine.chunks[name][index]
    other = live.chunks[name][index] if index < len(live.chunks[name]) else None
    rows = min(CHUNK_ROWS, mine.count - (index << CHUNK_BITS))
    if other is None or chunk is other or live.count < mine.count:
        return chunk
    if chunk is None:  # no row has a value; in the later one a row further down may have the chunk's first
        return other if other[:rows].tolist().count(None) == rows else chunk
    return other if _equal(chunk[:rows], other[:rows]) else chunk


def _equal(some: NDArray[Any], others: NDArray[Any]) -> bool:
    """Whether rows are the same to the bit: 0.0 is not -0.0, and 1 is not True."""
    if some.dtype.hasobject:
        return encode_cells(some.tolist()) == encode_cells(others.tolist())
    return bool(np.array_equal(some.view(np.uint8), others.view(np.uint8)))


def _all_of(mine: View, live: View, columns: Any) -> bool:
    """Whether every chunk of these columns is the other's."""
    return all(
        chunk is other for name in columns for chunk, other in zip(mine.chunks[name], live.chunks[name], strict=False)
    )
