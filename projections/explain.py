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
DECIMALS: Final = 6
WAYS_MAX: Final = 100  # hits whose way is looked for
CONCEPTS_MAX: Final = 5
_WALKED_MIN: Final = 0.2  # share of a hit's activation that came by concepts, from which on the way explains it


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
    """Return the concepts that led to a memory, the step from where most came from, and the share that came so."""
    walked = ranked.walked
    if walked is None or not walked.activation[row]:
        return (), (), None
    mine = np.flatnonzero(walked.nodes == row)
    concepts = walked.named[mine]
    came = walked.concepts[concepts] * walked.shares[mine]
    if not came.any():
        return (), (), None
    share = float(weights.damping * came.sum() / walked.activation[row])
    most = np.flatnonzero(came >= came.max() / 4).tolist()
    name = seen.graph.index.name
    order = sorted((-round(float(came[place]), DECIMALS), name(int(concepts[place])), place) for place in most)
    path = _step(seen, walked, row, int(concepts[order[0][2]])) if share >= _WALKED_MIN else ()
    return tuple(key for _, key, _ in order[:CONCEPTS_MAX]), path, round(min(share, 1.0), DECIMALS)


def _step(seen: Seen, walked: Walked, row: int, concept: int) -> tuple[str, ...]:
    """Return the step to a memory from the most active one that names a concept; none if that is itself."""
    sources = walked.nodes[walked.named == concept]
    best = int(sources[np.argmax(walked.before[sources])])
    ids = seen.frame.interner.ids
    return (ids[best], ids[row]) if best != row else ()


def _share(part: Doubles | None, row: int, whole: float) -> float | None:
    return None if part is None or part[row] <= 0 else round(min(float(part[row] / whole), 1.0), DECIMALS)


def _part(leg: Doubles | None, row: int) -> float | None:
    return None if leg is None else round(float(leg[row]), DECIMALS)
