"""The measured process: one memory of one package, driven by JSON lines on stdin, answering on stdout.

It runs in either package's environment, both of which are imported as ``memorygraph`` and have these names in common;
so it uses nothing but the standard library, and nothing private.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import resource
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import packages_distributions, version
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np

import memorygraph
from bench import corpus
from bench.walk_work import WalkWork

DIM: Final = 256
BATCH: Final = 1000
WAKE_S: Final = 0.02
IN_A_ROW: Final = 10  # batches of edges, as who adds many at once sends them
PAGE_BYTES: Final = resource.getpagesize()


class Work(WalkWork):
    """What is measured, as the older package does it: one by one."""

    def __init__(self) -> None:
        self.memory: Any = memorygraph.AgentMemory(embedding_dim=DIM)
        self.graph: Any = self.memory.graph
        self.ids: list[str] = []
        self._embed = memorygraph.HashingEmbedder(DIM)
        self._made = 0  # texts so far
        self._asked = 0
        self._drawn = 0

    def hello(self) -> dict[str, str]:
        """Say which package this is, and what it runs on."""
        distribution = packages_distributions()["memorygraph"][0]
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return {
            "distribution": distribution,
            "version": version(distribution),
            "file": str(memorygraph.__file__),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "blas": f"{blas['name']} {blas['version']}",
        }

    def fill(self, nodes: int, *, bare: bool = False) -> None:
        """Grow to this many nodes, with texts and vectors or ``bare``."""
        while len(self.ids) < nodes:
            count = min(BATCH, nodes - len(self.ids))
            self.put_nodes(self._bare_nodes(count) if bare else self._nodes(count))

    def add(self, count: int) -> list[float]:
        """Add nodes with text and vector one by one; seconds of each."""
        return _each_s(self.graph.add_node, self._nodes(count))

    def add_nodes(self, count: int) -> list[float]:
        """Add a batch of nodes with text and vector; seconds per node."""
        return _per_item_s(self.put_nodes, [self._nodes(count)])

    def add_edges(self, count: int) -> list[float]:
        """Add batches of edges in a row; seconds per edge of each."""
        return _per_item_s(self.put_edges, [self._edges(count) for _ in range(IN_A_ROW)])

    def link(self, count: int) -> list[float]:
        """Add batches of edges that are not made yet, in a row; seconds per edge of each."""
        return _per_item_s(self.put_links, [self._links(count) for _ in range(IN_A_ROW)])

    def remember(self, count: int) -> list[float]:
        """Remember texts, each linked to similar ones; seconds of each."""
        return _each_s(self.memory.remember, islice(self._texts(), count))

    def recall(self, count: int) -> list[float]:
        """Ask for ten memories; seconds of each."""
        return _each_s(lambda asked: self.memory.recall(asked, k=10), self._questions(count))

    def similar(self, count: int) -> list[float]:
        """Ask for the twenty nearest nodes of a vector; seconds of each."""
        vectors = [self._embed(asked) for asked in self._questions(count)]
        return _each_s(lambda vector: self.graph.similarity_search(vector, k=20), vectors)

    def retain(self, count: int) -> list[float]:
        """Ask how much is left of every memory; seconds of each time."""
        return _each_s(lambda graph: [node.retention() for node in graph], [self.graph] * count)

    def files(self, folder: str, passes: int) -> dict[str, list[float]]:
        """Save the graph to an SQLite file and load it; seconds of each time."""
        path = str(Path(folder, "graph.db"))
        manager = memorygraph.GraphStorageManager(backend="sqlite")
        taken: dict[str, list[float]] = {"save": [], "load": []}
        for _ in range(passes):
            taken["save"] += _each_s(lambda graph: manager.save(graph, path), [self.graph])
            taken["load"] += _each_s(manager.load, [path])
        return taken

    def learn(self, texts: list[str]) -> float:
        """Remember texts one by one; seconds in all."""
        taken = _each_s(lambda text: self.ids.append(self.memory.remember(text).id), texts)
        return sum(taken)

    def answers(self, questions: list[str], method: str, depth: int) -> dict[str, list[Any]]:
        """Ask by ``recall`` or ``reason``: the places of the hits among what was learnt, and the seconds of each."""
        place_of = {node_id: place for place, node_id in enumerate(self.ids)}
        ask = getattr(self.memory, method)
        found: list[list[int]] = []
        taken = _each_s(lambda asked: found.append([place_of[hit.node_id] for hit in ask(asked, k=depth)]), questions)
        return {"rankings": found, "taken_s": taken}

    def edges(self) -> int:
        """Count the edges."""
        return int(self.graph.edge_count)

    def put_nodes(self, nodes: list[Any]) -> None:
        """Add nodes."""
        for node in nodes:
            self.graph.add_node(node)

    def put_edges(self, edges: list[Any]) -> None:
        """Add edges."""
        for edge in edges:
            self.graph.add_edge(edge)

    def put_links(self, links: list[Any]) -> None:
        """Make edges of (source, target, type, weight) and add them."""
        for source, target, edge_type, weight in links:
            self.graph.add_edge(memorygraph.MemoryEdge(source, target, edge_type, weight))

    def rss_bytes(self) -> int:
        """Return the memory of this process: now, or its peak where the system does not tell."""
        statm = Path("/proc/self/statm")
        if statm.exists():
            return int(statm.read_text().split()[1]) * PAGE_BYTES
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def _texts(self) -> Iterable[str]:
        while True:
            self._made += 1
            yield corpus.text(self._made)

    def _questions(self, count: int) -> list[str]:
        self._asked += count
        return [corpus.question(number) for number in range(self._asked - count, self._asked)]

    def _nodes(self, count: int) -> list[Any]:
        texts = islice(self._texts(), count)
        return self._noted([memorygraph.MemoryNode(text, embedding=self._embed(text)) for text in texts])

    def _bare_nodes(self, count: int) -> list[Any]:
        return self._noted([memorygraph.MemoryNode("") for _ in range(count)])

    def _noted(self, nodes: list[Any]) -> list[Any]:
        self.ids += [node.id for node in nodes]
        return nodes

    def _edges(self, count: int) -> list[Any]:
        return [memorygraph.MemoryEdge(*link) for link in self._links(count)]

    def _links(self, count: int) -> list[Any]:
        """Source, target, type and weight of edges between two different nodes each, drawn evenly."""
        dice = np.random.default_rng(self._drawn)
        self._drawn += 1
        nodes = len(self.ids)
        sources = dice.integers(0, nodes, size=count)
        targets = (sources + dice.integers(1, nodes, size=count)) % nodes
        return [
            (self.ids[source], self.ids[target], memorygraph.EdgeType.ASSOCIATION, weight)
            for source, target, weight in zip(sources, targets, dice.random(count).tolist(), strict=True)
        ]


def _each_s(call: Callable[[Any], Any], items: Iterable[Any]) -> list[float]:
    taken = []
    _wake()
    for item in list(items):
        start = perf_counter()
        call(item)
        taken.append(perf_counter() - start)
    return taken


def _wake() -> None:
    """Keep the processor busy for a moment: one that has waited for its turn runs at two thirds of its speed at first.

    Measured: rounds of 25 calls of 75 us took 73 us a call or 112, by chance; after 10 ms of work nearly always 74.
    """
    end_s = perf_counter() + WAKE_S
    while perf_counter() < end_s:
        pass


def _per_item_s(call: Callable[[list[Any]], Any], batches: list[list[Any]]) -> list[float]:
    taken = _each_s(call, batches)
    return [seconds / len(batch) for seconds, batch in zip(taken, batches, strict=True)]


def work_here() -> Work:
    """Return what this environment can be asked: more where ``memorygraph`` is ours."""
    if importlib.util.find_spec("memorygraph.actors") is None:
        return Work()
    from bench.own import OwnWork

    return OwnWork()


def serve() -> None:
    """Answer requests ``{"do": name, "args": {...}}`` until stdin ends; what others print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    work = work_here()
    for line in sys.stdin:
        request = json.loads(line)
        value = getattr(work, request["do"])(**request["args"])
        print(json.dumps(value), file=answers, flush=True)
