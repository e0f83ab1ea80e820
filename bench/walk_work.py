"""What both packages are asked about walks: over a scale-free graph of degree 10, from the same nodes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any, Final

import memorygraph
from memorygraph.core.types import ConsolidationState

EDGES_PER_NODE: Final = 5  # every edge has two ends: degree 10
BATCH: Final = 1000


class WalkWork:
    """The part of the measured work that walks."""

    graph: Any
    ids: list[str]
    put_nodes: Callable[[list[Any]], None]
    put_edges: Callable[[list[Any]], None]
    _walked = 0

    def grow(self, nodes: int) -> None:
        """Grow to this many bare nodes, settled and important, with links to nodes drawn by their degree."""
        dice = random.Random(nodes)
        state = ConsolidationState.CONSOLIDATED
        for _ in range(0, nodes, BATCH):
            made = [
                memorygraph.MemoryNode("", importance=dice.uniform(0.5, 1.0), consolidation_state=state)
                for _ in range(min(BATCH, nodes - len(self.ids)))
            ]
            self.ids += [node.id for node in made]
            self.put_nodes(made)
        links = scale_free(self.ids, dice)
        for start in range(0, len(links), BATCH):
            edges = [memorygraph.MemoryEdge(*link, directed=False) for link in links[start : start + BATCH]]
            self.put_edges(edges)

    def spread(self, count: int) -> list[float]:
        """Let activation spread from a node, four edges deep, and look at the best twenty; seconds of each."""
        return self._spread(count)

    def spread_whole(self, count: int) -> list[float]:
        """The same without a limit to the nodes that are expanded."""
        return self._spread(count, max_nodes=1 << 30)

    def bfs(self, count: int) -> list[float]:
        """Find what is three edges away; seconds of each."""
        return _each_s(lambda start: len(self.graph.bfs(start, max_depth=3)), self._starts(count))

    def path(self, count: int) -> list[float]:
        """Find the cheapest path between two nodes; seconds of each."""
        pairs = list(zip(self._starts(count), self._starts(count), strict=True))
        return _each_s(lambda pair: self.graph.shortest_path(*pair), pairs)

    def _spread(self, count: int, **config: Any) -> list[float]:
        spreader = memorygraph.SpreadingActivation(
            self.graph, memorygraph.SpreadingConfig(max_depth=4, return_top_k=20, **config)
        )
        return _each_s(lambda start: list(spreader.spread([start])), self._starts(count))

    def _starts(self, count: int) -> list[str]:
        self._walked += 1
        dice = random.Random(self._walked)
        return [dice.choice(self.ids) for _ in range(count)]


def scale_free(ids: list[str], dice: random.Random) -> list[tuple[str, str, Any, float]]:
    """Return five links of each node, to earlier ones drawn by degree (Barabasi & Albert, 1999)."""
    ends = list(range(EDGES_PER_NODE))
    links = []
    for node in range(EDGES_PER_NODE, len(ids)):
        for other in {dice.choice(ends) for _ in range(EDGES_PER_NODE)}:
            links.append((ids[node], ids[other], memorygraph.EdgeType.ASSOCIATION, dice.uniform(0.5, 1.0)))
            ends += (node, other)
    return links


def _each_s(call: Callable[[Any], Any], items: Iterable[Any]) -> list[float]:
    taken = []
    for item in list(items):
        begun = perf_counter()
        call(item)
        taken.append(perf_counter() - begun)
    return taken
