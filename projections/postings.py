"""What indexes are made of: postings, from keys to rows, and lists of numbers, from rows to keys.

The postings of a key are an ``array("q")`` of entries that rise, which the writer appends to. Readers copy one with
``tobytes()``, which nothing interrupts under the GIL.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key")
Ints = NDArray[np.int64]
Int32s = NDArray[np.int32]
_WIDTH = 8


def post(lists: dict[Key, array[int]], keys: Sequence[Key], places: Ints, entries: Ints) -> None:
    """Append entries to the postings of their keys; those that an interrupted call has appended are left out.

    Args:
        places: of each entry's key in ``keys``, ascending, shape (n,).
        entries: larger than all that the key had before this call or an interrupted one with the same entries, and
            rising for each key, shape (n,).
    """
    if not len(entries):
        return
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    firsts, packed = entries[starts].tolist(), entries.tobytes()
    stops = np.append(starts[1:], len(entries))
    bounds = zip((starts * _WIDTH).tolist(), (stops * _WIDTH).tolist(), strict=True)
    for place, first, (start, stop) in zip(places[starts].tolist(), firsts, bounds, strict=True):
        posting = lists.get(keys[place])
        if posting is None:
            lists[keys[place]] = array("q", packed[start:stop])
        elif posting[-1] < first:
            posting.frombytes(packed[start:stop])
        else:  # Ctrl-C came between the postings of these rows
            some = entries[start // _WIDTH : stop // _WIDTH]
            posting.frombytes(some[some > posting[-1]].tobytes())


def spans(starts: Ints, lengths: Ints) -> Ints:
    """Return starts[0].., starts[1].., ...: the places of several spans, one after the other."""
    ends = lengths.cumsum()
    places: Ints = np.arange(int(ends[-1]) if len(ends) else 0) + (starts - ends + lengths).repeat(lengths)
    return places


class RowLists:
    """A list of numbers (int32) for each row; rows are only ever added.

    One writer at a time, any number of readers beside it, each of rows that were there when it began: new rows are
    written behind all of these, and the arrays are swapped when they grow.
    """

    def __init__(self) -> None:
        self._values: Int32s = np.zeros(64, np.int32)
        self._bounds: Ints = np.zeros(64, np.int64)  # the list of row r begins at r, and ends where the next one begins
        self.count = 0

    def append(self, values: NDArray[np.integer[Any]], lengths: Ints) -> None:
        """Add rows: the numbers of one after the other, and how many each has."""
        first, stop = self.count, self.count + len(lengths)
        begin = int(self._bounds[first])
        self._bounds = _grown(self._bounds, first + 1, stop + 1)
        self._values = _grown(self._values, begin, begin + len(values))
        self._values[begin : begin + len(values)] = values
        self._bounds[first + 1 : stop + 1] = lengths.cumsum() + begin
        self.count = stop

    def of(self, rows: NDArray[np.integer[Any]]) -> tuple[Int32s, Ints]:
        """Return the numbers of some rows, one row after the other, and how many each has."""
        bounds = self._bounds
        starts = bounds[rows]
        lengths = bounds[rows + 1] - starts
        return self._values[spans(starts, lengths)], lengths

    def between(self, first: int, stop: int) -> tuple[Int32s, Ints]:
        """Return the numbers of the rows first..stop-1, one row after the other, and how many each has."""
        bounds = self._bounds[first : stop + 1]
        return self._values[int(bounds[0]) : int(bounds[-1])], np.diff(bounds)

    def fork(self, count: int) -> RowLists:
        """Return lists that begin with the first ``count`` rows and go on by themselves."""
        fork = RowLists()
        fork._values, _ = self.between(0, count)
        fork._bounds, fork.count = self._bounds[: count + 1], count
        return fork

    def size_bytes(self) -> int:
        """Return the bytes of the arrays."""
        return self._values.nbytes + self._bounds.nbytes


def _grown(array: NDArray[Any], used: int, wanted: int) -> NDArray[Any]:
    """Return an array with room for ``wanted`` numbers, the used ones in it."""
    if wanted <= len(array):
        return array
    grown = np.zeros(max(wanted, len(array) * 3 // 2, 64), array.dtype)
    grown[:used] = array[:used]
    return grown
