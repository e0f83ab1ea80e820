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


class Places:
    """Places, counted from 0, for those of many things that turn up: what is computed of them is as long as they are.

    ``of`` (things in all,) says which place each thing has, -1 for none; ``things`` are those that have one, in order.
    """

    def __init__(self, total: int) -> None:
        self.of = np.full(total, -1, np.int32)
        self.things: Ints = np.zeros(0, np.int64)

    def give(self, things: Ints) -> Ints:
        """Return the places of some things; those that have none are given one."""
        new = things[self.of[things] < 0]
        if new.size:
            order = np.arange(len(new), dtype=np.int32)
            self.of[new] = order
            new = new[self.of[new] == order]  # each once
            self.of[new] = np.arange(len(self.things), len(self.things) + len(new))
            self.things = np.concatenate([self.things, new])
        return self.of[things].astype(np.int64)


class Walked(Struct, frozen=True):
    """Where activation came to, and how.

    ``activation``, ``restart`` and ``match`` are by node, shape (node rows,). Nodes and concepts that were reached have
    places (``Places``). ``before`` is the activation one round earlier by place of the node; by that of the concept are
    ``heard``, its activation before the last step, and ``each`` and ``about``: a memory that names it got, of that,
    (1 + weights.match * match) * (each + about * closeness). ``told`` are arcs from nodes to concepts, ``linked`` from
    nodes to nodes, by place.
    """

    activation: Doubles
    restart: Doubles
    match: Doubles
    nodes: Places
    concepts: Places
    before: Doubles
    heard: Doubles
    each: Doubles
    about: Doubles
    told: Arcs
    linked: Arcs

    def gave(self, graph: ConceptGraph, nodes: Sequence[int], weights: Weights) -> list[Gave]:
        """Return for each of some memories the reached concepts that it names, and what each gave to it."""
        rows = np.array(nodes, dtype=np.int64)
        texts = graph.text_of[rows]
        has_text = (texts >= 0).nonzero()[0]
        found: list[Gave] = [[] for _ in nodes]
        if not len(self.heard):
            return found
        concepts, closeness, lengths = graph.index.named_by(texts[has_text])
        fit = np.repeat(1.0 + weights.match * self.match[rows[has_text]], lengths)
        places = self.concepts.of[concepts]  # those without one take the last one's values, and drop out below
        given = (self.about[places] * _closeness(weights)[closeness] + self.each[places]) * self.heard[places] * fit
        pairs = zip(places.tolist(), concepts.tolist(), given.tolist(), strict=True)
        for node, length in zip(has_text.tolist(), lengths.tolist(), strict=True):
            found[node] = [(concept, part) for place, concept, part in islice(pairs, length) if place >= 0]
        return found


Gave: TypeAlias = "list[tuple[int, float]]"
"""Nodes or concepts, and how much each gave."""

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
        places = reach.concepts.give(asked)
        named = np.bincount(places, weights.asked * idf / idf.sum()).astype(np.float64, copy=False)
        restart = restart * (1.0 - weights.asked)
    alone = (1.0 - weights.damping) * restart  # what is at nodes that nothing comes to
    p = before = np.zeros(0)  # by place of the node
    heard: Doubles = np.zeros(0)
    rounds = weights.rounds if hops is None else (max(weights.rounds, hops) if hops else 0)
    for number in range(rounds):
        elsewhere = alone if number else restart
        if hops is None or number < hops:
            reach.expand(reach.nodes.things[p > ACTIVATION_MIN] if number else np.flatnonzero(restart > ACTIVATION_MIN))
        before = p = reach.all_of(p, elsewhere)
        heard = reach.to_concepts(p)
        heard[: len(named)] += named
        reach.recognise((heard > ACTIVATION_MIN).nonzero()[0])
        p = reach.all_of(p, elsewhere)
        p = alone[reach.nodes.things] + weights.damping * reach.to_memories(heard, p)
    activation = alone.copy() if rounds else restart
    activation[reach.nodes.things] = p
    return Walked(
        activation, restart, match, reach.nodes, reach.concepts, before, heard, reach.each, reach.about,
        reach.told, reach.linked,
    )  # fmt: skip


