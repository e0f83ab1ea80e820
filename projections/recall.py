"""Recall: which memories answer a question, and why; and reason: what they lead to.

The recall index is a projection of its own: postings and norms follow the text and vector rows of the graph, outside
the digest, and are brought up to a reader's Frame when it asks. First recall is BM25; with a real embedder's vectors
the two are fused by their scores, each divided by its spread over the visible memories (a z-score sum), and given as a
weighted mean in 0..1.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.frame import Frame, NodeState
from memorygraph.projections.lexical import LexicalIndex, LexicalMatches, LexicalStatistics
from memorygraph.projections.similarity import Norms, births, cosines, top
from memorygraph.projections.spreading import Activation, spread
from memorygraph.projections.text import analyzer_for

Rows = NDArray[np.int32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]
DECIMALS: Final = 6  # scores are rounded, so that any sharding and any BLAS gives the same order


class Filters(Struct, frozen=True, kw_only=True):
    """Which memories may be found; None leaves a field open, ``tags`` and ``metadata`` must all match."""

    memory_type: int | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    session: str | int | None = None
    speaker: str | None = None
    source: str | None = None
    since_us: int | None = None
    until_us: int | None = None


OPEN: Final = Filters()


class Hit(Struct, frozen=True):
    """A found memory: its values, its score (0..1) and what the score is made of.

    ``lexical``, ``dense`` and ``walk`` are 0..1, None where that leg had no say; ``terms`` are the question's words
    found in the text; ``path`` are node ids from a seed to this memory.
    """

    node: NodeState
    score: float
    lexical: float | None = None
    dense: float | None = None
    walk: float | None = None
    terms: tuple[str, ...] = ()
    path: tuple[str, ...] = ()


class _Ranked(Struct, frozen=True):
    """Node rows in order of rank, with the scores behind it."""

    rows: Rows
    scores: Doubles
    lexical: Doubles | None
    dense: Doubles | None
    matches: LexicalMatches | None


class RecallIndex:
    """Postings and norms over the rows of one memory; readers bring it up to their Frame."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.lexical = LexicalIndex(analyzer_for(language))
        self.norms = Norms()
        self._growing = threading.Lock()
        self._statistics: tuple[Frame, LexicalStatistics] | None = None

    def fork(self, frame: Frame) -> RecallIndex:
        """Return an index that begins with what a Frame has of this one and goes on by itself."""
        self.catch_up(frame)
        fork = RecallIndex(self.language)
        fork.lexical = self.lexical.fork(frame.texts.count)
        if frame.vectors is not None:
            fork.norms = self.norms.fork(frame.vectors)
        return fork

    def catch_up(self, frame: Frame) -> None:
        """Index the text rows that the Frame has and the index does not."""
        if self.lexical.count >= frame.texts.count:
            return
        with self._growing:
            first = self.lexical.count
            texts = frame.texts
            self.lexical.add([_indexed_text(frame, row) for row in range(first, texts.count)])

    def size_bytes(self) -> int:
        """Return the bytes that postings and norms take."""
        return self.lexical.size_bytes() + self.norms.size_bytes()

    def recall(
        self,
        frame: Frame,
        text: str | None,
        vector: NDArray[np.float32] | None,
        *,
        k: int,
        threshold: float = 0.0,
        filters: Filters = OPEN,
    ) -> list[Hit]:
        """Return up to k hits, best first; with threshold 0 unmatched memories fill the rest with score 0.

        Args:
            text: the question, for the lexical leg; None leaves it out.
            vector: the question's vector, for the dense leg; None leaves it out.
        """
        ranked = self._rank(frame, text, vector, filters, k)
        hits = [self._hit(frame, ranked, place) for place in range(len(ranked.rows))]
        return [hit for hit in hits if hit.score >= threshold]

    def reason(self, frame: Frame, seeds: list[Hit], *, k: int, hops: int) -> list[Hit]:
        """Return the seeds and what activation reaches from them within ``hops``, best first, at most k."""
        rows = [frame.row(seed.node.id) for seed in seeds]
        found = {row: seed for row, seed in zip(rows, seeds, strict=True) if row is not None and seed.score > 0}
        if not found:
            return []
        seed_rows = np.array(list(found), dtype=np.int32)
        seed_scores = np.array([seed.score for seed in found.values()])
        activation = spread(frame, seed_rows, seed_scores, hops, visible=frame.live_rows())
        values = np.round(activation.values, DECIMALS)
        order = top(values, births(frame, activation.rows), k)
        return [
            self._reasoned(frame, activation, int(activation.rows[place]), float(values[place]), found)
            for place in order
        ]

    def _rank(
        self, frame: Frame, text: str | None, vector: NDArray[np.float32] | None, filters: Filters, k: int
    ) -> _Ranked:
        visible = visible_nodes(frame, filters)
        count = frame.nodes.count
        matches = None if text is None else self._search(frame, text, visible, filters)
        lexical = (
            None if matches is None else _on_nodes(count, frame.texts.column("node"), matches.rows, matches.scores)
        )
        dense = None if vector is None else self._dense(frame, vector)
        scores = np.round(_fused(lexical, dense, visible), DECIMALS)
        rows = np.flatnonzero(visible & (scores > 0)).astype(np.int32)
        if len(rows) < k:
            rows = np.flatnonzero(visible).astype(np.int32)
        order = rows[top(scores[rows], births(frame, rows), k)]
        return _Ranked(order, scores[order], lexical, dense, matches)

    def _search(self, frame: Frame, text: str, visible: Mask, filters: Filters) -> LexicalMatches:
        self.catch_up(frame)
        mask = frame.live_texts()
        if filters == OPEN:
            return self.lexical.search(text, mask, self._statistics_of(frame, mask))
        return self.lexical.search(text, mask & visible[frame.texts.column("node")])

    def _statistics_of(self, frame: Frame, mask: Mask) -> LexicalStatistics:
        """Statistics of all live texts, kept for the last Frame."""
        kept = self._statistics
        if kept is None or kept[0] is not frame:
            kept = self._statistics = (frame, self.lexical.statistics(mask))
        return kept[1]

    def _dense(self, frame: Frame, vector: NDArray[np.float32]) -> Doubles:
        if frame.vectors is None:
            return np.zeros(frame.nodes.count)
        live = np.flatnonzero(frame.live_vectors())
        cosine = cosines(frame, self.norms, vector)[live].astype(np.float64)
        return _on_nodes(frame.nodes.count, frame.vectors.column("node"), live, np.maximum(cosine, 0.0))

    def _hit(self, frame: Frame, ranked: _Ranked, place: int) -> Hit:
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
        )

    def _reasoned(self, frame: Frame, activation: Activation, row: int, score: float, seeds: dict[int, Hit]) -> Hit:
        path = activation.path(row)
        ids = tuple(frame.interner.ids[step] for step in path)
        seed = seeds.get(row)
        if seed is not None and len(path) == 1:
            return Hit(seed.node, score, seed.lexical, seed.dense, None, seed.terms, ids)
        return Hit(frame.node(row, vector=False), score, None, None, score, (), ids)


