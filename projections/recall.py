"""Recall: which memories answer a question, and why; and reason: what they lead to.

The recall index is a projection of its own: postings and norms follow the text and vector rows of the graph, outside
the digest, and are brought up to a reader's Frame when it asks. First recall is BM25; with a real embedder's vectors
the two are fused by their scores, each divided by its spread over the visible memories (a z-score sum), and given as a
weighted mean in 0..1.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
from msgspec import Struct
from msgspec.msgpack import encode
from numpy.typing import NDArray

from memorygraph.projections.filters import OPEN, Filters, LabelIndex, Mask, visible_nodes
from memorygraph.projections.frame import Frame, NodeState
from memorygraph.projections.lexical import VERSION as POSTINGS_VERSION
from memorygraph.projections.lexical import LexicalIndex, LexicalMatches, LexicalStatistics
from memorygraph.projections.segments import Segments
from memorygraph.projections.similarity import Norms, births, cosines, top
from memorygraph.projections.snapshot_format import Part
from memorygraph.projections.spreading import Activation, spread
from memorygraph.projections.text import analyzer_for
from memorygraph.projections.window import Window, boosted, inside

Rows = NDArray[np.int32]
Doubles = NDArray[np.float64]
SEEN_MAX: Final = 16  # filters whose outcome is kept for the last Frame
_NORMS_ROWS: Final = 65_536
DECIMALS: Final = 6  # scores are rounded, so that any sharding and any BLAS gives the same order


class Hit(Struct, frozen=True):
    """A found memory: its values, its score (0..1) and what the score is made of.

    ``lexical``, ``dense`` and ``walk`` are 0..1, None where that leg had no say; ``terms`` are the question's words
    found in the text; ``path`` are node ids from a seed to this memory. ``window`` are the question's date words, if it
    happened in the time they mean. ``superseded_by`` is the id of the memory that is current where this one is not;
    ``supersedes``, the other way round, that of the one which this hit was put before.
    """

    node: NodeState
    score: float
    lexical: float | None = None
    dense: float | None = None
    walk: float | None = None
    terms: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    window: str = ""
    superseded_by: str = ""
    supersedes: str = ""


class _Ranked(Struct, frozen=True):
    """Node rows in order of rank, with the scores behind it."""

    rows: Rows
    scores: Doubles
    lexical: Doubles | None
    dense: Doubles | None
    matches: LexicalMatches | None
    is_inside: Mask | None


class _Seen:
    """What filters leave of a Frame: which node rows, and, when first needed, which text rows and BM25's statistics."""

    __slots__ = ("nodes", "texts")

    def __init__(self, nodes: Mask) -> None:
        self.nodes = nodes
        self.texts: tuple[Mask, LexicalStatistics] | None = None


