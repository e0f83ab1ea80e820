"""A second retrieval: for what a first hit leaves open of the question, with the names that this hit brings in.

"Where was the director of The Long Night born?": the memory about the film names its director, and neither the question
nor where it was found says who that is. So from each of the best memories a new question is made, of the words that it
does not hold and the names that it has and the question has not; those count that stand in a sentence which matches
the question, and the rare ones. It is asked of the index as any other (relevance feedback, Rocchio, 1971, from names
alone), and a memory is worth ::

    bridge(a, b) = score(a) * the share of the new question that b answers

Unlike a chain (``chains.py``) this needs no concept that both memories have: part of a name does.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.frame import NO_ROW
from memorygraph.projections.lexical import LexicalMatches
from memorygraph.projections.names import TITLED, key_of, words_of
from memorygraph.projections.seen import Seen
from memorygraph.projections.source import Source
from memorygraph.projections.weights import Weights

Doubles = NDArray[np.float64]
BEGINNINGS: Final = 3
NAMES_MAX: Final = 4
FAINT: Final = 0.1
"""Of the question, what a sentence without any of its words is taken to match."""
_SENTENCES: Final = re.compile(r"(?<=\w\w[.!?;])\s+|\n+")


class Bridges(Struct, frozen=True):
    """What memories are worth as ends of a bridge, where the best one begins, and by which concepts.

    ``values`` are 0..1, ``begins`` node rows (``NO_ROW``: none), shape (node rows,) each.
    """

    values: Doubles
    begins: NDArray[np.int32]
    names: dict[int, frozenset[int]]


def bridged(
    seen: Seen, scores: Doubles, begins: list[int], matches: LexicalMatches, weights: Weights, source: Source
) -> Bridges:
    """Return what the best memories lead to by a second retrieval.

    Args:
        scores: of the memories as beginnings, the best one 1, shape (node rows,).
        begins: the best of them that have a text, best first.
        matches: of the question.
        source: where texts and words are looked up: one question for the texts, one for all words at once.
    """
    found = Bridges(np.zeros(len(scores)), np.full(len(scores), NO_ROW, np.int32), {})
    texts = seen.graph.text_of[begins[:BEGINNINGS]]
    asked: dict[int, dict[str, str]] = {}
    for begin, text_row, text in zip(begins, texts.tolist(), source.contents(seen, texts), strict=False):
        left = matches.missing(text_row)
        names = _brought_in(seen, text_row, text, matches, weights) if left else {}
        if names:
            asked[begin] = seen.analyzer.words(" ".join([*left, *names]))
            found.names[begin] = frozenset(names.values())
    if not asked:
        return found
    again, _ = source.legs(seen, " ".join(word for words in asked.values() for word in words.values()), None)
    assert again is not None  # words were given
    for begin, words in asked.items():
        rows, shares = again.of_terms(words)
        nodes, worth = seen.owner[rows], scores[begin] * shares
        better = (worth > found.values[nodes]) & (nodes != begin)
        found.values[nodes[better]] = worth[better]
        found.begins[nodes[better]] = begin
    return found


def _brought_in(seen: Seen, text_row: int, text: str, matches: LexicalMatches, weights: Weights) -> dict[str, int]:
    """Return the names that a text adds to the question, with their concepts, those that promise most first."""
    graph, terms_of = seen.graph, seen.analyzer.terms
    concepts, closeness, _ = graph.index.named_by(np.array([text_row]))
    part = dict(zip(matches.terms, matches.weights.tolist(), strict=True))
    sentences = [
        (f" {key_of(words_of(sentence))} ", sum(part.get(term, 0.0) for term in set(terms_of(sentence))))
        for sentence in _SENTENCES.split(text)
    ]
    most = max(matched for _, matched in sentences)
    specificity, common = seen.specificity_with(weights), graph.common(weights)
    order: list[tuple[float, str, int]] = []
    for concept, close in zip(concepts.tolist(), closeness.tolist(), strict=True):
        name = graph.index.name(concept)
        is_known = specificity[concept] > 0.0 or (" " in name and graph.counts[concept] <= common)
        if not is_known or part.keys() >= set(terms_of(name)):
            continue
        near = max((matched for said, matched in sentences if f" {name} " in said), default=0.0)
        focus = most if close >= TITLED else near
        order.append((-(FAINT + focus) * float(specificity[concept]), name, concept))
    return {name: concept for _, name, concept in sorted(order)[:NAMES_MAX]}
