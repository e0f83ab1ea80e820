"""What only this package is asked: batches, durable writes, bytes by part, replay of the log."""

from __future__ import annotations

import gc
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench.own_search import SearchWork
from bench.walk_work import EDGES_PER_NODE
from bench.worker import BATCH, DIM, Work, _each_s
from memorygraph import AgentMemory, GraphStorageManager, MemoryGraph, MemoryNode
from memorygraph.actors.local import LocalEngine
from memorygraph.decay.forgetting import retentions
from memorygraph.events.log import EventLog
from memorygraph.events.records import EdgesAdded
from memorygraph.projections.components import grouped, strong_labels


class OwnWork(SearchWork, Work):
    """What is measured, with this package's batches; and what the older one has no counterpart for."""

    def put_nodes(self, nodes: list[Any]) -> None:
        """Add nodes in one call."""
        self.graph.add_nodes(nodes)

    def put_edges(self, edges: list[Any]) -> None:
        """Add edges in one call."""
        self.graph.add_edges(edges)

    def put_links(self, links: list[Any]) -> None:
        """Add edges in one call, without making objects of them."""
        self.graph.add_edges(links)

    def edges(self) -> int:
        """Count the edges."""
        return int(self.memory.stats().num_edges)

    def recall(self, count: int) -> list[float]:
        """Ask for ten memories; what recording the recalls costs later is shared out among them."""
        taken = super().recall(count)
        flush_s = _each_s(lambda memory: memory.flush(), [self.memory])[0]
        return [seconds + flush_s / count for seconds in taken]

    def retain(self, count: int) -> list[float]:
        """Ask how much is left of every memory, all at once; seconds of each time."""
        return _each_s(retentions, [self.graph] * count)

    def big_file(self, folder: str, nodes: int, dim: int) -> dict[str, float]:
        """Save a graph of random vectors to an SQLite file and load it; seconds of each."""
        dice = np.random.default_rng(0)
        graph = MemoryGraph(dim)
        for first in range(0, nodes, BATCH):
            vectors = dice.standard_normal((min(BATCH, nodes - first), dim)).astype(np.float32)
            graph.add_nodes([MemoryNode(f"note {at}", embedding=row) for at, row in enumerate(vectors, first)])
        path, manager = str(Path(folder, "graph.db")), GraphStorageManager("sqlite")
        saved = _each_s(lambda graph: manager.save(graph, path), [graph])[0]
        del graph
        return {"save": saved, "load": _each_s(lambda path: len(manager.load(path)), [path])[0]}

    def components(self, passes: int) -> dict[str, list[float]]:
        """Find the strongly connected components; seconds of each pass, in Python and, where SciPy is, compiled."""
        frame = self.memory._engine._current()
        ways = {"python": False} | ({"compiled": True} if find_spec("scipy") else {})
        return {
            name: _each_s(lambda way: grouped(frame, strong_labels(frame, compiled=way)), [way] * passes)
            for name, way in ways.items()
        }

    def durable(self, directory: str, batches: int, count: int) -> list[dict[str, float]]:
        """Add batches of nodes with text and vector to a store on disk, and sync the same bytes bare after each.

        Returns:
            for each batch ``write_s`` (until it is durable), ``sync_s`` (its bytes written and synced over zeros that
            are on the disk already) and ``frame_bytes``.
        """
        measured = []
        store = Path(directory, "store")
        bare = os.open(Path(directory, "bare"), os.O_RDWR | os.O_CREAT, 0o600)
        with AgentMemory(path=store, embedding_dim=DIM) as memory:
            memory.graph.add_nodes(self._nodes(count))  # declares the vector space, makes the first segment
            for _ in range(batches):
                write_s = _each_s(memory.graph.add_nodes, [self._nodes(count)])[0]
                frame = next(iter(memory._engine.frames(memory.position)))
                measured.append({"write_s": write_s, "sync_s": _bare_sync_s(bare, frame), "frame_bytes": len(frame)})
        os.close(bare)
        return measured

    def node_bytes(self, nodes: int) -> list[tuple[int, float]]:
        """Grow to ``nodes`` bare nodes: (nodes, bytes of columns and ids per node), also after dictionary resizes."""
        before = self._bytes("columns", "ids")
        measured = []
        for size in sorted({*range(BATCH, nodes + 1, BATCH), *dictionary_resizes(nodes), nodes}):
            self.fill(size, bare=True)
            measured.append((size, (self._bytes("columns", "ids") - before) / size))
        return measured

    def edge_bytes(self, count: int) -> dict[str, float]:
        """Add edges: bytes per edge of the columns and both directions, and of the columns that identify edges."""
        adjacency, ids = self._bytes("adjacency"), self._bytes("ids")
        for _ in range(0, count, BATCH):
            self.put_edges(self._edges(BATCH))
        self.graph.neighbors(self.ids[0])  # takes what was added into the index of both directions
        added = self.edges()
        return {
            "adjacency": (self._bytes("adjacency") - adjacency) / added,
            "identity": (self._bytes("ids") - ids) / added,
            "edges": added,
        }

    def replay(self, mix: str, size: int, passes: int) -> dict[str, Any]:
        """Record a history and rebuild the memory from it ``passes`` times, as opening it does.

        Args:
            mix: "singles" (``size`` texts remembered one by one, with their links), or "mix" (2 ``size`` nodes
                without and 2 ``size`` with vectors in batches of 1,000, 5 ``size`` edges in batches of 1,000, and
                ``size`` texts remembered one by one).

        Returns:
            records, events, nodes, edges in the log, and ``taken_s`` of each pass.
        """
        if mix == "mix":
            self.fill(2 * size, bare=True)
            self.fill(4 * size)
            for _ in range(0, EDGES_PER_NODE * size, BATCH):
                self.put_edges(self._edges(BATCH))
        self.remember(size)
        log: EventLog = self.memory._engine._log
        counts = self._counts()
        del self.memory, self.graph
        return {**counts, "taken_s": [_replay_s(log) for _ in range(passes)]}

    def _counts(self) -> dict[str, int]:
        records = events = edges = 0
        for committed in self.memory._engine.read(1):
            records += 1
            events += len(committed.events or ())
            edges += sum(len(event.sources) for event in committed.events or () if isinstance(event, EdgesAdded))
        return {"records": records, "events": events, "nodes": len(self.memory), "edges": edges}

    def _bytes(self, *parts: str) -> int:
        found = self.memory.stats().bytes_by_part
        return sum(found[part] for part in parts)


def dictionary_resizes(count: int) -> list[int]:
    """Return the sizes up to ``count`` at which a growing dictionary has just taken more memory."""
    grown: dict[int, None] = {}
    resizes = []
    for key in range(count):
        before = sys.getsizeof(grown)
        grown[key] = None
        if sys.getsizeof(grown) > before:
            resizes.append(key + 1)
    return resizes


def _bare_sync_s(fd: int, data: bytes) -> float:
    offset = os.lseek(fd, 0, os.SEEK_END)
    os.pwrite(fd, bytes(len(data)), offset)
    os.fsync(fd)
    start = perf_counter()
    os.pwrite(fd, data, offset)
    getattr(os, "fdatasync", os.fsync)(fd)
    return perf_counter() - start


def _replay_s(log: EventLog) -> float:
    gc.collect()
    start = perf_counter()
    LocalEngine(log)
    return perf_counter() - start
