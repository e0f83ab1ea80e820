"""From a question to the ranks of memories: the legs are fused, conversations and dates added, then activation spreads.

1. Legs: BM25 and, with a real embedder's vectors, cosine; each in its standard deviations over what is seen, so that a
   leg that is sure counts for more (a z-score sum), cut at 0.
2. Evidence around a memory: turns beside it, its session, its speaker, its date.
3. The walk (``walk.py``) restarts at each memory with that score to the power ``sharpness``. Its activations rank; the
   score that is shown is the same power's root, scaled so that the first hit has the share of the question that the
   best match answers. Where no concept is shared the walk changes nothing, and the score is that share itself.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.bridges import Bridges
from memorygraph.projections.lexical import LexicalMatches
from memorygraph.projections.names import key_of, words_of
from memorygraph.projections.question import Named
from memorygraph.projections.seen import Seen
from memorygraph.projections.turns import beside, of_session
from memorygraph.projections.walk import Walked, walk
from memorygraph.projections.weights import Weights

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
DECIMALS: Final = 6
"""Scores are rounded, so that any sharding and any BLAS gives the same order."""
_NOISE: Final = 1e-5  # of the highest: deviations below may come from rounding scores
CIRCUMSTANCE: Final = 0.25
"""Score of the best hit when only who spoke or when it happened answers the question, none of its words."""


_NO_SPEAKERS: Final = {"", "user", "assistant", "system", "tool"}


class Legs(Struct, frozen=True):
    """What the question's words and vector say of each node, 0..1, shape (node rows,); None: not asked.

    Of what is not seen they say 0.
    """

    lexical: Doubles | None
    dense: Doubles | None
    matches: LexicalMatches | None = None
    has_vector: Mask | None = None  # of what is seen; None: all have

    @classmethod
    def of(cls, lexical: Doubles | None, dense: Doubles | None, matches: LexicalMatches | None = None) -> Legs:
        """Return the legs as they were looked up: not a number stands for the cosine of a memory without a vector."""
        if dense is None:
            return cls(lexical, dense, matches)
        has_vector: Mask = ~np.isnan(dense)
        if has_vector.all():
            return cls(lexical, dense, matches)
        return cls(lexical, np.where(has_vector, dense, 0.0), matches, has_vector)


class Ranked(Struct, frozen=True):
    """Scores of all nodes, 0..1, and what they are made of, shape (node rows,) each; None: had no say."""

    scores: Doubles
    legs: Legs
    evidence: Doubles  # the sum of what follows, in standard deviations
    turns: Doubles | None = None
    session: Doubles | None = None
    speaker: Mask | None = None
    date: Mask | None = None
    walked: Walked | None = None
    asked: tuple[int, ...] = ()  # concepts that the question names
    bridges: Bridges | None = None


class Speakers(Struct, frozen=True):
    """Who of the speakers a question names: codes of their labels, and the keys of the words that name them.

    ``doubtful`` are words in small letters that may name a speaker, each with its key and the codes.
    """

    codes: tuple[int, ...] = ()
    keys: frozenset[str] = frozenset()
    doubtful: tuple[tuple[str, str, tuple[int, ...]], ...] = ()

    def decided(self, seen: Seen, matches: LexicalMatches) -> Speakers:
        """Return these with the doubtful ones that what is seen has only as names: "bill" may be what is paid.

        Args:
            matches: of the whole question.
        """
        counts = seen.graph.counts
        codes, keys = list(self.codes), set(self.keys)
        for word, key, some in self.doubtful:
            concept = seen.graph.index.id_of(key)
            if concept is not None and concept < len(counts) and counts[concept] >= matches.rows_with(word):
                codes += some
                keys.add(key)
        return Speakers(tuple(dict.fromkeys(codes)), frozenset(keys))


def speakers_named(named: Named, names: dict[str, list[int]], seen: Seen) -> Speakers:
    """Return which speakers of what is seen a question names, by their whole or their first name."""
    if not names or seen.speaker is None:
        return Speakers()
    codes: list[int] = []
    keys: set[str] = set()
    doubtful = []
    for start, stop, key in named.candidates:
        known = names.get(key)
        if known is None:
            continue
        here = [code for code in known if code in seen.speakers]
        if here and not keys.issuperset(key.split()):
            if word := named.doubtful(start, stop):
                doubtful.append((word, key, tuple(here)))
                continue
            codes += here
            keys.update(key.split())
    return Speakers(tuple(dict.fromkeys(codes)), frozenset(keys), tuple(doubtful))


def speaker_names(values: list[str | None]) -> dict[str, list[int]]:
    """Return the codes of speakers by the keys of their whole and first names.

    A role is no name: who asks for "a user of the database" does not ask what the user said.
    """
    found: dict[str, list[int]] = {}
    for code, name in enumerate(values):
        key = key_of(words_of(name or ""))
        for known in {key, key.partition(" ")[0]} - _NO_SPEAKERS:
            found.setdefault(known, []).append(code)
    return found


def asked_concepts(named: Named, seen: Seen, matches: LexicalMatches | None, weights: Weights) -> Ints:
    """Return the concepts that a question names: the longest known names, each word in one; common ones left out.

    A single word in small letters counts if what is seen uses it as a name at least every other time.
    """
    index = seen.graph.index
    counts, most = seen.graph.counts, seen.graph.common(weights)
    found: list[int] = []
    used: set[int] = set()
    for start, stop, key in named.candidates:
        places = range(start, stop)
        if not used.isdisjoint(places):
            continue
        concept = index.id_of(key)
        if concept is not None and concept < len(counts) and counts[concept]:
            word = named.doubtful(start, stop)
            if word and (matches is None or 2 * counts[concept] < matches.rows_with(word)):
                continue
            used.update(places)
            if counts[concept] <= most:
                found.append(concept)
    return np.array(list(dict.fromkeys(found)), dtype=np.int64)


def rank(
    seen: Seen, legs: Legs, named: Named | None, speakers: Speakers, date: Mask | None, weights: Weights
) -> Ranked:
    """Rank what is seen by all evidence.

    Args:
        named: the names in the question; None (a vector alone): nothing spreads, and scores are those of the leg.
        date: which nodes happened in the time that the question means.
    """
    base = _share(legs, seen)
    if named is None:
        return Ranked(np.round(base, DECIMALS), legs, base)
    evidence = matched = _sum(legs, seen, weights)
    turns = session = spoken = None
    if seen.turns is not None:
        turns = beside(evidence, seen.turns, weights)
        evidence = evidence + turns
        session = of_session(evidence, seen.turns, weights)
        evidence = evidence + session
    if speakers.codes and seen.speaker is not None:
        spoken = np.isin(seen.speaker, speakers.codes) & seen.nodes
        evidence = evidence + weights.speaker * spoken
    if date is not None:
        date = date & seen.nodes
        evidence = evidence + weights.date * date
    best = float(evidence.max(initial=0.0))
    if best <= 0.0:
        return Ranked(np.zeros(len(base)), legs, evidence, date=date)
    match = evidence / best
    asked = asked_concepts(named, seen, legs.matches, weights)
    walked = walk(seen.graph, seen.specificity_with(weights), restart_at(match, weights), asked, match, weights)
    highest = max(float(base.max(initial=0.0)), CIRCUMSTANCE if matched is not evidence and not matched.any() else 0.0)
    scores = activated(walked, highest, weights)
    if legs.dense is not None:
        scores = _with_rest(scores, base)
    return Ranked(scores, legs, evidence, turns, session, spoken, date, walked, tuple(asked.tolist()))


def restart_at(match: Doubles, weights: Weights) -> Doubles:
    """Return where a walk starts, summing to 1, given how well each memory matches, 0..1, shape (node rows,)."""
    rows = np.flatnonzero(match)
    share = powers(match[rows], weights.sharpness)
    restart = np.zeros(len(match))
    restart[rows] = share / share.sum()
    return restart


def activated(walked: Walked, highest: float, weights: Weights) -> Doubles:
    """Return scores out of activation, rounded: the root of the power that the restart was made with."""
    rows = np.flatnonzero(walked.activation)
    share = walked.activation[rows] / walked.activation.max()
    scores = np.zeros(len(walked.activation))
    scores[rows] = np.round(highest * share ** (1.0 / weights.sharpness), DECIMALS)
    return scores


def _with_rest(scores: Doubles, base: Doubles) -> Doubles:
    """Put what has a share, but no activation (a vector that is farther than the mean), behind all that has some."""
    rest = (scores <= 0.0) & (base > 0.0)
    if not rest.any():
        return scores
    least = float(scores[scores > 0.0].min(initial=1.0))
    return np.where(rest, np.round(base * (least / max(1.0, float(base[rest].max()))), DECIMALS), scores)


def _sum(legs: Legs, seen: Seen, weights: Weights) -> Doubles:
    """The legs in standard deviations over what is seen, added, and cut at 0."""
    total = np.zeros(len(seen.nodes))
    if legs.lexical is not None:
        spread = _moments(legs.lexical, seen.total)[1]
        total = legs.lexical / (spread or float(legs.lexical.max(initial=0.0)) or 1.0)
    if legs.dense is not None:  # nothing is known of what has no vector, for or against it
        known = _known(legs, seen)
        mean, spread = _moments(legs.dense, int(np.count_nonzero(known)))
        centred = (legs.dense - mean) / spread if spread else legs.dense
        total = np.maximum(total + weights.dense * np.where(known, centred, 0.0), 0.0)
    return total


def _known(legs: Legs, seen: Seen) -> Mask:
    """Return which memories that are seen have a vector."""
    return seen.nodes if legs.has_vector is None else seen.nodes & legs.has_vector


def _moments(leg: Doubles, count: int) -> tuple[float, float]:
    """Return the mean and the standard deviation of a leg over ``count`` memories; that of all others is 0.

    A deviation that may be rounding is 0: divided by it, a leg would outweigh all else.
    """
    values = leg[np.flatnonzero(leg)]
    if not len(values):
        return 0.0, 0.0
    mean = float(values.sum()) / count
    squares = float(np.square(values - mean).sum()) + (count - len(values)) * mean * mean
    spread = math.sqrt(squares / count)
    return mean, spread if spread > _NOISE * float(values.max()) else 0.0


def _share(legs: Legs, seen: Seen) -> Doubles:
    """Weighted mean of the legs in 0..1, weights 1 / standard deviation over what is seen."""
    asked = [leg for leg in (legs.lexical, legs.dense) if leg is not None]
    if len(asked) < 2:  # noqa: PLR2004 - nothing to weigh
        return asked[0] if asked else np.zeros(len(seen.nodes))
    counts = seen.total, int(np.count_nonzero(_known(legs, seen)))
    spreads = [_moments(leg, count)[1] for leg, count in zip(asked, counts, strict=True)]
    parts = [1.0 / spread if spread else 0.0 for spread in spreads]
    whole = sum(parts)
    if not whole:
        parts, whole = [1.0] * len(asked), float(len(asked))
    return sum((leg * (part / whole) for leg, part in zip(asked, parts, strict=True)), np.zeros(1))


def powers(values: Doubles, exponent: int) -> Doubles:
    """Values to a whole power by multiplication: the same on every machine, which ``pow`` is not."""
    result = values
    for _ in range(exponent - 1):
        result = result * values
    return result
