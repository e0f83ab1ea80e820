"""Recall: which memories answer a question, and why; and reason: what they lead to.

The recall index is a projection of its own: postings, concepts, norms and codes follow the rows of the graph, outside
the digest, and are brought up to a reader's Frame when it asks. How the evidence is mixed is told in ``ranking.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from msgspec.msgpack import encode
from msgspec.structs import replace
from numpy.typing import NDArray

from memorygraph.projections.concepts import VERSION as CONCEPTS_VERSION
from memorygraph.projections.concepts import ConceptIndex
from memorygraph.projections.explain import hits_of
from memorygraph.projections.filters import OPEN, Filters, LabelIndex, visible_nodes
from memorygraph.projections.frame import NO_ROW, Frame
from memorygraph.projections.hit import Concept, Hit
from memorygraph.projections.lexical import VERSION as POSTINGS_VERSION
from memorygraph.projections.lexical import LexicalIndex
from memorygraph.projections.names import DEFINED, names_in
from memorygraph.projections.profiles import RELEVANCE, considered, weights_of
from memorygraph.projections.question import Named, without
from memorygraph.projections.ranking import DECIMALS, Legs, Ranked, Speakers, rank, speaker_names, speakers_named
from memorygraph.projections.reasoning import led_to, over_bridge, with_seeds
from memorygraph.projections.seen import Indexes, Seen
from memorygraph.projections.segments import Segments
from memorygraph.projections.similarity import Norms, births, cosines, cosines_each, top
from memorygraph.projections.snapshot_format import Part
from memorygraph.projections.source import Looked, Source
from memorygraph.projections.text import analyzer_for
from memorygraph.projections.turns import Questions
from memorygraph.projections.variety import POOL, varied
from memorygraph.projections.walk import ConceptGraph
from memorygraph.projections.weights import WEIGHTS, Weights
from memorygraph.projections.window import Window, inside, outside

Rows = NDArray[np.int32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]
SEEN_MAX: Final = 16
"""Outcomes of filters that are kept, of all Frames together; each takes some bytes for every memory."""
_NORMS_ROWS: Final = 65_536


class Pool(NamedTuple):
    """The best of a ranking, best first: node rows, and their scores before what repeats another counts for less."""

    seen: Seen
    ranked: Ranked
    rows: Rows
    values: Doubles

    def compared(self) -> Rows:
        """Return the node rows whose texts are compared with each other."""
        rows = self.rows[:POOL][self.values[:POOL] > 0]
        with_text: Rows = rows[self.seen.frame.nodes.take("text_row", rows) != NO_ROW]
        return with_text


class RecallIndex:
    """What is known of the rows of one memory; readers bring it up to their Frame."""

    def __init__(self, language: str, weights: Weights = WEIGHTS) -> None:
        self.language = language
        self.weights = weights
        self.lexical = LexicalIndex(analyzer_for(language))
        self.graph = ConceptIndex()
        self.norms = Norms()
        self.labels = LabelIndex()
        self.questions = Questions()
        self._growing = threading.Lock()
        self._segments = Segments()  # of the postings, by text row
        self._seen: tuple[tuple[Frame, bytes, Seen], ...] = ()  # the last used last
        self._speakers: tuple[int, dict[str, list[int]]] = 0, {}

    def fork(self, frame: Frame) -> RecallIndex:
        """Return an index that begins with what a Frame has of this one and goes on by itself."""
        self.catch_up(frame)
        fork = RecallIndex(self.language, self.weights)
        fork.lexical = self.lexical.fork(frame.texts.count)
        fork.graph = self.graph.fork(frame.texts.count)
        fork.norms = self.norms.fork(frame)
        return fork

    def catch_up(self, frame: Frame, rows_max: int | None = None) -> bool:
        """Index the text rows that the Frame has and the index does not, or so many of them; return if it has all."""
        count = frame.texts.count
        if self.count < count:
            with self._growing:
                stop = count if rows_max is None else min(count, self.count + rows_max)
                self.lexical.add(self._words_of(frame, self.lexical.count, stop))
                self.graph.add(_texts(frame, self.graph.count, stop))
        return self.count >= count

    def _words_of(self, frame: Frame, first: int, stop: int) -> list[str]:
        """Return the texts to index by their words."""
        return [_indexed_text(*text) for text in _texts(frame, first, stop)]

    @property
    def count(self) -> int:
        """How many text rows are indexed."""
        return min(self.lexical.count, self.graph.count)

    @property
    def version(self) -> str:
        """Names everything that the index depends on besides the rows: one kept by another version is not read."""
        return f"{POSTINGS_VERSION} {self.lexical.analyzer.version} {CONCEPTS_VERSION}"

    def part(self, frame: Frame) -> Part:
        """Return what a snapshot keeps of the index, in segments; catch up first."""
        count = frame.texts.count
        blobs: dict[str, Callable[[], bytes]] = {}
        for first, stop in self._segments.ranges(count):
            blobs[f"texts {first:09d}-{stop:09d}"] = partial(self.lexical.dump, first, stop)
            blobs[f"concepts {first:09d}-{stop:09d}"] = partial(self.graph.dump, first, stop)
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
                elif name.startswith("concepts "):
                    self.graph.load(data)
                else:
                    self.norms.load(data, int(name.split()[1]))

    def size_bytes(self) -> int:
        """Return the bytes that all parts take."""
        parts = (self.lexical, self.graph, self.norms, self.labels, self.questions)
        return sum(part.size_bytes() for part in parts) + sum(seen.size_bytes() for _, _, seen in self._seen)

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
        profile: str = RELEVANCE,
        now_us: int = 0,
        source: Source | None = None,
    ) -> list[Hit]:
        """Return up to k hits, best first; with threshold 0 unmatched memories fill the rest with score 0.

        Args:
            text: the question, for the lexical leg; None leaves it out.
            vector: the question's vector, for the dense leg; None leaves it out.
            window: memories that happened in it score higher.
            profile: what else counts (``profiles.py``), at the time ``now_us``.
            source: where words and vectors are looked up; None: here.
        """
        source = source or self
        seen = self.seen_at(frame, filters)
        ranked = self._rank(seen, text, vector, window, source)
        pool = self._pool(seen, ranked, k, profile, now_us)
        return self.hits_of(pool, k, threshold, None if text is None else source, "" if window is None else window.text)

    def pool(
        self,
        frame: Frame,
        text: str | None,
        vector: NDArray[np.float32] | None,
        *,
        k: int,
        filters: Filters = OPEN,
        window: Window | None = None,
        profile: str = RELEVANCE,
        now_us: int = 0,
        source: Source,
    ) -> Pool:
        """Do the first half of ``recall``: rank, by the words and the vector alone; ``hits_of`` is the second."""
        seen = self.seen_at(frame, filters)
        return self._pool(seen, self._rank(seen, text, vector, window, source), k, profile, now_us)

    def hits_of(self, pool: Pool, k: int, threshold: float, source: Source | None, date_words: str) -> list[Hit]:
        """Return the hits among the best; ``source``: for variety among them, None for none."""
        seen, ranked = pool.seen, pool.ranked
        rows, values = _varied(pool, k, source)
        is_kept = values >= threshold
        return hits_of(seen, ranked, rows[is_kept], values[is_kept], self.weights, date_words)

    def _pool(self, seen: Seen, ranked: Ranked, k: int, profile: str, now_us: int) -> Pool:
        """Return the best memories by relevance and a profile."""
        scores = ranked.scores
        if profile != RELEVANCE:
            rows = _scored(seen, scores)
            rows = rows[top(scores[rows], births(seen.frame, rows), considered(k))]
            weighed = np.round(scores[rows] * weights_of(seen.frame, rows, profile, now_us), DECIMALS)
            scores = np.zeros(len(scores))
            scores[rows] = weighed
        return _best(seen, ranked, scores, k)

    def reason(
        self,
        frame: Frame,
        text: str | None,
        vector: NDArray[np.float32] | None,
        *,
        k: int,
        hops: int,
        seed_k: int,
        row: int | None = None,
        filters: Filters = OPEN,
        window: Window | None = None,
        source: Source | None = None,
    ) -> list[Hit]:
        """Return what a question, or the memory in a node row, leads to within ``hops``, best first, at most k.

        Args:
            seed_k: how many of the best memories that recall finds are surely among the hits; a vector alone starts
                from these.
        """
        source = source or self
        seen = self.seen_at(frame, filters)
        self.catch_up(frame)
        ranked = self._rank(seen, text, vector, window, source) if row is None else _alone(seen, row)
        scores = ranked.scores
        rows = _scored(seen, scores)
        seeds = rows[top(scores[rows], births(frame, rows), seed_k)]
        if text is None:
            ranked = _only(ranked, seeds)
        ranked = led_to(seen, ranked, hops, self.weights, source)
        scores = np.round(ranked.scores, DECIMALS)
        pool = _best(seen, ranked, scores, max(k, POOL))
        rows, values = _varied(pool, max(k, POOL), None if text is None else source)
        rows, values = with_seeds(rows[values > 0], values[values > 0], seeds, k)
        hits = hits_of(seen, ranked, rows, values, self.weights, "" if window is None else window.text)
        found = zip(rows.tolist(), hits, strict=True)
        return [hit if hit.path else over_bridge(seen, ranked, place, hit) for place, hit in found]

    def concepts(self, frame: Frame, text: str | None, limit: int) -> list[Concept]:
        """Return what the memories name: what is in a text, else what is named most, each with who names it."""
        self.catch_up(frame)
        graph = self.seen_at(frame, OPEN).graph
        if text is None:
            order = _most_named(graph, limit)
        else:
            keys = [*names_in(text), *(key for _, _, key in Named(text).candidates)]
            known = dict.fromkeys(concept for key in keys if (concept := graph.index.id_of(key)) is not None)
            order = np.array([concept for concept in known if concept < len(graph.counts)], dtype=np.int64)
        order = order[graph.counts[order] > 0][:limit]
        mentions = graph.index.mentions(order, graph.texts)
        ids = frame.interner.ids
        named: list[list[str]] = [[] for _ in order]
        about: list[list[str]] = [[] for _ in order]
        for row, place, close in zip(*(column.tolist() for column in mentions), strict=True):
            node = ids[graph.owner[row]]
            named[place].append(node)
            if close == DEFINED:
                about[place].append(node)
        names = map(graph.index.name, order.tolist())
        return [Concept(name, tuple(by), tuple(of)) for name, by, of in zip(names, named, about, strict=True)]

    def _rank(
        self, seen: Seen, text: str | None, vector: NDArray[np.float32] | None, window: Window | None, source: Source
    ) -> Ranked:
        frame = seen.frame
        if text is None:
            return rank(seen, Legs.of(None, source.legs(seen, None, vector)[1]), None, Speakers(), None, self.weights)
        self.catch_up(frame)
        named = Named(text)
        date = None if window is None else inside(frame, window)
        words, speakers = self._asked(seen, named, text, date, window, source)
        matches, dense = source.legs(seen, words, vector)
        assert matches is not None  # words were given
        lexical = _on_nodes(frame.nodes.count, seen.owner, matches.rows, matches.scores)
        return rank(seen, Legs.of(lexical, dense, matches), named, speakers, date, self.weights)

    def words_asked(self, seen: Seen, text: str, window: Window | None, source: Source) -> str:
        """Return the words of a question that are looked up: not those that name who spoke, or mean a time."""
        date = None if window is None else inside(seen.frame, window)
        return self._asked(seen, Named(text), text, date, window, source)[0]

    def _asked(
        self, seen: Seen, named: Named, text: str, date: Mask | None, window: Window | None, source: Source
    ) -> tuple[str, Speakers]:
        """Return the words to look up, and whose turns are asked for.

        Date words are kept where nothing is known of the time that they mean: texts may hold them.
        """
        words = text
        if window is not None and date is not None and (date & seen.nodes).any():
            words = _undated(text, window, seen)
        speakers = speakers_named(named, self._speakers_of(seen.frame), seen)
        if speakers.doubtful:
            matches = source.legs(seen, words, None)[0]
            speakers = speakers if matches is None else speakers.decided(seen, matches)
        return without(words, speakers.keys), speakers

    def legs(self, seen: Seen, words: str | None, vector: NDArray[np.float32] | None) -> Looked:
        """Look up the words and the vector of a question here."""
        matches = None if words is None else self.lexical.search(words, seen.texts, seen.statistics)
        return matches, None if vector is None else self.dense(seen, vector)

    def shared(self, text_rows: Rows) -> Doubles:
        """Return the share of terms that each two of some text rows have in common."""
        return self.lexical.shared(text_rows)

    def contents(self, seen: Seen, text_rows: Rows) -> list[str]:
        """Return the texts of some text rows."""
        return [seen.frame.texts.value("content", row) for row in text_rows.tolist()]

    def seen_at(self, frame: Frame, filters: Filters) -> Seen:
        """Return what is seen at a Frame through some filters; the last ones are kept (each agent has its own)."""
        key = encode(filters)
        kept = self._seen  # replaced as a whole: others ask at the same time
        found = next((one for one in kept if one[0] is frame and one[1] == key), None)
        if found is None:
            indexes = Indexes(self.lexical, self.graph, self.labels, self.questions)
            found = frame, key, Seen(frame, visible_nodes(frame, filters, self.labels), indexes)
        if not kept or kept[-1] is not found:
            self._seen = (*[one for one in kept if one is not found][1 - SEEN_MAX :], found)
        return found[2]

    def _speakers_of(self, frame: Frame) -> dict[str, list[int]]:
        """Return the codes of speakers by name; made again when there are new ones."""
        if not frame.labels.count:
            return {}
        values = self.labels.values(frame, "speaker")
        if self._speakers[0] != len(values):
            self._speakers = len(values), speaker_names(values)
        return self._speakers[1]

    def dense(self, seen: Seen, vector: NDArray[np.float32]) -> Doubles:
        """Return the cosine of a vector with that of each node that is seen, at least 0, shape (node rows,).

        Of those that have none it is not a number.
        """
        frame = seen.frame
        if frame.vectors is None:
            return _no_vectors(seen)
        return _leg(seen, cosines(frame, self.norms, vector))

    def dense_each(self, seen: Seen, vectors: Sequence[NDArray[np.float32]]) -> Iterator[Doubles]:
        """Give ``dense`` of several vectors, of which some at a time are one product."""
        if seen.frame.vectors is None:
            yield from (_no_vectors(seen) for _ in vectors)
        else:
            yield from (_leg(seen, scores) for scores in cosines_each(seen.frame, self.norms, vectors))


def _best(seen: Seen, ranked: Ranked, scores: Doubles, k: int) -> Pool:
    """Return the first node rows, at least k or as many as are seen, and their scores; unmatched ones come last."""
    wanted = max(k, POOL)
    rows = _scored(seen, scores)
    if len(rows) < wanted:
        rows = np.flatnonzero(seen.nodes).astype(np.int32)
    rows = rows[top(scores[rows], births(seen.frame, rows), wanted)]
    return Pool(seen, ranked, rows, scores[rows])


def _varied(pool: Pool, k: int, source: Source | None) -> tuple[Rows, Doubles]:
    """Return the first k node rows of a pool and their scores; ``source`` tells what they have in common."""
    rows, values = pool.rows, pool.values
    rows, values = (rows[:k], values[:k]) if source is None else varied(pool.seen, source.shared, rows, values, k)
    return rows, np.round(values, DECIMALS)


def _undated(text: str, window: Window, seen: Seen) -> str:
    """Return a question without its date words, whose meaning counts instead; as it is if nothing else is asked."""
    words = outside(text, window)
    return words if seen.analyzer.words(words) else text


def _most_named(graph: ConceptGraph, limit: int) -> NDArray[np.int64]:
    """Return the concepts that most memories name, as many by name: numbers would tell of what is not seen."""
    named = np.flatnonzero(graph.counts)
    if len(named) > limit:
        least = np.partition(graph.counts[named], len(named) - limit)[len(named) - limit]
        named = named[graph.counts[named] >= least]
    order = sorted(named.tolist(), key=lambda concept: (-graph.counts[concept], graph.index.name(concept)))
    return np.array(order[:limit], dtype=np.int64)


def _leg(seen: Seen, cosine: NDArray[np.float32]) -> Doubles:
    """Carry the cosines of all vector rows over to the nodes that are seen; those that have none get NaN."""
    frame = seen.frame
    assert frame.vectors is not None
    live = np.flatnonzero(frame.live_vectors() & seen.nodes[frame.vectors.column("node")])
    exact = cosine[live].astype(np.float64)
    exact = np.maximum(exact, 0.0).round(DECIMALS)  # last bits differ, and may be all that tells some apart
    leg = _no_vectors(seen)
    leg[frame.vectors.column("node")[live]] = exact
    return leg


def _no_vectors(seen: Seen) -> Doubles:
    """The leg of memories without vectors."""
    return np.where(seen.nodes, np.nan, 0.0)


def _scored(seen: Seen, scores: Doubles) -> Rows:
    """Return the node rows that are seen and have a score."""
    rows = np.flatnonzero(scores > 0).astype(np.int32)
    return rows[seen.nodes[rows]]


def _alone(seen: Seen, row: int) -> Ranked:
    """The ranking of one memory by itself."""
    scores = np.zeros(len(seen.nodes))
    scores[row] = 1.0 if seen.nodes[row] else 0.0
    return Ranked(scores, Legs(None, None), scores)


def _only(ranked: Ranked, rows: Rows) -> Ranked:
    """A ranking of some of its memories."""
    evidence = np.zeros(len(ranked.scores))
    evidence[rows] = ranked.scores[rows]
    return replace(ranked, scores=evidence, evidence=evidence)


def _texts(frame: Frame, first: int, stop: int) -> list[tuple[str, str | None]]:
    """Return content and speaker of some text rows."""
    value = frame.texts.value
    return [(value("content", row), value("speaker", row)) for row in range(first, stop)]


def _indexed_text(content: str, speaker: str | None) -> str:
    """The text to index: the speaker's name belongs to it, unless the text starts with it."""
    if not speaker or content[: len(speaker) + 1].lower() == f"{speaker.lower()}:":
        return content
    return f"{speaker}: {content}"


def _on_nodes(count: int, owner: Rows, rows: NDArray[Any], scores: Doubles) -> Doubles:
    """Carry scores of text or vector rows over to their nodes, shape (node rows,)."""
    result = np.zeros(count)
    result[owner[rows]] = scores
    return result
