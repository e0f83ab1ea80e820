"""The concept graph: which memories name what (``names.py``), kept beside the inverted index.

Concepts are not nodes of the memory graph: length, iteration and export do not know them. A text row has arcs to the
concepts that it names, a concept has postings of the rows that name it. As in ``lexical.py`` rows are only ever added,
readers bring a mask of the rows that count, and how common a concept is is counted over these alone.

Readers need no lock: postings are copied with ``tobytes()``; the arrays of arcs are written beyond every reader's rows
and swapped when they grow.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.names import RULES_VERSION, names_in
from memorygraph.projections.postings import RowLists, post

VERSION: Final = f"names-{RULES_VERSION}"
"""What the concepts of a text depend on."""

_CLOSENESS_BITS: Final = 2
_CLOSENESS_MASK: Final = (1 << _CLOSENESS_BITS) - 1

Ints = NDArray[np.int64]
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[list[str], bytes, bytes, bytes]).decode


class Mentions(NamedTuple):
    """Postings of several concepts, one after the other: text row, place of the concept, closeness (``names.py``)."""

    rows: Ints
    concepts: Ints
    closeness: Ints


class ConceptIndex:
    """Concepts of text rows and text rows of concepts; one writer at a time, any number of readers beside it."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._names: list[str] = []
        self._postings: dict[int, array[int]] = {}
        self._arcs = RowLists()  # of ``concept << 2 | closeness``
        self._base: tuple[ConceptIndex, int, int] | None = None  # of a fork: the index, its rows and its concepts

    @property
    def count(self) -> int:
        """How many text rows are indexed."""
        return self._arcs.count

    @property
    def concepts(self) -> int:
        """How many different concepts were named in any row."""
        return len(self._names) + (self._base[2] if self._base else 0)

    def add(self, texts: Iterable[tuple[str, str | None]]) -> None:
        """Index the next rows, (text, speaker) each, all or none."""
        found = [names_in(text, speaker) for text, speaker in texts]
        lengths = np.fromiter(map(len, found), np.int64, len(found))
        concepts = np.fromiter(self._interned(list(chain.from_iterable(found))), np.int64)
        closeness = np.fromiter(chain.from_iterable(map(dict.values, found)), np.int64)
        self._extend(concepts, closeness, lengths)

    def fork(self, count: int) -> ConceptIndex:
        """Return an index that begins with the first ``count`` rows of this one and goes on by itself."""
        if self._base is not None:
            raise ValueError("this index is a fork")
        fork = ConceptIndex()
        fork._base = self, count, self.concepts
        fork._arcs = self._arcs.fork(count)
        return fork

    def dump(self, first: int, stop: int) -> bytes:
        """Return what is known of the text rows first..stop-1, for ``load``; they must be indexed."""
        arcs, lengths = self._arcs.between(first, stop)
        concepts, places = np.unique(arcs >> _CLOSENESS_BITS, return_inverse=True)
        closeness = (arcs & _CLOSENESS_MASK).astype(np.int8)
        names = [self.name(concept) for concept in concepts.tolist()]
        return _encode((names, np.cumsum(lengths).tobytes(), places.astype(np.int32).tobytes(), closeness.tobytes()))

    def load(self, data: bytes) -> None:
        """Take in the next text rows from what ``dump`` gave, instead of ``add``.

        Raises:
            ValueError: the bytes are something else.
        """
        try:
            names, packed_ends, packed_places, packed_closeness = _decode(data)
            ends, places = np.frombuffer(packed_ends, np.int64), np.frombuffer(packed_places, np.int32)
            closeness = np.frombuffer(packed_closeness, np.int8)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise ValueError(f"these are not concepts: {error}") from error
        lengths = np.diff(ends, prepend=0)
        total = int(ends[-1]) if len(ends) else 0
        is_whole = len(places) == len(closeness) == total and (lengths >= 0).all()
        if not is_whole or (total and not (0 <= places.min() <= places.max() < len(names))):
            raise ValueError("these are not the concepts of the next rows")
        concepts = np.array(self._interned(names), np.int64)[places]
        self._extend(concepts, closeness, lengths)

    def _extend(self, concepts: Ints, closeness: NDArray[np.integer[Any]], lengths: Ints) -> None:
        """Add rows: the concepts of one after the other, how close each is, and how many each row has."""
        first = self._arcs.count
        rows = np.repeat(np.arange(first, first + len(lengths)), lengths)
        order = np.argsort(concepts, kind="stable")
        keys, places = np.unique(concepts, return_inverse=True)
        post(self._postings, keys.tolist(), places[order], (rows << _CLOSENESS_BITS | closeness)[order])
        self._arcs.append(concepts << _CLOSENESS_BITS | closeness, lengths)

    def id_of(self, name: str) -> int | None:
        """Return the number of a concept by its key; None if no row ever named it."""
        own = self._ids.get(name)
        if own is not None or self._base is None:
            return own
        shared = self._base[0].id_of(name)
        return shared if shared is not None and shared < self._base[2] else None

    def name(self, concept: int) -> str:
        """Return the key of a concept."""
        shared = self._base[2] if self._base else 0
        if self._base and concept < shared:
            return self._base[0].name(concept)
        return self._names[concept - shared]

    def arcs(self, rows: NDArray[np.integer[Any]]) -> tuple[Ints, Ints]:
        """Return the concepts of some rows, one row after the other, and how many each row has."""
        arcs, lengths = self._arcs.of(rows)
        return (arcs >> _CLOSENESS_BITS).astype(np.int64), lengths

    def named_by(self, rows: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int32], NDArray[np.int32], Ints]:
        """Return the concepts of some rows, one row after the other, how close each is, and how many each row has."""
        arcs, lengths = self._arcs.of(rows)
        return arcs >> _CLOSENESS_BITS, arcs & _CLOSENESS_MASK, lengths

    def mentions(self, concepts: Ints, visible: NDArray[np.bool_]) -> Mentions:
        """Return the visible rows that name some concepts; ``Mentions.concepts`` are places in ``concepts``."""
        known = self._postings
        if self._base is None:
            blocks = [known[concept].tobytes() for concept in concepts.tolist()]
        else:
            blocks = [self._entries(concept) for concept in concepts.tolist()]
        entries = np.frombuffer(b"".join(blocks), np.int64)
        places = np.repeat(np.arange(len(blocks)), [len(block) >> 3 for block in blocks])
        rows = entries >> _CLOSENESS_BITS
        seen = rows < len(visible)
        seen &= visible.take(rows, mode="clip") if len(visible) else False
        if not seen.all():
            rows, places, entries = rows[seen], places[seen], entries[seen]
        return Mentions(rows, places, entries & _CLOSENESS_MASK)

    def counts(self, visible: NDArray[np.bool_]) -> Ints:
        """Return how many visible rows name each concept, shape (concepts,); worth keeping per state of the memory."""
        arcs, lengths = self._arcs.between(0, len(visible))
        if not visible.all():
            arcs = arcs[np.repeat(visible, lengths)]
        return np.bincount(arcs >> _CLOSENESS_BITS, minlength=self.concepts)

    def size_bytes(self) -> int:
        """Return the bytes that the index takes in memory."""
        names, postings = self._ids.copy(), self._postings.copy()  # readers may ask while the writer adds
        texts = sum(map(sys.getsizeof, names)) + sys.getsizeof(names) + sys.getsizeof(self._names)
        return texts + sum(map(sys.getsizeof, postings.values())) + sys.getsizeof(postings) + self._arcs.size_bytes()

    def _interned(self, names: list[str]) -> list[int]:
        """Return the numbers of concepts by their keys; new ones get the next numbers."""
        different = dict.fromkeys(names)
        for name in different:
            if self.id_of(name) is None:
                concept = self.concepts
                self._names.append(name)
                self._ids[name] = concept
        if self._base is None:
            return list(map(self._ids.__getitem__, names))
        known = {name: number for name in different if (number := self.id_of(name)) is not None}
        return [known[name] for name in names]

    def _entries(self, concept: int) -> bytes:
        own = self._postings.get(concept)
        entries = b"" if own is None else own.tobytes()
        if self._base is None or concept >= self._base[2]:
            return entries
        base, count, _ = self._base
        known = np.frombuffer(base._entries(concept), np.int64)
        return known[: np.searchsorted(known, count << _CLOSENESS_BITS)].tobytes() + entries
