"""The walk over concepts: personalised PageRank (Page et al., 1999; Haveliwala, 2002) from the best matches.

Activation goes from memories to what they name and from there to other memories that name it: spreading activation
with the fan effect (Anderson, 1974). A memory shares its activation among its concepts by their idf, and keeps some:
one that names little keeps most. A concept gives its activation to the memories about it (whose title it is), and the
rest to those that mention it, more to those that match the question. Level by level, p is ::

    p = (1 - damping) * restart + damping * (what arrives)

A fixed number of rounds, from arcs in a fixed order: the same numbers on every machine, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.concepts import ConceptIndex
from memorygraph.projections.weights import Weights

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

ACTIVATION_MIN: Final = 1e-3
"""Of all activation: less is not passed on, which bounds what a round touches at any size of the memory."""

COMMON_MIN: Final = 10.0
"""A concept that so many memories name is not too common, however few memories there are."""


class ConceptGraph(Struct, frozen=True):
    """The concepts of what a reader sees.

    ``texts`` (text rows,) says which text rows count; ``owner`` (text rows,) are their nodes; ``text_of`` (node rows,)
    is the text row of a node, negative for none; ``counts`` (concepts,) says how many of these rows name each concept.
    """

    index: ConceptIndex
    texts: NDArray[np.bool_]
    owner: NDArray[np.int32]
    text_of: NDArray[np.int32]
    counts: Ints
    total: int

    def common(self, weights: Weights) -> float:
        """Return how many memories may name a concept that says something."""
        return max(COMMON_MIN, weights.common * self.total)

    def specificity(self, weights: Weights) -> Doubles:
        """Return the idf of each concept that connects: named by two memories, and not by too many; else 0."""
        connects = (self.counts >= 2) & (self.counts <= self.common(weights))  # noqa: PLR2004 - one connects to no other
        return np.where(connects, np.log1p(self.total / np.maximum(self.counts, 1)), 0.0)


class Arcs(NamedTuple):
    """Arcs by column, of one length each: from, to, and the share of the activation that goes over it."""

    sources: Ints
    targets: Ints
    shares: Doubles


class Walked(Struct, frozen=True):
    """Where activation came to, and how.

    ``activation``, ``restart``, and ``before`` (one round earlier) are by node, shape (node rows,). Concepts that were
    reached have a place each: ``places`` (concepts,) says which, -1 for the others. By place are: ``concepts``, the
    activation before the last step, and what is given of it to a memory that names it, ``fit`` (node rows,) times
    (``each`` + ``about`` * closeness), with ``closeness`` by the numbers of ``names.py``. ``told`` are arcs from nodes
    to places, ``linked`` arcs from nodes to nodes.
    """

    activation: Doubles
    restart: Doubles
    before: Doubles
    places: NDArray[np.int32]
    concepts: Doubles
    fit: Doubles
    each: Doubles
    about: Doubles
    closeness: Doubles
    told: Arcs
    linked: Arcs

    def heard(self, graph: ConceptGraph, nodes: Sequence[int]) -> list[Heard]:
        """Return the reached concepts that some memories name, each with the activation that it gave to the memory."""
        rows = np.array(nodes, dtype=np.int64)
        texts = graph.text_of[rows]
        has_text = np.flatnonzero(texts >= 0)
        if not len(self.concepts):
            return [[] for _ in nodes]
        concepts, closeness, lengths = graph.index.named_by(texts[has_text])
        fit = np.repeat(self.fit[rows[has_text]], lengths)
        places = self.places[concepts]
        # Those without a place take the last one's values, and drop out below.
        given = (self.about[places] * self.closeness[closeness] + self.each[places]) * self.concepts[places] * fit
        pairs = zip(places.tolist(), concepts.tolist(), given.tolist(), strict=True)
        found: list[Heard] = [[] for _ in nodes]
        for place, length in zip(has_text.tolist(), lengths.tolist(), strict=True):
            found[place] = [(concept, part) for at, concept, part in islice(pairs, length) if at >= 0]
        return found


Heard: TypeAlias = "list[tuple[int, float]]"
"""Concepts, and how much each gave."""

Linked: TypeAlias = "Callable[[Ints], tuple[Ints, Ints, Doubles]]"
"""Gives the links of some nodes: from, to, weight."""


def walk(
    graph: ConceptGraph,
    specificity: Doubles,
    restart: Doubles,
    asked: Ints,
    match: Doubles,
    weights: Weights,
    *,
    links: Linked | None = None,
    hops: int | None = None,
) -> Walked:
    """Let activation flow from the restart, and from what the question names.

    Args:
        specificity: of ``graph``.
        restart: where activation starts, sums to 1, shape (node rows,).
        asked: the concepts that the question names.
        match: how well each memory matches the question, 0..1, shape (node rows,).
        links: of the memory graph, to go along too.
        hops: how many memories away from the start activation comes; None: as many as there are rounds.
    """
    reach = _Reach(graph, specificity, match, weights, links)
    named: Doubles = np.zeros(0)
    if asked.size:
        idf = np.log1p(graph.total / graph.counts[asked])
        places = reach.place(asked)
        named = np.bincount(places, weights.asked * idf / idf.sum()).astype(np.float64, copy=False)
        restart = restart * (1.0 - weights.asked)
    p = before = restart
    concepts = named
    rounds = weights.rounds if hops is None else (max(weights.rounds, hops) if hops else 0)
    for number in range(rounds):
        if hops is None or number < hops:
            reach.expand(p)
        before = p
        concepts = reach.to_concepts(p)
        concepts[: len(named)] += named
        p = (1.0 - weights.damping) * restart + weights.damping * reach.to_memories(concepts, p)
    return Walked(
        p, restart, before, reach.places, concepts, reach.fit, reach.each, reach.about, reach.closeness,
        reach.told, reach.linked,
    )  # fmt: skip


class _Reach:
    """The part of the graph that activation has come to, with the share of it that each arc passes on."""

    def __init__(
        self, graph: ConceptGraph, specificity: Doubles, match: Doubles, weights: Weights, links: Linked | None
    ) -> None:
        self._graph = graph
        self._specificity = specificity
        self._weights = weights
        self._links = links
        self._stays = np.zeros(len(match))  # share that a memory keeps; 0: not reached
        self._heard = self.told = self.linked = Arcs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        self.places = np.full(len(specificity), -1, np.int32)
        self._concepts: Ints = np.zeros(0, np.int64)  # by place
        self._is_known = np.zeros(0, np.bool_)  # whether their mentions are there
        self.each = self.about = np.zeros(0)
        self.fit = 1.0 + weights.match * match
        self.closeness = np.array([0.0, 0.0, weights.titled, 1.0])

    def place(self, concepts: Ints) -> Ints:
        """Return the places of some concepts; those that have none are given one."""
        new = np.unique(concepts[self.places[concepts] < 0])
        if new.size:
            first = len(self._concepts)
            self.places[new] = np.arange(first, first + len(new))
            self._concepts = np.concatenate([self._concepts, new])
            missing = np.zeros(len(new))
            self._is_known = np.concatenate([self._is_known, missing.astype(np.bool_)])
            self.each, self.about = np.concatenate([self.each, missing]), np.concatenate([self.about, missing])
        return self.places[concepts].astype(np.int64)

    def to_concepts(self, p: Doubles) -> Doubles:
        """Return what each concept gets from the memories, by place."""
        given = p[self.told.sources] * self.told.shares
        return np.bincount(self.told.targets, given, len(self._concepts)).astype(np.float64, copy=False)

    def to_memories(self, concepts: Doubles, p: Doubles) -> Doubles:
        """Return what each memory gets from the concepts and over links, and keeps."""
        self._recognise(np.flatnonzero((concepts > ACTIVATION_MIN) & ~self._is_known))
        arrived = np.bincount(self._heard.targets, concepts[self._heard.sources] * self._heard.shares, len(p))
        if self.linked.sources.size:
            arrived = arrived + np.bincount(self.linked.targets, p[self.linked.sources] * self.linked.shares, len(p))
        return arrived + self._stays * p

    def expand(self, p: Doubles) -> None:
        """Add the arcs of memories that were reached."""
        nodes = np.flatnonzero((p > ACTIVATION_MIN) & (self._stays == 0.0))
        if not nodes.size:
            return
        texts = self._graph.text_of[nodes]
        has_text = np.flatnonzero(texts >= 0)
        concepts, lengths = self._graph.index.arcs(texts[has_text])
        weight = self._specificity[concepts]
        origin = np.repeat(has_text, lengths)
        total = np.bincount(origin, weight, len(nodes)) + self._weights.stay
        if self._links is not None:
            sources, targets, link_weight = self._links(nodes)
            source = np.searchsorted(nodes, sources)
            link_weight = self._weights.link * link_weight
            total += np.bincount(source, link_weight, len(nodes))
            self.linked = _joined(self.linked, sources, targets, link_weight / total[source])
        self._stays[nodes] = self._weights.stay / total
        connects = weight > 0.0
        origin, weight = origin[connects], weight[connects]
        self.told = _joined(self.told, nodes[origin], self.place(concepts[connects]), weight / total[origin])

    def _recognise(self, places: Ints) -> None:
        """Add the mentions of concepts that were reached; the shares of each concept sum to 1."""
        if not places.size:
            return
        self._is_known[places] = True
        found = self._graph.index.mentions(self._concepts[places], self._graph.texts)
        nodes = self._graph.owner[found.rows].astype(np.int64)
        fit = self.fit[nodes]
        closeness = self.closeness[found.closeness]
        close = closeness * fit
        fit_sum = np.bincount(found.concepts, fit, len(places))
        close_sum = np.bincount(found.concepts, close, len(places))
        about = np.zeros(len(places))
        np.maximum.at(about, found.concepts, closeness)
        about *= self._weights.about
        each = (1.0 - about) / np.maximum(fit_sum, 1.0)
        about /= np.maximum(close_sum, 1e-12)
        self.each[places], self.about[places] = each, about
        given = each[found.concepts] * fit + about[found.concepts] * close
        self._heard = _joined(self._heard, places[found.concepts], nodes, given)


def _joined(arcs: Arcs, sources: Ints, targets: Ints, shares: Doubles) -> Arcs:
    pairs = zip(arcs, (sources, targets, shares), strict=True)
    return Arcs(*(np.concatenate(pair) for pair in pairs))