class _Reach:
    """The part of the graph that activation has come to, with the share of it that each arc passes on."""

    def __init__(
        self, graph: ConceptGraph, specificity: Doubles, match: Doubles, weights: Weights, links: Linked | None
    ) -> None:
        self._graph = graph
        self._specificity = specificity
        self._match = match
        self._weights = weights
        self._links = links
        self._closeness = _closeness(weights)
        self.nodes = Places(len(match))
        self.concepts = Places(len(specificity))
        self._stays = np.zeros(len(match))  # by place of the node: the share that it keeps; 0: its arcs are not there
        self._is_known = np.zeros(len(specificity), np.bool_)  # by place of the concept: its mentions are there
        self.each, self.about = np.zeros(len(specificity)), np.zeros(len(specificity))
        self._heard = self.told = self.linked = Arcs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))

    def all_of(self, p: Doubles, elsewhere: Doubles) -> Doubles:
        """Return p for all nodes that have a place by now; new ones have what is there, shape (node rows,)."""
        new = self.nodes.things[len(p) :]
        return np.concatenate([p, elsewhere[new]]) if new.size else p

    def to_concepts(self, p: Doubles) -> Doubles:
        """Return what each concept gets from the memories."""
        given = p[self.told.sources] * self.told.shares
        return np.bincount(self.told.targets, given, len(self.concepts.things)).astype(np.float64, copy=False)

    def to_memories(self, heard: Doubles, p: Doubles) -> Doubles:
        """Return what each memory gets from the concepts and over links, and keeps."""
        arrived = np.bincount(self._heard.targets, heard[self._heard.sources] * self._heard.shares, len(p))
        if self.linked.sources.size:
            arrived = arrived + np.bincount(self.linked.targets, p[self.linked.sources] * self.linked.shares, len(p))
        return arrived + self._stays[: len(p)] * p

    def expand(self, nodes: Ints) -> None:
        """Add the arcs of memories that were reached."""
        places = self.nodes.give(nodes)
        is_new = self._stays[places] == 0.0
        nodes, places = nodes[is_new], places[is_new]
        if not nodes.size:
            return
        texts = self._graph.text_of[nodes]
        has_text = (texts >= 0).nonzero()[0]
        concepts, lengths = self._graph.index.arcs(texts[has_text])
        weight = self._specificity[concepts]
        origin = has_text.repeat(lengths)
        total = np.bincount(origin, weight, len(nodes)) + self._weights.stay
        if self._links is not None:
            sources, targets, link_weight = self._links(nodes)
            order = np.argsort(nodes)
            source = order[np.searchsorted(nodes, sources, sorter=order)]
            link_weight = self._weights.link * link_weight
            total += np.bincount(source, link_weight, len(nodes))
            self.linked = _joined(self.linked, places[source], self.nodes.give(targets), link_weight / total[source])
        self._stays[places] = self._weights.stay / total
        connects = weight > 0.0
        origin, weight, concepts = origin[connects], weight[connects], concepts[connects]
        self.told = _joined(self.told, places[origin], self.concepts.give(concepts), weight / total[origin])

    def recognise(self, places: Ints) -> None:
        """Add the mentions of concepts that were reached; the shares of each concept sum to 1."""
        places = places[~self._is_known[places]]
        if not places.size:
            return
        self._is_known[places] = True
        found = self._graph.index.mentions(self.concepts.things[places], self._graph.texts)
        nodes = self._graph.owner[found.rows].astype(np.int64)
        fit = 1.0 + self._weights.match * self._match[nodes]
        closeness = self._closeness[found.closeness]
        close = closeness * fit
        fit_sum = np.bincount(found.concepts, fit, len(places))
        close_sum = np.bincount(found.concepts, close, len(places))
        about = self._weights.about * np.maximum.reduceat(
            closeness, found.concepts.searchsorted(np.arange(len(places)))
        )
        each = (1.0 - about) / np.maximum(fit_sum, 1.0)
        about /= np.maximum(close_sum, 1e-12)
        self.each[places], self.about[places] = each, about
        given = each[found.concepts] * fit + about[found.concepts] * close
        self._heard = _joined(self._heard, places[found.concepts], self.nodes.give(nodes), given)


def _closeness(weights: Weights) -> Doubles:
    """What the numbers of ``names.py`` for the closeness of a memory to a concept count."""
    return np.array([0.0, 0.0, weights.titled, 1.0])


def _joined(arcs: Arcs, sources: Ints, targets: Ints, shares: Doubles) -> Arcs:
    if not sources.size:
        return arcs
    pairs = zip(arcs, (sources, targets, shares), strict=True)
    return Arcs(*(np.concatenate(pair) for pair in pairs))
