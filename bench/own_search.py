"""What this package is asked about vector search, beside the bare product of the same numbers in the same process."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import numpy as np

from memorygraph import MemoryGraph, MemoryNode
from memorygraph.projections.faiss_index import FaissIndex
from memorygraph.projections.similarity import nearest, nearest_each

DIM: Final = 256
K: Final = 20
BATCH: Final = 32
SHARES: Final = (0.9, 0.5, 0.2, 0.1, 0.01, 0.001)  # of the nodes that pass a filter
NEARLY: Final = 1e-5  # single precision sums of another order


class SearchWork:
    """Search among random vectors, in turns with what it is compared to, so that noise hits all alike."""

    def similar_turns(self, nodes: int, rounds: int) -> dict[str, list[float]]:
        """Seconds of each search: ``bare`` (matrix times vector), ``graph``, each share, ``batch`` and ``single``.

        Raises:
            AssertionError: a filtered search did not find exactly what there is.
        """
        vectors, graph = _graph_of(nodes)
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        shard = graph._home.engine._shard
        frame, norms, faiss = shard.frame, shard.index(shard.frame).norms, FaissIndex()
        queries = np.random.default_rng(1).standard_normal((rounds + 1, DIM)).astype(np.float32)
        batches = np.random.default_rng(2).standard_normal((BATCH, DIM)).astype(np.float32)
        turns: dict[str, Callable[[Any], Any]] = {
            "bare": lambda query: units @ query,
            "graph": lambda query: graph.similarity_search(query, k=K, threshold=-1.0),
            **{f"{share}": _filtered(graph, share, units) for share in SHARES},
            "single": lambda query: nearest(frame, norms, query, K),
            "batch": lambda _: nearest_each(frame, norms, batches, K, -1.0),
            "faiss": lambda query: faiss.nearest(frame, norms, query, K),
        }
        taken: dict[str, list[float]] = {name: [] for name in turns}
        for number, query in enumerate(queries):
            for name, call in list(turns.items())[:: 1 if number % 2 else -1]:
                begun = perf_counter()
                call(query)
                if number:  # in the first round indexes and caches are made
                    taken[name].append((perf_counter() - begun) / (BATCH if name == "batch" else 1))
        return taken


def _filtered(graph: MemoryGraph, share: float, units: Any) -> Callable[[Any], Any]:
    """Return a search among a share of the nodes, after a look at what it finds."""
    tag = f"{share}"
    passing = np.array([int(node.id) for node in graph.query_by_tag(tag)], dtype=np.int64)
    query = units[0]
    found = graph.similarity_search(query, k=K, threshold=-1.0, tags=[tag])
    exact = np.sort(units[passing] @ query)[::-1][:K]
    assert len(found) == len(exact) == min(K, len(passing))
    assert np.abs(np.array([result.score for result in found]) - exact).max(initial=0.0) < NEARLY
    return lambda query: graph.similarity_search(query, k=K, threshold=-1.0, tags=[tag])


def _graph_of(nodes: int) -> tuple[Any, MemoryGraph]:
    """Return random vectors, shape (nodes, DIM), and a graph of them, each share under a tag of its own."""
    dice = np.random.default_rng(0)
    vectors = dice.standard_normal((nodes, DIM)).astype(np.float32)
    drawn = dice.random((nodes, len(SHARES)))
    graph = MemoryGraph(DIM)
    for first in range(0, nodes, 1000):
        graph.add_nodes(
            [
                MemoryNode(
                    embedding=vectors[at],
                    node_id=str(at),
                    tags=[f"{share}" for share, number in zip(SHARES, drawn[at], strict=True) if number < share],
                )
                for at in range(first, min(nodes, first + 1000))
            ]
        )
    return vectors, graph