class RecallIndex:
    """Postings and norms over the rows of one memory; readers bring it up to their Frame."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.lexical = LexicalIndex(analyzer_for(language))
        self.norms = Norms()
        self.labels = LabelIndex()
        self._growing = threading.Lock()
        self._segments = Segments()  # of the postings, by text row
        self._seen: tuple[Frame, dict[bytes, _Seen]] | None = None

    def fork(self, frame: Frame) -> RecallIndex:
        """Return an index that begins with what a Frame has of this one and goes on by itself."""
        self.catch_up(frame)
        fork = RecallIndex(self.language)
        fork.lexical = self.lexical.fork(frame.texts.count)
        fork.norms = self.norms.fork(frame)
        return fork

    def catch_up(self, frame: Frame, rows_max: int | None = None) -> bool:
        """Index the text rows that the Frame has and the index does not, or so many of them; return if it has all."""
        count = frame.texts.count
        if self.lexical.count < count:
            with self._growing:
                first = self.lexical.count
                stop = count if rows_max is None else min(count, first + rows_max)
                self.lexical.add([_indexed_text(frame, row) for row in range(first, stop)])
        return self.lexical.count >= count

    @property
    def version(self) -> str:
        """Names everything that the index depends on besides the rows: one kept by another version is not read."""
        return f"{POSTINGS_VERSION} {self.lexical.analyzer.version}"

    def part(self, frame: Frame) -> Part:
        """Return what a snapshot keeps of the index, in segments; catch up first."""
        count = frame.texts.count
        blobs: dict[str, Callable[[], bytes]] = {
            f"texts {first:09d}-{stop:09d}": partial(self.lexical.dump, first, stop)
            for first, stop in self._segments.ranges(count)
        }
        if frame.space is not None:
            lengths = self.norms.upto(frame)
            for first in range(0, len(lengths), _NORMS_ROWS):
                some = lengths[first : first + _NORMS_ROWS]
                blobs[f"vectors {frame.space.space:05d} {first:09d}-{first + len(some):09d}"] = some.tobytes
        return Part(self.version, count, blobs)

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Begin with what ``part`` gave to a snapshot, in an index that knows no rows yet.

        Raises:
            ValueError: the bytes are something else. What was read so far is right, and the rest is indexed anew.
        """
        with self._growing:
            for name, data in sorted(blobs.items()):
                if name.startswith("texts "):
                    self.lexical.load(data)
                    self._segments.read(self.lexical.count)
                else:
                    self.norms.load(data, int(name.split()[1]))

    def size_bytes(self) -> int:
        """Return the bytes that postings, norms and label codes take."""
        return self.lexical.size_bytes() + self.norms.size_bytes() + self.labels.size_bytes()

    def recall(
        self,
        frame: Frame,
        text: str | None,
        vector: NDArray[np.float32] | None,
        *,
        k: int,
        threshold: float = 0.0,
        filters: Filters = OPEN,
        window: Window | None = None,
    ) -> list[Hit]:
        """Return up to k hits, best first; with threshold 0 unmatched memories fill the rest with score 0.

        Args:
            text: the question, for the lexical leg; None leaves it out.
            vector: the question's vector, for the dense leg; None leaves it out.
            window: memories that happened in it score higher.
        """
        ranked = self._rank(frame, text, vector, filters, k, window)
        words = "" if window is None else window.text
        hits = [self._hit(frame, ranked, place, words) for place in range(len(ranked.rows))]
        return [hit for hit in hits if hit.score >= threshold]

    def reason(self, frame: Frame, seeds: list[Hit], *, k: int, hops: int, filters: Filters = OPEN) -> list[Hit]:
        """Return the seeds and what activation reaches from them within ``hops``, best first, at most k."""
        rows = [frame.row(seed.node.id) for seed in seeds]
        found = {row: seed for row, seed in zip(rows, seeds, strict=True) if row is not None and seed.score > 0}
        if not found:
            return []
        seed_rows = np.array(list(found), dtype=np.int32)
        seed_scores = np.array([seed.score for seed in found.values()])
        activation = spread(frame, seed_rows, seed_scores, hops, visible=visible_nodes(frame, filters, self.labels))
        values = np.round(activation.values, DECIMALS)
        order = top(values, births(frame, activation.rows), k)
        return [
            self._reasoned(frame, activation, int(activation.rows[place]), float(values[place]), found)
            for place in order
        ]

    def _rank(
        self,
        frame: Frame,
        text: str | None,
        vector: NDArray[np.float32] | None,
        filters: Filters,
        k: int,
        window: Window | None,
    ) -> _Ranked:
        seen = self._seen_at(frame, filters)
        visible = seen.nodes
        count = frame.nodes.count
        matches = None if text is None else self._search(frame, text, seen)
        lexical = (
            None if matches is None else _on_nodes(count, frame.texts.column("node"), matches.rows, matches.scores)
        )
        dense = None if vector is None else self._dense(frame, vector)
        scores = _fused(lexical, dense, visible)
        is_inside = None if window is None else inside(frame, window)
        if is_inside is not None:
            scores = boosted(scores, is_inside)
        scores = np.round(scores, DECIMALS)
        rows = np.flatnonzero(visible & (scores > 0)).astype(np.int32)
        if len(rows) < k:
            rows = np.flatnonzero(visible).astype(np.int32)
        order = rows[top(scores[rows], births(frame, rows), k)]
        return _Ranked(order, scores[order], lexical, dense, matches, is_inside)

    def _seen_at(self, frame: Frame, filters: Filters) -> _Seen:
        """What a reader sees at a Frame through some filters; kept for the last Frame."""
        kept = self._seen
        if kept is None or kept[0] is not frame:
            kept = self._seen = (frame, {})
        key = encode(filters)
        seen = kept[1].get(key)
        if seen is None:
            seen = _Seen(visible_nodes(frame, filters, self.labels))
            if len(kept[1]) < SEEN_MAX:
                kept[1][key] = seen
        return seen

    def _search(self, frame: Frame, text: str, seen: _Seen) -> LexicalMatches:
        self.catch_up(frame)
        if seen.texts is None:
            mask = frame.live_texts() & seen.nodes[frame.texts.column("node")]
            seen.texts = mask, self.lexical.statistics(mask)
        return self.lexical.search(text, *seen.texts)

    def _dense(self, frame: Frame, vector: NDArray[np.float32]) -> Doubles:
        if frame.vectors is None:
            return np.zeros(frame.nodes.count)
        live = np.flatnonzero(frame.live_vectors())
        cosine = cosines(frame, self.norms, vector)[live].astype(np.float64)
        return _on_nodes(frame.nodes.count, frame.vectors.column("node"), live, np.maximum(cosine, 0.0))

    def _hit(self, frame: Frame, ranked: _Ranked, place: int, words: str) -> Hit:
        row = int(ranked.rows[place])
        terms: tuple[str, ...] = ()
        if ranked.matches is not None and ranked.lexical is not None and ranked.lexical[row] > 0:
            terms = tuple(ranked.matches.matched(frame.nodes.value("text_row", row)))
        return Hit(
            frame.node(row, vector=False),
            float(ranked.scores[place]),
            _part(ranked.lexical, row),
            _part(ranked.dense, row),
            None,
            terms,
            window=words if ranked.is_inside is not None and ranked.is_inside[row] else "",
        )

    def _reasoned(self, frame: Frame, activation: Activation, row: int, score: float, seeds: dict[int, Hit]) -> Hit:
        path = activation.path(row)
        ids = tuple(frame.interner.ids[step] for step in path)
        seed = seeds.get(row)
        if seed is not None and len(path) == 1:
            return Hit(seed.node, score, seed.lexical, seed.dense, None, seed.terms, ids, seed.window)
        return Hit(frame.node(row, vector=False), score, None, None, score, (), ids)


