"""Parts of an index that are written once: what it knows of a range of rows, kept between runs.

An index that only grows with the rows of a table (postings, statements) is kept in segments, one for each of some
ranges of rows, like those of other inverted indexes. What is new makes a new segment; segments of like size are joined,
so that there are few of them and each row is written a few times.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np

GROWTH: Final = 3  # a segment is joined with the next one unless it is so many times larger


class Lists(NamedTuple):
    """Entries of keys, as bytes: the keys, how many entries each has (uint32), and the entries, one key after another.

    Entries of a key rise; no key is without.
    """

    keys: list[str]
    counts: bytes
    entries: bytes


class Segments:
    """Where the segments of an index end."""

    def __init__(self) -> None:
        self._ends: list[int] = []

    def ranges(self, count: int) -> Iterator[tuple[int, int]]:
        """Give (first row, row behind the last) of the segments to keep of ``count`` rows."""
        ends = [end for end in self._ends if end < count]
        while ends and (ends[-1] - (ends[-2] if len(ends) > 1 else 0)) < GROWTH * (count - ends[-1]):
            ends.pop()
        self._ends = ends = [*ends, count] if count else []
        return zip([0, *ends], ends, strict=False)

    def read(self, end: int) -> None:
        """Take note of a segment that was read back."""
        self._ends.append(end)


def part_of(lists: dict[str, array[int]], low: int, high: int) -> Lists:
    """Return the entries in [low, high) of every key; others may be adding larger ones."""
    keys: list[str] = []
    counts: list[int] = []
    blocks: list[bytes] = []
    for key, entries in lists.copy().items():
        if entries[-1] < low:
            continue
        found = np.frombuffer(entries.tobytes(), entries.typecode)
        found = found[found.searchsorted(low) : found.searchsorted(high)]
        if len(found):
            keys.append(key)
            counts.append(len(found))
            blocks.append(found.tobytes())
    return Lists(keys, np.array(counts, np.uint32).tobytes(), b"".join(blocks))


def adder(lists: dict[str, array[int]], added: Lists, typecode: str, low: int, high: int) -> Callable[[], None]:
    """Return what appends to the lists what ``part_of`` gave of entries in [low, high), larger than all that are there.

    Raises:
        ValueError: these are no such lists; nothing is appended.
    """
    keys, packed_counts, packed = added
    counts = np.frombuffer(packed_counts, np.uint32)
    entries = np.frombuffer(packed, typecode)
    ends = np.cumsum(counts, dtype=np.int64)
    starts = ends - counts
    whole = len(counts) == len(set(keys)) == len(keys) and len(entries) == (int(ends[-1]) if len(ends) else 0)
    if not whole or not counts.all() or (len(entries) and not low <= int(entries.min()) <= int(entries.max()) < high):
        raise ValueError("these are not the postings of the next rows")
    rises = np.ones(len(entries), np.bool_)
    rises[1:] = entries[1:] > entries[:-1]
    rises[starts] = True
    if not rises.all():
        raise ValueError("these are not the postings of the next rows: they do not rise")

    def add() -> None:
        width, data = entries.itemsize, memoryview(packed)
        for key, start, end in zip(keys, (starts * width).tolist(), (ends * width).tolist(), strict=True):
            of_key = lists.get(key)
            if of_key is None:
                of_key = lists[key] = array(typecode)
            of_key.frombytes(data[start:end])

    return add
