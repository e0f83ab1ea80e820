"""The inverted index over memory texts, and BM25 over the rows that a reader may see.

Rows of text are only ever added (decision 0001, section 5). The index follows them and knows nothing of nodes, of
forgetting or of who may see what: each search brings a mask of the rows that count. So one index serves every state of
the memory, older or newer, and document frequencies and lengths are taken from visible rows alone: what is hidden
changes no score.

How readers do without a lock: a term's postings (``postings.py``) are of ``row << 16 | frequency`` with rising rows. A
reader copies them (a buffer view would make the writer's next append fail) and drops the rows beyond its mask. Lengths
are written in place beyond every reader's rows and the array is swapped when it grows.
"""

from __future__ import annotations

import sys
from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import msgspec
import numpy as np

from memorygraph.events.errors import InputError
from memorygraph.projections.postings import RowLists, post, spans
from memorygraph.projections.segments import Lists, adder, part_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from memorygraph.projections.text import Analyzer

K1 = 1.2
"""Saturation of the term frequency: at average length, a term seen K1 times counts half of the most it can."""
B = 0.75
"""How far a row's length weakens its term frequencies: 0 not at all, 1 in proportion."""

VERSION = "1"
"""Of what is kept of an index between runs; another one is not read. The analyser's own version stands beside it."""

_FREQUENCY_BITS = 16
_FREQUENCY_MAX = (1 << _FREQUENCY_BITS) - 1
_BATCH = 4096  # texts that are indexed at once, which is several times faster than one by one

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Lists, bytes]).decode


class LexicalStatistics(NamedTuple):
    """What BM25 knows about the visible rows as a whole."""

    rows: int
    """How many rows are visible."""
    terms: int
    """The sum of their lengths, in terms."""


class Postings(NamedTuple):
    """Visible rows that hold terms of a query, by column, shape (p,) each; rows rise for each term, terms too."""

    rows: NDArray[np.int64]
    terms: NDArray[np.intp]
    """Index into the terms of the query."""
    frequencies: NDArray[np.float64]
    lengths: NDArray[np.int32]
    """Of the row, in terms."""


