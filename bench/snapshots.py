"""What snapshots save and cost, as ratios within one run.

A store of random texts with links is opened from a snapshot and by replay, a snapshot is written after 1 % of it
changed, and remembering is timed with and without a snapshot being written beside it.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Final

from bench import corpus
from bench.goals import Row
from memorygraph import AgentMemory

LINKS: Final = 3  # per memory
ROUNDS: Final = 5
WRITES: Final = 500
_OPEN = """
import sys
from time import perf_counter
from memorygraph import AgentMemory
start = perf_counter()
with AgentMemory(sys.argv[1], read_only=True) as memory:
    memory.recall(sys.argv[2])
    print(perf_counter() - start)
"""


def fill(store: Path, nodes: int) -> None:
    """Make a store of texts with vectors of 256 dimensions and links."""
    dice = random.Random(1)
    with AgentMemory(store) as memory:
        ids: list[str] = []
        for first in range(0, nodes, 1000):
            texts = [corpus.text(number) for number in range(first, min(first + 1000, nodes))]
            ids += [node.id for node in memory.remember_many(texts, associate=False)]
            memory.link_many([tuple(dice.sample(ids, 2)) for _ in range(LINKS * len(texts))])
        memory.snapshot()


def without_snapshots(store: Path) -> Path:
    """Return a copy of a store that has none."""
    bare = store.with_name("bare")
    shutil.rmtree(bare, ignore_errors=True)
    shutil.copytree(store, bare, ignore=shutil.ignore_patterns("snapshots"))
    return bare


def reopening(store: Path) -> tuple[float, float]:
    """Return the seconds to open and recall once in a fresh process, from the snapshot and by replay."""
    with_snapshot = [_open_s(store, number) for number in range(ROUNDS)]
    bare = without_snapshots(store)
    return median(with_snapshot), median(_open_s(bare, number) for number in range(2))


def second_snapshot(store: Path) -> tuple[int, int]:
    """Return the bytes that a snapshot writes after 1 % of the memories came or were revised, and of all of it."""
    with AgentMemory(store) as memory:
        nodes = len(memory)
        ids = memory._engine._shard.frame.interner.ids
        some = random.Random(2).sample(ids, nodes // 200)
        memory.remember_many([corpus.text(nodes + number) for number in range(nodes // 200)], associate=False)
        memory.revise_many({"id": node_id, "importance": 0.75} for node_id in some)
        saved = memory.snapshot()
    return saved.written_bytes, saved.size_bytes


def writers_p99(store: Path) -> tuple[float, float]:
    """Return the p99 seconds of remembering durably while full snapshots are written beside it, and without."""
    place = without_snapshots(store)
    idle: list[float] = []
    during: list[float] = []
    with AgentMemory(place, auto_associate=False) as memory:
        memory.recall(corpus.question(0))  # so that the index has what the snapshot keeps of it
        snapshots, numbers = memory._engine._snapshots, count(len(memory))
        while len(during) < WRITES:  # in turns, so that a slow moment of the machine meets both
            shutil.rmtree(place / "snapshots", ignore_errors=True)  # so that all is written
            memory._engine._saver.begin()
            while snapshots.is_writing:
                during.append(_remember_s(memory, next(numbers)))
            idle += [_remember_s(memory, next(numbers)) for _ in range(len(during) - len(idle))]
    return _p99(during), _p99(idle)


def snapshot_rows(place: Path, nodes: int) -> list[Row]:
    """Measure everything in an empty folder."""
    store = place / "store"
    fill(store, nodes)
    opened_s, replayed_s = reopening(store)
    written_bytes, size_bytes = second_snapshot(store)
    during_s, idle_s = writers_p99(store)
    name = f"{nodes:,} memories of 256 dimensions"
    return [
        _row(f"open and recall {name}; against by replay", "s", opened_s, "snapshot-open", replayed_s),
        _row("bytes that a snapshot writes after a change of 1 %", "x", written_bytes / size_bytes, "snapshot-bytes"),
        _row("the 99th percentile of remembering beside a snapshot", "x", during_s / idle_s, "p99-snapshot"),
        _row("remembering alone, 99th percentile", "ms", idle_s * 1e3),
        _row(f"a snapshot of {name}", "MiB", size_bytes / (1 << 20)),
    ]


def _row(name: str, unit: str, ours: float, goal: str | None = None, peer: float | None = None) -> Row:
    return Row(section="snapshots", name=name, unit=unit, ours=ours, goal=goal, peer=peer)


def _open_s(store: Path, number: int) -> float:
    command = [sys.executable, "-c", _OPEN, store, corpus.question(number)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _remember_s(memory: AgentMemory, number: int) -> float:
    start = perf_counter()
    memory.remember(corpus.text(number))
    return perf_counter() - start


def _p99(taken: list[float]) -> float:
    return quantiles(taken, n=100)[98]
