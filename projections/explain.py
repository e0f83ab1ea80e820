"""Why a memory was found: the parts of its score, the words and concepts it shares with the question, the way to it."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.frame import NO_ROW
from memorygraph.projections.hit import Hit
from memorygraph.projections.ranking import Ranked
from memorygraph.projections.seen import Seen
from memorygraph.projections.walk import Gave, Walked
from memorygraph.projections.weights import Weights

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
DECIMALS: Final = 6
WAYS_MAX: Final = 100  # hits whose way is looked for
CONCEPTS_MAX: Final = 5
_WALKED_MIN: Final = 0.2  # share of a hit's activation that came to it, from which on the way explains it
_STARTED: Final = 0.5  # a way begins at a memory with so much of its activation by itself, or of the best one's start


def hits_of(
    seen: Seen, ranked: Ranked, rows: NDArray[np.int32], scores: Doubles, weights: Weights, date_words: str
) -> list[Hit]:
    """Return the hits of some node rows, which are in order of rank."""
    terms = _terms(seen, ranked, rows)
    evidence = np.where(ranked.evidence[rows] > 0, ranked.evidence[rows], 1.0)
    spoken = None if ranked.speaker is None else weights.speaker * ranked.speaker[rows] / evidence
    ways = None if ranked.walked is None else _Ways(seen, ranked.walked, weights, rows[:WAYS_MAX].tolist())
    hits = []
    for place, row in enumerate(rows.tolist()):
        score = float(scores[place])
        concepts, path, walk = ways.of(row) if ways and score and place < WAYS_MAX else ((), (), None)
        hits.append(
            Hit(
                seen.frame.node(row, vector=False),
                score,
                _part(ranked.legs.lexical, row),
                _part(ranked.legs.dense, row),
                walk,
                terms[place],
                path,
                date_words if ranked.date is not None and ranked.date[row] else "",
                turns=_share(ranked.turns, row, evidence[place]),
                session=_share(ranked.session, row, evidence[place]),
                speaker=None if spoken is None or not spoken[place] else round(float(spoken[place]), DECIMALS),
                concepts=concepts,
            )
        )
    return hits


def _terms(seen: Seen, ranked: Ranked, rows: NDArray[np.int32]) -> list[tuple[str, ...]]:
    """Return the words of the question that each row matched."""
    if ranked.legs.matches is None:
        return [()] * len(rows)
    text_rows = seen.frame.nodes.column("text_row")[rows]
    words = ranked.legs.matches.matched(text_rows[text_rows != NO_ROW])
    return [tuple(words.get(text_row, ())) for text_row in text_rows.tolist()]


class _Ways:
    """The ways that activation went to some memories."""

    def __init__(self, seen: Seen, walked: Walked, weights: Weights, rows: list[int]) -> None:
        self._seen = seen
        self._walked = walked
        self._weights = weights
        self._most = float(walked.restart.max())
        self._known = dict(zip(rows, walked.gave(seen.graph, rows, weights), strict=True))
        self._givers = cache(self._find_givers)  # hits often have a part of their ways in common
        self._tellers = cache(self._find_tellers)

    def of(self, row: int) -> tuple[tuple[str, ...], tuple[str, ...], float | None]:
        """Return the concepts that led to a memory, the way from where most came from, and the share that came so."""
        activation = float(self._walked.activation[row])
        heard = self._heard(row)
        total = sum([part for _, part in heard]) + sum([part for _, part in self._over_links(row)])
        if not total or not activation:
            return (), (), None
        share = min(1.0, self._weights.damping * total / activation)
        path = self._to(row) if share >= _WALKED_MIN else (row,)
        ids = tuple([self._seen.frame.interner.ids[step] for step in path])
        return self._names(heard), ids if len(ids) > 1 else (), round(share, DECIMALS)

    def _heard(self, row: int) -> Gave:
        if row not in self._known:
            self._known[row] = self._walked.gave(self._seen.graph, [row], self._weights)[0]
        return self._known[row]

    def _names(self, heard: Gave) -> tuple[str, ...]:
        """Return the names of those concepts that gave most."""
        least = max([part for _, part in heard], default=0.0) / 4
        name = self._seen.graph.index.name
        order = sorted([(-round(part, DECIMALS), name(concept)) for concept, part in heard if part >= least])
        return tuple([name for _, name in order[:CONCEPTS_MAX]])

    def _to(self, row: int) -> list[int]:
        """Return the node rows of the way to a memory, from one that activation started at."""
        path, walked, starts = [row], self._walked, 1.0 - self._weights.damping
        while len(path) <= self._weights.rounds:
            here = path[-1]
            own = float(walked.restart[here])
            if own >= _STARTED * self._most or starts * own >= _STARTED * float(walked.activation[here]):
                break
            step = next((giver for giver in self._givers(here) if giver not in path), None)
            if step is None:
                break
            path.append(step)
        return path[::-1]

    def _find_givers(self, row: int) -> list[int]:
        """Return the memories that gave to another over links and over the concept that gave most; the most first."""
        heard = self._heard(row)
        most = max([part for _, part in heard], default=0.0)
        tellers = self._tellers(self._first_of(heard, most)) if most > 0 else []
        linked = self._over_links(row)
        if linked:
            tellers = self._in_order([*linked, *((teller, part * most) for teller, part in tellers)])
        return [teller for teller, _ in tellers]

    def _first_of(self, heard: Gave, most: float) -> int:
        """Return the concept that gave most; of several the first by name: numbers would tell of what is not seen."""
        least = round(most, DECIMALS)
        return min([one for one, part in heard if round(part, DECIMALS) == least], key=self._seen.graph.index.name)

    def _find_tellers(self, concept: int) -> Gave:
        """Return the memories that gave to a concept, and which share of what it had; the most first."""
        told, place = self._walked.told, int(self._walked.concepts.of[concept])
        mine = np.flatnonzero(told.targets == place)
        tellers = told.sources[mine]
        gave = self._walked.before[tellers] * (told.shares[mine] / self._walked.heard[place])
        return self._in_order(self._pairs(tellers, gave))

    def _in_order(self, gave: Gave) -> Gave:
        birth = self._seen.frame.nodes.column("birth")
        given = [giver for giver in gave if giver[1] > 0]
        return sorted(given, key=lambda giver: (-round(giver[1], DECIMALS), birth[giver[0]]))

    def _over_links(self, row: int) -> Gave:
        """Return the memories that are linked to one, and how much each gave to it."""
        linked = self._walked.linked
        if not linked.sources.size:
            return []
        mine = np.flatnonzero(linked.targets == self._walked.nodes.of[row])
        sources = linked.sources[mine]
        return self._pairs(sources, self._walked.before[sources] * linked.shares[mine])

    def _pairs(self, places: Ints, gave: Doubles) -> Gave:
        return list(zip(self._walked.nodes.things[places].tolist(), gave.tolist(), strict=True))


def _share(part: Doubles | None, row: int, whole: float) -> float | None:
    return None if part is None or part[row] <= 0 else round(min(float(part[row] / whole), 1.0), DECIMALS)


def _part(leg: Doubles | None, row: int) -> float | None:
    return None if leg is None else round(float(leg[row]), DECIMALS)
