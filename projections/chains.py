"""Chains of evidence: two memories that share a name and together answer more of a question than either alone.

A question such as "When was the director of X born?" is answered in two places. From each of the best memories we go to
those that share a name with it, and value each by what it adds: how much it has of what the first leaves open of the
question's words, more when the name that joins them is rare and the second is about it::

    chain(a, b) = score(a) * added(a, b) / open(a) * (1 + JOINED * join(a, b))
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.lexical import LexicalMatches
from memorygraph.projections.seen import Seen
from memorygraph.projections.weights import Weights

Doubles = NDArray[np.float64]
TERMS_MAX: Final = 32  # of a question, those that tell most
JOINED: Final = 2.0
_CLOSENESS: Final = np.array([0.0, 0.5, 0.8, 1.0])  # of a join: mentioned, in the title, the title


def chained(seen: Seen, scores: Doubles, begins: list[int], matches: LexicalMatches, weights: Weights) -> Doubles:
    """Return the value of the best chain that ends in each memory, 0..1 as a rule, shape (node rows,).

    Args:
        scores: of the memories as beginnings, the best one 1, shape (node rows,).
        begins: the best of them that have a text, best first.
    """
    best = np.zeros(len(scores))
    text_of = seen.graph.text_of
    joined = [_joined(seen, begin, seen.specificity_with(weights)) for begin in begins]
    if not joined:
        return best
    reached = np.unique(np.concatenate([nodes for nodes, _ in joined]))
    reached = reached[np.argsort(text_of[reached], kind="stable")]
    parts = matches.of_rows(text_of[reached], TERMS_MAX)
    place = np.zeros(len(scores), np.int64)
    place[reached] = np.arange(len(reached))
    for begin, (nodes, join) in zip(begins, joined, strict=True):
        added = np.maximum(parts[place[nodes]] - parts[place[begin]], 0.0).sum(axis=1)
        left = max(1.0 - float(parts[place[begin]].sum()), 1e-9)
        value = scores[begin] * added / left * (1.0 + JOINED * join)
        best[nodes] = np.maximum(best[nodes], value)
    return best


def _joined(seen: Seen, begin: int, specificity: Doubles) -> tuple[NDArray[np.int64], Doubles]:
    """Return the memories that share a name with one, itself among them, each with how closely, 0..1."""
    graph = seen.graph
    concepts, _ = graph.index.arcs(graph.text_of[[begin]])
    concepts = concepts[specificity[concepts] > 0.0]
    found = graph.index.mentions(concepts, graph.texts)
    rarity = specificity[concepts] / np.log1p(graph.total)
    join = np.zeros(len(seen.nodes))
    owners = graph.owner[found.rows]
    np.maximum.at(join, owners, rarity[found.concepts] * _CLOSENESS[found.closeness])
    join[begin] = 1.0
    nodes = np.flatnonzero(join)
    return nodes, join[nodes]
