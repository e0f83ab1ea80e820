"""``SpreadingActivation``: what comes to mind with some memories, by their links (Collins & Loftus, 1975)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from memorygraph import checks
from memorygraph.actors.spread_queries import ACTIVATION, ORDERS, Activated, Chain, Spread
from memorygraph.core.graph import HasGraph, MemoryGraph, graph_in
from memorygraph.core.types import RetrievalStrategy
from memorygraph.events.errors import InputError
from memorygraph.events.types import EdgeType
from memorygraph.lazy import LazyList
from memorygraph.projections.arcs import DIRECTIONS, OUT
from memorygraph.projections.conductance import AGGREGATES, MAX, MODES, PPR, SpreadRules

COUNT_MAX: Final = 1 << 31
VALUE_MAX: Final = 1e6
ROUNDS_MAX: Final = 100


@dataclass
class SpreadingConfig:
    """How activation spreads.

    A node v gains A(u) * activation_decay * weight * importance * boost along an edge u -> v. The importance is v's
    effective one (``MemoryNode.effective_importance``), the boost 1 + 0.5 e^(-age/3600 s), the age counting from the
    last time that v was recalled, or its recording.

    Args:
        max_depth: over how many edges.
        max_nodes: how many nodes ``mode="reference"`` expands; the other modes look at all.
        activation_decay: what is passed on along an edge, 0..1; for ``ppr`` the probability of going on.
        min_activation: less is not passed on.
        use_edge_weights, use_node_importance, use_temporal_boost: whether these count.
        normalize_by_outdegree: divide what a node passes on among its edges by their weights, so that hubs do not
            dominate: the fan effect (Anderson, 1974).
        aggregate_edges: what parallel edges come to: "max", "sum" (at most 1) or "mean".
        use_edge_confidence: whether a weight counts times its confidence.
        feedback_iterations: rounds in which activation flows back, against the edges, to what leads to the nodes found.
        feedback_damping: what is left of it with each round, 0..1.
        exclude_types, include_types: edge types to leave out, or to follow alone.
        return_top_k: at most so many results; None: all.
        sort_by: "activation", "depth" (nearest first) or "combined" (activation / (depth + 1)).
        mode: "max" (the best path, exact), "sum" (over all walks), "ppr" (personalised PageRank), or "reference" (the
            best path by best-first search, as older packages find it).
        direction: along edges ("out"), against them ("in"), or "both"; an undirected edge is all of them.
    """

    max_depth: int = 4
    max_nodes: int = 500
    activation_decay: float = 0.6
    min_activation: float = 0.01
    use_edge_weights: bool = True
    use_node_importance: bool = True
    use_temporal_boost: bool = True
    normalize_by_outdegree: bool = False
    aggregate_edges: str = MAX
    use_edge_confidence: bool = True
    feedback_iterations: int = 0
    feedback_damping: float = 0.8
    exclude_types: Iterable[EdgeType | str] | None = None
    include_types: Iterable[EdgeType | str] | None = None
    return_top_k: int | None = None
    sort_by: str = ACTIVATION
    mode: str = MAX
    direction: str = OUT

    def rules(self) -> SpreadRules:
        """Return the configuration as plain data, checked.

        Raises:
            InputError: a value that cannot be used.
        """
        mode = checks.one_of("mode", self.mode, MODES)
        feedback = checks.count("feedback_iterations", self.feedback_iterations, 0, ROUNDS_MAX)
        if feedback and mode == PPR:
            raise InputError("feedback_iterations is not for mode 'ppr', whose walkers come back by themselves")
        return SpreadRules(
            max_depth=checks.count("max_depth", self.max_depth, 0, COUNT_MAX),
            max_nodes=checks.count("max_nodes", self.max_nodes, 0, COUNT_MAX),
            decay=checks.number("activation_decay", self.activation_decay, 0.0, 1.0),
            min_activation=checks.number("min_activation", self.min_activation, 0.0, VALUE_MAX),
            edge_weights=self.use_edge_weights,
            edge_confidence=self.use_edge_confidence,
            importance=self.use_node_importance,
            temporal_boost=self.use_temporal_boost,
            fan=self.normalize_by_outdegree,
            aggregate=checks.one_of("aggregate_edges", self.aggregate_edges, AGGREGATES),
            feedback=feedback,
            damping=checks.number("feedback_damping", self.feedback_damping, 0.0, 1.0),
            include=None if self.include_types is None else _codes("include_types", self.include_types),
            exclude=_codes("exclude_types", self.exclude_types or ()),
            mode=mode,
            direction=checks.one_of("direction", self.direction, DIRECTIONS),
        )


class ActivationResult(NamedTuple):
    """A node that activation came to, over ``depth`` edges along ``path`` (ids, from ``source_id`` to it)."""

    node_id: str
    activation: float
    depth: int
    path: list[str]
    source_id: str

    @property
    def strategy(self) -> RetrievalStrategy:
        """How it was found."""
        return RetrievalStrategy.SPREADING


class SpreadingActivation:
    """Activation that spreads from memories over the links of a graph.

    Args:
        graph: a ``MemoryGraph``, or the ``AgentMemory`` that has one.
        config: default: ``SpreadingConfig()``.
    """

    def __init__(self, graph: MemoryGraph | HasGraph, config: SpreadingConfig | None = None) -> None:
        self.graph = graph_in(graph)
        self.config = config or SpreadingConfig()

    def spread(
        self, source_ids: Iterable[str], initial_activations: Mapping[str, float] | None = None
    ) -> Sequence[ActivationResult]:
        """Return what activation comes to from some nodes, best first; these themselves are left out.

        Results are made when they are looked at.

        Args:
            initial_activations: of source ids; 1 where none is given.

        Raises:
            NodeNotFoundError: a source is not there.
        """
        limit = self.config.return_top_k
        checked = None if limit is None else checks.count("return_top_k", limit, 0, COUNT_MAX)
        return self._spread(source_ids, initial_activations, checked)

    def priming_search(self, prime_ids: Iterable[str], query_id: str, top_k: int = 10) -> list[ActivationResult]:
        """Return what a node leads to when others were seen before: priming (Meyer & Schvaneveldt, 1971).

        What the query leads to with activation Q, and the primes with P, counts Q (1 + P). If the primes reach the
        query itself, it is among the results with its P: they make it more accessible. Primes are left out.

        Raises:
            NodeNotFoundError: one of the nodes is not there.
        """
        primes = list(checks.several("prime_ids", prime_ids))
        limit = checks.count("top_k", top_k, 0, COUNT_MAX)
        seen = set(primes)
        primed = {result.node_id: result for result in self._spread(primes, None, None)}
        found = [
            result._replace(activation=result.activation * (1.0 + primed[result.node_id].activation))
            if result.node_id in primed
            else result
            for result in self._spread([query_id], None, None)
            if result.node_id not in seen
        ]
        if query_id in primed:
            found.append(primed[query_id])
        found.sort(key=lambda result: -result.activation)
        return found[:limit]

    def concept_chain(self, start_id: str, end_id: str, max_chain_length: int = 5) -> list[str] | None:
        """Return the strongest chain between two nodes, both included, whatever the directions of its links; or None.

        The chain with the greatest product of decay and weights, over the edge types of the configuration.

        Args:
            max_chain_length: links it may have.

        Raises:
            NodeNotFoundError: one of the nodes is not there.
        """
        asked = Chain(
            start=checks.identifier("start_id", start_id),
            end=checks.identifier("end_id", end_id),
            rules=self.config.rules(),
            hops=checks.count("max_chain_length", max_chain_length, 0, COUNT_MAX),
        )
        found: list[str] | None = self.graph._home.engine.ask(asked).value
        return found

    def _spread(
        self, source_ids: Iterable[str], given: Mapping[str, float] | None, limit: int | None
    ) -> Sequence[ActivationResult]:
        sources = [checks.identifier("source_ids", node_id) for node_id in checks.several("source_ids", source_ids)]
        values = {} if given is None else dict(given)
        home = self.graph._home
        asked = Spread(
            sources=sources,
            values=[checks.number("initial_activations", values.get(name, 1.0), 0.0, VALUE_MAX) for name in sources],
            rules=self.config.rules(),
            now_us=home.clock.now_us(),
            sort_by=checks.one_of("sort_by", self.config.sort_by, ORDERS),
            limit=limit,
        )
        found: Activated = home.engine.ask(asked).value
        return _Results(found)


class _Results(LazyList[ActivationResult]):
    """Results, made of columns when they are looked at."""

    def __init__(self, found: Activated) -> None:
        self._found = found
        self._trails = np.frombuffer(found.trails, dtype="<i4").reshape(-1, found.width)
        super().__init__(len(found.activations), self._results)

    def _results(self, first: int, last: int) -> list[ActivationResult]:
        ids, activations = self._found.ids, self._found.activations
        results = []
        for place, trail in enumerate(self._trails[first:last].tolist(), first):
            path = [ids[at] for at in reversed(trail) if at >= 0]
            results.append(ActivationResult(ids[place], activations[place], len(path) - 1, path, path[0]))
        return results


def _codes(name: str, given: Iterable[EdgeType | str]) -> list[int]:
    return [EdgeType.of(edge_type).code for edge_type in checks.several(name, given)]
