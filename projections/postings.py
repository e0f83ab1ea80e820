"""Postings: for each key of an index an ``array("q")`` of entries that rise, which the writer appends to.

Readers copy one with ``tobytes()``, which nothing interrupts under the GIL.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key")
Ints = NDArray[np.int64]
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
    before = np.cumsum(lengths) - lengths
    places: Ints = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    return places