@dataclass(frozen=True, slots=True, eq=False)
class LexicalMatches:
    """The visible rows that hold at least one term of a query."""

    rows: NDArray[np.int32]
    """Text rows, ascending. Shape (m,)."""
    scores: NDArray[np.float64]
    """The share of the query that each row matches, above 0 and below 1. Shape (m,)."""
    parts: NDArray[np.float64]
    """What each posting adds to the score of its row. Shape (p,)."""
    terms: tuple[str, ...]
    """The analysed query: its different terms, in order. Those that no visible row holds are among them."""
    weights: NDArray[np.float64]
    """The share of the query that each term is; they sum to 1, or all are 0 if nothing matches. Shape (terms,)."""
    _words: dict[str, str] = field(repr=False)  # each term as the query spells it
    _posting_rows: NDArray[np.int64] = field(repr=False)  # (p,)
    _posting_terms: NDArray[np.intp] = field(repr=False)  # (p,) index into terms, ascending

    def rows_with(self, word: str) -> int:
        """Return how many visible rows hold a word of the query, given as the query spells it."""
        terms = [index for index, term in enumerate(self.terms) if self._words[term] == word]
        return max((int(np.count_nonzero(self._posting_terms == index)) for index in terms), default=0)

    def of_rows(self, rows: NDArray[np.integer[Any]], terms_max: int) -> NDArray[np.float64]:
        """Return what the terms that tell most add to the score of some rows, shape (len(rows), terms <= terms_max).

        Args:
            rows: text rows, ascending, each once.
        """
        place = np.searchsorted(rows, self._posting_rows)
        wanted = place < len(rows)
        wanted[wanted] = rows[place[wanted]] == self._posting_rows[wanted]
        most = np.zeros(len(self.terms))
        np.maximum.at(most, self._posting_terms, self.parts)
        kept = np.sort(np.argsort(-most, kind="stable")[:terms_max])
        column = np.full(len(self.terms), -1)
        column[kept] = np.arange(len(kept))
        table = np.zeros((len(rows), len(kept)))
        place, column, parts = place[wanted], column[self._posting_terms[wanted]], self.parts[wanted]
        table[place[column >= 0], column[column >= 0]] = parts[column >= 0]
        return table

    def missing(self, row: int) -> list[str]:
        """Return the words of the query that a row does not hold, as the query spells them, in its order."""
        held = set(self._posting_terms[self._posting_rows == row].tolist())
        return [self._words[term] for index, term in enumerate(self.terms) if index not in held]

    def of_terms(self, terms: Collection[str]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the rows and the scores that a query of some of the terms alone would find, shape (m,) each."""
        chosen = np.array([term in terms for term in self.terms], dtype=np.bool_)
        mine = chosen[self._posting_terms]
        scores = np.bincount(self._posting_rows[mine], self.parts[mine])
        rows = np.flatnonzero(scores)
        return rows, scores[rows] / self.weights[chosen].sum()

    def matched(self, rows: NDArray[np.integer]) -> dict[int, list[str]]:
        """Return the words of the query that each of some rows matched, as the query spells them, in its order."""
        words: dict[int, list[str]] = {}
        if not len(rows):
            return words
        rows = np.sort(rows)
        place = np.minimum(np.searchsorted(rows, self._posting_rows), len(rows) - 1)
        wanted = np.flatnonzero(rows[place] == self._posting_rows)
        found = zip(self._posting_rows[wanted].tolist(), self._posting_terms[wanted].tolist(), strict=True)
        for row, index in found:
            words.setdefault(row, []).append(self._words[self.terms[index]])
        return words


class LexicalIndex:
    """An inverted index that only grows: one writer at a time, any number of readers beside it.

    ``add`` needs the caller's lock; the other methods need none. A reader may ask for rows whose ``add`` has returned.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self.analyzer = analyzer
        self._postings: dict[str, array[int]] = {}
        self._lengths: NDArray[np.int32] = np.zeros(64, np.int32)
        self._codes = RowLists()  # of the different terms of each row
        self._base: tuple[dict[str, array[int]], int] = {}, 0  # of a fork: the postings of the first rows, how many

    def fork(self, count: int) -> LexicalIndex:
        """Return an index that begins with the first ``count`` rows of this one and goes on by itself."""
        if self._base[1]:
            raise ValueError("this index is a fork")
        fork = LexicalIndex(self.analyzer)
        fork._base = self._postings, count
        fork._lengths, fork._codes = self._lengths[:count], self._codes.fork(count)
        return fork

    @property
    def count(self) -> int:
        """How many text rows are indexed."""
        return self._codes.count

    def add(self, texts: Sequence[str]) -> None:
        """Index the next text rows; after an error ``count`` says where to go on."""
        for start in range(0, len(texts), _BATCH):
            self._add(texts[start : start + _BATCH])

    def _add(self, texts: Sequence[str]) -> None:
        cut = [text.split() for text in texts]
        pieces: defaultdict[str, int] = defaultdict(count().__next__)  # numbers them
        codes = np.fromiter(map(pieces.__getitem__, chain.from_iterable(cut)), np.int64)
        terms_of = list(map(self.analyzer.terms_of_piece, pieces))
        numbers: defaultdict[str, int] = defaultdict(count().__next__)
        terms = np.fromiter(map(numbers.__getitem__, chain.from_iterable(terms_of)), np.int64)
        sizes = np.fromiter(map(len, terms_of), np.int64, len(terms_of))
        lengths = sizes[codes]
        ends = np.append(0, np.cumsum(lengths))[np.cumsum([len(text) for text in cut])]
        per_text = np.diff(ends, prepend=0)
        first, stop = self.count, self.count + len(texts)
        rows = np.repeat(np.arange(first, stop), per_text)
        # Sorting by term and row at once counts each term of each row.
        both = terms[spans((np.cumsum(sizes) - sizes)[codes], lengths)] * stop + rows
        both, frequencies = np.unique(both, return_counts=True)
        found, rows = both // stop, both % stop
        names = list(numbers)
        post(self._postings, names, found, rows << _FREQUENCY_BITS | np.minimum(frequencies, _FREQUENCY_MAX))
        self._reserve(stop)
        self._lengths[first:stop] = per_text
        self._note(rows - first, _codes(names)[found], len(texts))

    def _note(self, rows: NDArray[np.int64], codes: NDArray[np.int32], count: int) -> None:
        """Keep which terms the next ``count`` rows have, given the place of the row and the code of each."""
        order = np.argsort(rows, kind="stable")
        self._codes.append(codes[order], np.bincount(rows, minlength=count))

    def dump(self, first: int, stop: int) -> bytes:
        """Return what is known of the text rows first..stop-1, for ``load``; they must be indexed."""
        lists = part_of(self._postings, first << _FREQUENCY_BITS, stop << _FREQUENCY_BITS)
        return _encode((lists, self._lengths[first:stop].tobytes()))

    def load(self, data: bytes) -> None:
        """Take in the next text rows from what ``dump`` gave, instead of ``add``.

        Raises:
            ValueError: the bytes are something else, or of other rows.
        """
        try:
            lists, packed = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"these are not postings: {error}") from error
        lengths = np.frombuffer(packed, np.int32)
        first, stop = self.count, self.count + len(lengths)
        add = adder(self._postings, lists, "q", first << _FREQUENCY_BITS, stop << _FREQUENCY_BITS)
        self._reserve(stop)
        add()
        self._lengths[first:stop] = lengths
        rows = (np.frombuffer(lists.entries, np.int64) >> _FREQUENCY_BITS) - first
        self._note(rows, np.repeat(_codes(lists.keys), np.frombuffer(lists.counts, np.uint32)), len(lengths))

    def shared(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Return the share of terms that each two of some rows have in common (Jaccard), 0..1, shape (rows, rows).

        The terms are told apart by a checksum: two of so few are the same one time in millions.
        """
        return shared_terms(*self.codes_of(rows))

    def codes_of(self, rows: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the codes of the terms of some rows, one row after the other, and how many each has."""
        return self._codes.of(rows)

    def statistics(self, visible: NDArray[np.bool_]) -> LexicalStatistics:
        """Return what BM25 needs to know of all visible rows; worth keeping per state of the memory."""
        self._check(visible)
        lengths = self._lengths[: len(visible)]
        return LexicalStatistics(int(np.count_nonzero(visible)), int(np.sum(lengths, where=visible, dtype=np.int64)))

    def search(
        self, query: str, visible: NDArray[np.bool_], statistics: LexicalStatistics | None = None
    ) -> LexicalMatches:
        """Score the visible rows that hold a term of the query by BM25, as a share of the most it could give.

        BM25 as in Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), section 3.4,
        with the idf that stays positive, ln(1 + (N - df + 0.5) / (df + 0.5)); each different query term counts once::

            sum over terms of  idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * length / average length))

        divided by the sum of idf * (K1 + 1), which no row can reach. N, df and the average are of visible rows, so a
        term that only hidden rows hold counts as one that nobody ever wrote.

        Args:
            query: any text; without a term that is indexed (stop words alone, say) nothing matches.
            visible: bool, shape (n,), n <= ``count``: which of the rows 0..n-1 count; later rows do not exist.
            statistics: what ``statistics(visible)`` gave, if at hand.

        Raises:
            InputError: the mask covers rows that are not indexed yet.
        """
        words = self.analyzer.words(query)
        found = self.postings(words, visible)
        return scored(words, found, statistics or self.statistics(visible))

    def postings(self, words: Iterable[str], visible: NDArray[np.bool_]) -> Postings:
        """Return the postings of some terms in visible rows; see ``search``."""
        self._check(visible)
        rows, term_of, frequencies = self._visible_postings(tuple(words), visible)
        return Postings(rows, term_of, frequencies, self._lengths[rows])

    def size_bytes(self) -> int:
        """Return the bytes that the index takes in memory, terms included, the analyser's caches not."""
        postings = self._postings.copy()  # readers may ask while the writer adds
        entries = sum(map(sys.getsizeof, postings)) + sum(map(sys.getsizeof, postings.values()))
        return sys.getsizeof(postings) + entries + self._lengths.nbytes + self._codes.size_bytes()

    def _visible_postings(
        self, terms: tuple[str, ...], visible: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.float64]]:
        """Return rows, indexes into the terms, and frequencies of all visible postings, each of shape (p,)."""
        blocks = [self._entries(term) for term in terms]
        postings = np.frombuffer(b"".join(blocks), np.int64)
        term_of = np.repeat(np.arange(len(terms)), [len(block) // 8 for block in blocks])
        rows = postings >> _FREQUENCY_BITS
        seen = visible.take(rows, mode="clip") if len(visible) else np.zeros(len(rows), np.bool_)
        seen &= rows < len(visible)
        if not seen.all():
            rows, term_of, postings = rows[seen], term_of[seen], postings[seen]
        return rows, term_of, (postings & _FREQUENCY_MAX).astype(np.float64)

    def _entries(self, term: str) -> bytes:
        """Return a term's postings, rows rising."""
        own = self._postings.get(term)
        entries = b"" if own is None else own.tobytes()
        shared, count = self._base
        before = shared.get(term) if count else None
        if before is None:
            return entries
        known = np.frombuffer(before.tobytes(), np.int64)
        return known[: np.searchsorted(known, count << _FREQUENCY_BITS)].tobytes() + entries

    def _reserve(self, rows: int) -> None:
        if rows > len(self._lengths):
            grown = np.zeros(max(rows, 2 * len(self._lengths)), np.int32)
            grown[: self.count] = self._lengths[: self.count]
            self._lengths = grown

    def _check(self, visible: NDArray[np.bool_]) -> None:
        if len(visible) > self.count:
            raise InputError(
                f"The mask covers {len(visible)} text rows and {self.count} are indexed; add the texts first.",
                rows=len(visible),
                indexed=self.count,
            )


def scored(words: dict[str, str], found: Postings, statistics: LexicalStatistics) -> LexicalMatches:
    """Score rows by their postings, as ``LexicalIndex.search`` says.

    Args:
        words: the terms of the query, in order, each as the query spells it.
        found: all postings of all visible rows, or the formula's df is another.
        statistics: of all visible rows.
    """
    rows, term_of, frequencies, lengths = found
    terms = tuple(words)
    if not len(rows):
        none = np.empty(0)
        return LexicalMatches(none.astype(np.int32), none, none, terms, np.zeros(len(terms)), words, rows, term_of)
    starts = np.searchsorted(term_of, np.arange(len(terms) + 1))
    with_term = starts[1:] - starts[:-1]
    idf = np.log1p((statistics.rows - with_term + 0.5) / (with_term + 0.5))
    damping = lengths * (K1 * B * statistics.rows / statistics.terms)
    damping += K1 * (1.0 - B)
    damping += frequencies
    weights = idf / idf.sum()
    parts = weights[term_of]
    parts *= frequencies
    parts /= damping
    scores = np.bincount(rows, weights=parts)
    hits = np.flatnonzero(scores > 0.0)
    shares = scores[hits].astype(np.float64, copy=False)  # bincount is typed as whole numbers
    return LexicalMatches(hits.astype(np.int32), shares, parts, terms, weights, words, rows, term_of)


def shared_terms(codes: NDArray[np.int32], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of terms that each two of some rows have in common; see ``LexicalIndex.shared``.

    Args:
        codes: of the terms of one row after the other; ``sizes``: how many each row has.
    """
    _, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    column = np.where(counts > 1, np.cumsum(counts > 1) - 1, -1)[places]  # terms of one row alone are in no two
    of_some = column >= 0
    has = np.zeros((len(sizes), int(column.max(initial=-1)) + 1), np.float32)
    has[np.repeat(np.arange(len(sizes)), sizes)[of_some], column[of_some]] = 1.0
    both = (has @ has.T).astype(np.float64)  # whole numbers: exact
    np.fill_diagonal(both, sizes)
    return both / np.maximum(sizes[:, None] + sizes - both, 1.0)


def _codes(terms: Sequence[str]) -> NDArray[np.int32]:
    """Return a checksum of each term."""
    return np.fromiter((crc32(term.encode()) for term in terms), np.uint32, len(terms)).view(np.int32)
