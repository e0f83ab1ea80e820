"""Reasoning: what a cue leads to, over names and links, also where no word of the cue is.

Activation starts at everything that recall finds for the cue (or at one memory) and goes over concepts and over the
links of the memory graph, at most ``hops`` memories far; a question's words that are left open then raise the memories
that chains of evidence end in (``chains.py``) and that a second retrieval finds (``bridges.py``). The best that recall
finds stay among the hits.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from memorygraph.events.types import EdgeType
from memorygraph.projections.arcs import arcs_at, strengths
from memorygraph.projections.bridges import bridged
from memorygraph.projections.chains import chained
from memorygraph.projections.frame import NO_ROW
from memorygraph.projections.hit import Hit
from memorygraph.projections.ranking import Ranked, activated, restart_at
from memorygraph.projections.seen import Seen
from memorygraph.projections.similarity import births, top
from memorygraph.projections.source import Source
from memorygraph.projections.walk import walk
from memorygraph.projections.weights import Weights

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
BEGINNINGS: Final = 10
"""Of chains; bridges begin at the first of them."""
CHAINED: Final = 0.25
"""How much the value of a chain counts beside the score of its end,"""
BRIDGED: Final = 1.5
"""and that of a bridge."""
_OVER_BRIDGE_MIN: Final = 0.2  # share of a score that came over a bridge, from which on that explains it


def led_to(seen: Seen, ranked: Ranked, hops: int, weights: Weights, source: Source) -> Ranked:
    """Return scores of all that a ranking leads to; what is not reached has none.

    Args:
        ranked: what recall finds, or 1 for the memory to start from.
        source: where texts and words are looked up.
    """
    highest = float(ranked.scores.max(initial=0.0))
    if highest <= 0.0:
        return ranked
    match = ranked.evidence / ranked.evidence.max()
    asked = np.array(ranked.asked, dtype=np.int64)
    walked = walk(
        seen.graph,
        seen.specificity_with(weights),
        restart_at(match, weights),
        asked,
        match,
        weights,
        links=lambda nodes: _links(seen, nodes, weights.similar),
        hops=hops,
    )
    scores = activated(walked, 1.0, weights)
    bridges = None
    if hops and (matches := ranked.legs.matches) is not None:
        begins = _beginnings(seen, scores)
        bridges = bridged(seen, scores, begins, matches, weights, source)
        scores = scores + CHAINED * chained(seen, scores, begins, matches, weights) + BRIDGED * bridges.values
        explains = BRIDGED * bridges.values >= _OVER_BRIDGE_MIN * scores
        bridges = replace(bridges, begins=np.where(explains, bridges.begins, NO_ROW))
    scores = np.where(seen.nodes, highest * scores / scores.max(), 0.0)
    return replace(ranked, scores=scores, walked=walked, bridges=bridges)


def over_bridge(seen: Seen, ranked: Ranked, row: int, hit: Hit) -> Hit:
    """Return a hit that the walk gives no path to with the one over a bridge, if there is one, else from itself."""
    ids, bridges = seen.frame.interner.ids, ranked.bridges
    begin = NO_ROW if bridges is None else int(bridges.begins[row])
    if bridges is None or begin == NO_ROW:
        return replace(hit, path=(ids[row],))
    named, _ = seen.graph.index.arcs(seen.graph.text_of[[row]])
    over = sorted(seen.graph.index.name(concept) for concept in bridges.names[begin].intersection(named.tolist()))
    return replace(hit, path=(ids[begin], ids[row]), concepts=tuple(dict.fromkeys([*hit.concepts, *over])))


def _beginnings(seen: Seen, scores: Doubles) -> list[int]:
    """Return the best memories that have a text, best first."""
    rows = np.flatnonzero((scores > 0) & (seen.graph.text_of != NO_ROW)).astype(np.int32)
    begins: list[int] = rows[top(scores[rows], births(seen.frame, rows), BEGINNINGS)].tolist()
    return begins


def with_seeds(
    rows: NDArray[np.int32], scores: Doubles, seeds: NDArray[np.int32], k: int
) -> tuple[NDArray[np.int32], Doubles]:
    """Return the first k of some node rows, best first, and their scores; the seeds stay, whatever their place."""
    is_seed = np.isin(rows, seeds[:k])
    others = np.flatnonzero(~is_seed)[: k - int(np.count_nonzero(is_seed))]
    places = np.sort(np.concatenate([np.flatnonzero(is_seed), others]))
    return rows[places], scores[places]


def _links(seen: Seen, nodes: Ints, similar: float) -> tuple[Ints, Ints, Doubles]:
    """Return the links of some nodes to what is seen, in both directions: from, to, weight.

    Args:
        similar: what those count that were made because the memories are similar, of what others count.
    """
    edges, source, target = arcs_at(seen.frame, nodes.astype(np.int32))
    is_similar = seen.frame.edges.take("edge_type", edges) == EdgeType.SIMILARITY.code
    weight = strengths(seen.frame, edges) * np.where(is_similar, similar, 1.0)
    passes = seen.nodes[target] & (weight > 0)
    return source[passes].astype(np.int64), target[passes].astype(np.int64), weight[passes]