def visible_nodes(frame: Frame, filters: Filters) -> Mask:
    """Return which node rows are live and pass the filters, shape (node rows,)."""
    nodes = frame.nodes
    mask = frame.live_rows()
    if filters == OPEN:
        return mask
    mask = mask.copy()
    if filters.memory_type is not None:
        mask &= nodes.column("memory_type") == filters.memory_type
    if filters.since_us is not None:
        mask &= nodes.column("occurred_us") >= filters.since_us
    if filters.until_us is not None:
        mask &= nodes.column("occurred_us") <= filters.until_us
    if _needs_extras(filters):
        passing = np.zeros(len(mask), dtype=np.bool_)
        passing[[row for row, extras in nodes.objects("extras") if _passes(extras, filters)]] = True
        mask &= passing
    return mask


def _needs_extras(filters: Filters) -> bool:
    single_fields = (filters.session, filters.speaker, filters.source)
    return bool(filters.tags or filters.metadata) or any(field is not None for field in single_fields)


def _passes(extras: Any, filters: Filters) -> bool:
    for name in ("session", "speaker", "source"):
        wanted = getattr(filters, name)
        if wanted is not None and getattr(extras, name) != wanted:
            return False
    if not all(tag in extras.tags for tag in filters.tags):
        return False
    return all(key in extras.metadata and extras.metadata[key] == value for key, value in filters.metadata.items())


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