def _indexed_text(frame: Frame, text_row: int) -> str:
    """The text to index: the speaker's name belongs to it, unless the text starts with it."""
    content: str = frame.texts.value("content", text_row)
    speaker: str | None = frame.texts.value("speaker", text_row)
    if not speaker or content.lower().startswith(f"{speaker.lower()}:"):
        return content
    return f"{speaker}: {content}"


def _on_nodes(count: int, owner: Rows, rows: NDArray[Any], scores: Doubles) -> Doubles:
    """Carry scores of text or vector rows over to their nodes, shape (node rows,)."""
    result = np.zeros(count)
    result[owner[rows]] = scores
    return result


def _fused(lexical: Doubles | None, dense: Doubles | None, visible: Mask) -> Doubles:
    """Weighted mean of the legs in 0..1, weights 1 / standard deviation over the visible memories: a z-score sum."""
    legs = [leg for leg in (lexical, dense) if leg is not None]
    if len(legs) == 1:
        return legs[0]
    if not legs or not visible.any():
        return np.zeros(len(visible))
    spreads = [float(np.std(leg[visible])) for leg in legs]
    weights = [1.0 / value if value > 0 else 0.0 for value in spreads]
    total = sum(weights)
    if not total:
        weights, total = [1.0] * len(legs), float(len(legs))
    fused: Doubles = sum((leg * (weight / total) for leg, weight in zip(legs, weights, strict=True)), np.zeros(1))
    return fused


def _part(leg: Doubles | None, row: int) -> float | None:
    return None if leg is None else round(float(leg[row]), DECIMALS)
