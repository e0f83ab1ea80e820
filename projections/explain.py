"""Why a memory was found: the parts of its score, the words and concepts it shares with the question, the way to it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.frame import NO_ROW
from memorygraph.projections.hit import Hit
from memorygraph.projections.ranking import Ranked
from memorygraph.projections.seen import Seen
from memorygraph.projections.walk import Walked
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
    hits = []
    for place, row in enumerate(rows.tolist()):
        score = float(scores[place])
        concepts, path, walk = _way(seen, ranked, row, weights) if score and place < WAYS_MAX else ((), (), None)
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


def _way(
    seen: Seen, ranked: Ranked, row: int, weights: Weights
) -> tuple[tuple[str, ...], tuple[str, ...], float | None]:
    """Return the concepts that led to a memory, the way from where most came from, and the share that came so."""
    walked = ranked.walked
    if walked is None or not walked.activation[row]:
        return (), (), None
    concepts, came, linked = _given(walked, row)
    total = float(came.sum() + linked.sum())
    if not total:
        return (), (), None
    share = min(1.0, weights.damping * total / float(walked.activation[row]))
    most = np.flatnonzero(came >= came.max() / 4).tolist() if len(came) else []
    name = seen.graph.index.name
    order = sorted((-round(float(came[place]), DECIMALS), name(int(concepts[place]))) for place in most)
    path = way_to(seen, walked, row, weights) if share >= _WALKED_MIN else (row,)
    ids = tuple(seen.frame.interner.ids[step] for step in path)
    return tuple(key for _, key in order[:CONCEPTS_MAX]), ids if len(ids) > 1 else (), round(share, DECIMALS)


def way_to(seen: Seen, walked: Walked, row: int, weights: Weights) -> list[int]:
    """Return the node rows of the way to a memory, from one that activation started at."""
    path, most = [row], float(walked.restart.max())
    while len(path) <= weights.rounds:
        here = path[-1]
        own = walked.restart[here]
        if own >= _STARTED * most or (1.0 - weights.damping) * own >= _STARTED * walked.activation[here]:
            break
        step = _step(seen, walked, here, set(path))
        if step is None:
            break
        path.append(step)
    return path[::-1]


def _given(walked: Walked, row: int) -> tuple[Ints, Doubles, Doubles]:
    """Return the concepts that gave activation to a memory, how much each gave, and how much each link gave."""
    mine = np.flatnonzero(walked.heard.nodes == row)
    concepts = walked.heard.ends[mine]
    linked = np.flatnonzero(walked.linked.ends == row)
    by_link = walked.before[walked.linked.nodes[linked]] * walked.linked.shares[linked]
    return concepts, walked.concepts[concepts] * walked.heard.shares[mine], by_link


def _step(seen: Seen, walked: Walked, row: int, passed: set[int]) -> int | None:
    """Return the memory that gave most to another, over a link or the concept that gave most; None: no other did."""
    concepts, came, by_link = _given(walked, row)
    sources = walked.linked.nodes[walked.linked.ends == row]
    gave = by_link
    if len(concepts) and came.max() > 0:
        place = int(np.argmax(came))
        of_concept = walked.told.ends == concepts[place]
        tellers = walked.told.nodes[of_concept]
        told = walked.before[tellers] * walked.told.shares[of_concept]
        sources = np.concatenate([sources, tellers])
        gave = np.concatenate([gave, told * (came[place] / walked.concepts[concepts[place]])])
    order = np.lexsort((seen.frame.nodes.column("birth")[sources], -np.round(gave, DECIMALS)))
    others = (source for source, part in zip(sources[order].tolist(), gave[order].tolist(), strict=True) if part > 0)
    return next((source for source in others if source not in passed), None)


def _share(part: Doubles | None, row: int, whole: float) -> float | None:
    return None if part is None or part[row] <= 0 else round(min(float(part[row] / whole), 1.0), DECIMALS)


def _part(leg: Doubles | None, row: int) -> float | None:
    return None if leg is None else round(float(leg[row]), DECIMALS)
