"""``GraphAlgorithms``: neighbours, ways and components of a ``MemoryGraph``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

from memorygraph import checks
from memorygraph.actors.commands import GetNodes
from memorygraph.actors.engine import Engine
from memorygraph.actors.graph_queries import CheapestPath, Components, Degree, Neighbours, Traversal, Traverse
from memorygraph.core.node import MemoryNode
from memorygraph.events.types import EdgeType
from memorygraph.home import Home
from memorygraph.lazy import LazyList
from memorygraph.projections.arcs import BOTH, DIRECTIONS, IN, OUT

DEPTH_MAX: Final = 1 << 31


class Visit(NamedTuple):
    """A node that a search came to, and how many edges away from its start."""

    node: MemoryNode
    depth: int

    @property
    def id(self) -> str:
        """The node's id."""
        return self.node.id


class Visits(LazyList[Visit]):
    """What a search came to, at one position; ``ids`` are there at once, nodes when they are looked at."""

    def __init__(self, found: Traversal, home: Home, pinned: Engine) -> None:
        self.ids = found.ids
        self.depths = found.depths
        self._home = home
        self._pinned = pinned
        super().__init__(len(found.ids), self._visits)

    def _visits(self, first: int, last: int) -> list[Visit]:
        answer = self._pinned.ask(GetNodes(ids=self.ids[first:last], vectors=False))
        nodes = [MemoryNode._view(state, self._home, answer.position) for state in answer.value]
        return list(map(Visit, nodes, self.depths[first:last]))


class GraphAlgorithms:
    """The part of ``MemoryGraph`` that looks at how nodes are linked.

    ``direction`` is "out", "in" or "both"; an undirected edge is all of them. Every id that is asked for must be in the
    graph, else ``NodeNotFoundError``.
    """

    _home: Home

    def neighbors(self, node_id: str, direction: str = BOTH, edge_type: EdgeType | str | None = None) -> list[str]:
        """Return the ids of the nodes that a node is linked to, each once, oldest link first.

        Args:
            edge_type: only by edges of this type.
        """
        asked = Neighbours(
            id=checks.identifier("id", node_id), direction=_direction(direction), edge_type=_code(edge_type)
        )
        found: list[str] = self._home.engine.ask(asked).value
        return found

    def successors(self, node_id: str, edge_type: EdgeType | str | None = None) -> list[str]:
        """Return the ids that edges lead to from a node."""
        return self.neighbors(node_id, OUT, edge_type)

    def predecessors(self, node_id: str, edge_type: EdgeType | str | None = None) -> list[str]:
        """Return the ids that edges lead from to a node."""
        return self.neighbors(node_id, IN, edge_type)

    def degree(self, node_id: str, direction: str = BOTH) -> int:
        """Return how many edges a node has; an undirected one counts once in each direction, and once in "both"."""
        asked = Degree(id=checks.identifier("id", node_id), direction=_direction(direction))
        found: int = self._home.engine.ask(asked).value
        return found

    def bfs(
        self,
        start_id: str,
        max_depth: int = 3,
        edge_type: EdgeType | str | None = None,
        direction: str = BOTH,
        *,
        filter_fn: Callable[[MemoryNode], bool] | None = None,
    ) -> Visits:
        """Search breadth first: return (node, depth) of all that is up to ``max_depth`` edges away, itself first.

        Args:
            max_depth: from 0 on. edge_type: follow only edges of this type.
            direction: along edges ("out"), against them ("in"), or "both".
            filter_fn: give only the nodes for which it is true; the search goes through the others, too.
        """
        return self._traverse(start_id, max_depth, edge_type, direction, filter_fn, depth_first=False)

    def dfs(
        self,
        start_id: str,
        max_depth: int = 5,
        edge_type: EdgeType | str | None = None,
        direction: str = BOTH,
        *,
        filter_fn: Callable[[MemoryNode], bool] | None = None,
    ) -> Visits:
        """Search depth first: return (node, depth) in preorder, over the oldest edges first.

        A depth is the length of the way that was taken, so a node that is found late on a long way is not looked for
        again on a shorter one. Arguments are those of ``bfs``.
        """
        return self._traverse(start_id, max_depth, edge_type, direction, filter_fn, depth_first=True)

    def shortest_path(self, source_id: str, target_id: str, max_length: float = 10) -> list[str] | None:
        """Return the ids along the cheapest path from one node to another, both included; None if there is none.

        An edge costs 1 - weight times confidence, so strong links are short (Dijkstra, 1959; from both ends).

        Args:
            max_length: the cost that a path may have in all; no edge costs more than 1.
        """
        asked = CheapestPath(
            source=checks.identifier("id", source_id),
            target=checks.identifier("id", target_id),
            cost_max=checks.number("max_length", max_length, 0.0, math.inf),
        )
        found: list[str] | None = self._home.engine.ask(asked).value
        return found

    def strongly_connected_components(self) -> list[list[str]]:
        """Return the ids of nodes that all reach each other along edges: largest component first, oldest node first.

        By Tarjan's algorithm (1972), or SciPy's form of it where that is installed (extra ``fast``).
        """
        found: list[list[str]] = self._home.engine.ask(Components(strong=True)).value
        return found

    def connected_components(self) -> list[list[str]]:
        """Return the ids of nodes that are linked in any direction: largest component first, oldest node first."""
        found: list[list[str]] = self._home.engine.ask(Components()).value
        return found

    def _traverse(
        self,
        start_id: str,
        max_depth: int,
        edge_type: EdgeType | str | None,
        direction: str,
        filter_fn: Callable[[MemoryNode], bool] | None,
        *,
        depth_first: bool,
    ) -> Visits:
        asked = Traverse(
            start=checks.identifier("id", start_id),
            max_depth=checks.count("max_depth", max_depth, 0, DEPTH_MAX),
            depth_first=depth_first,
            direction=_direction(direction),
            edge_type=_code(edge_type),
        )
        pinned = self._home.engine.pinned()
        visits = Visits(pinned.ask(asked).value, self._home, pinned)
        if filter_fn is None:
            return visits
        kept = [visit for visit in visits if filter_fn(visit.node)]
        return Visits(Traversal([visit.id for visit in kept], [visit.depth for visit in kept]), self._home, pinned)


def _direction(given: str) -> str:
    return checks.one_of("direction", given, DIRECTIONS)


def _code(edge_type: EdgeType | str | None) -> int | None:
    return None if edge_type is None else EdgeType.of(edge_type).code
