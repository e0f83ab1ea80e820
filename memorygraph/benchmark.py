"""How fast this package is on this machine: ``run_all(sizes=[1000]).to_markdown()``.

Everything runs in one thread's calls, on the CPU, with the default ``HashingEmbedder``; texts are made, the same each
time. For comparisons with other packages and with what the machine could do, see ``python -m bench.memory``.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count, islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct

from memorygraph import checks
from memorygraph.agent import AgentMemory
from memorygraph.events.errors import InputError
from memorygraph.persistence.storage import GraphStorageManager

SIZES: Final = (1000,)
SIZE_MAX: Final = 1_000_000
QUESTIONS: Final = 100
BACKENDS: Final = ("json", "sqlite", "pickle")
FILE: Final = "BENCHMARKS.md"
_WHO: Final = ("Ada", "Leyla", "Tomas", "Ines", "Jonas", "Mira", "Oskar", "Priya")
_WHAT: Final = ("repaired the pump", "planned the launch", "read about tides", "lost the key", "met the auditor")
_WHERE: Final = ("in the harbour", "at the library", "on the roof", "near the station", "in Istanbul", "by the canal")


class Measurement(Struct, frozen=True, kw_only=True):
    """So many operations of one kind on a memory of so many nodes, and the seconds that they took in all."""

    name: str
    nodes: int
    operations: int
    seconds: float

    @property
    def ops_per_s(self) -> float:
        """Operations per second."""
        return self.operations / max(self.seconds, 1e-9)

    @property
    def ms_per_op(self) -> float:
        """Milliseconds per operation."""
        return 1e3 * self.seconds / self.operations


class BenchmarkReport(Struct, frozen=True, kw_only=True):
    """What was measured, and on what."""

    machine: dict[str, str]
    results: list[Measurement]

    def to_markdown(self) -> str:
        """Return the report as a page with a table."""
        lines = [
            "# Benchmarks",
            "",
            *(f"- {name}: {value}" for name, value in self.machine.items()),
            "",
            "| operation | nodes | ops/s | ms/op |",
            "| --- | ---: | ---: | ---: |",
            *(
                f"| {found.name} | {found.nodes:,} | {found.ops_per_s:,.0f} | {found.ms_per_op:.3f} |"
                for found in self.results
            ),
            "",
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        rates = [{"ops_per_s": found.ops_per_s, "ms_per_op": found.ms_per_op} for found in self.results]
        rows = [{**msgspec.structs.asdict(found), **rate} for found, rate in zip(self.results, rates, strict=True)]
        return {"machine": dict(self.machine), "results": rows}


def run_all(sizes: Sequence[int] = SIZES) -> BenchmarkReport:
    """Measure remember, recall, reason, similarity_search, saving and loading, at each of some sizes.

    Args:
        sizes: numbers of memories, from 1 on. At 1,000 it takes some seconds, and it grows with the size.

    Raises:
        InputError: a size is not such a number.
    """
    wanted = [checks.count("a size", size, 1, SIZE_MAX) for size in checks.several("sizes", sizes)]
    if not wanted:
        raise InputError("there is no size to measure; write sizes=[1000]")
    results = [found for size in wanted for found in _measured(size)]
    machine = {
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }
    return BenchmarkReport(machine=machine, results=results)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python benchmarks/run.py 1000 10000``: print the table of these sizes and write it to ``BENCHMARKS.md``."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        page = run_all([_size(text) for text in given] or SIZES).to_markdown()
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(page)
    Path(FILE).write_text(page, encoding="utf-8")
    return 0


def _measured(size: int) -> Iterable[Measurement]:
    memory = AgentMemory()
    texts = list(islice(_texts(), size))
    questions = texts[:: max(1, size // QUESTIONS)][:QUESTIONS]
    vectors = [np.asarray(memory.embedder(text)) if memory.embedder else None for text in questions]

    def timed(name: str, call: Callable[[Any], Any], items: Sequence[Any]) -> Measurement:
        begun = perf_counter()
        for item in items:
            call(item)
        return Measurement(name=name, nodes=size, operations=len(items), seconds=perf_counter() - begun)

    yield timed("remember", memory.remember, texts)
    memory.recall(texts[0])  # the first one takes the texts into the index
    yield timed("recall, k=10", lambda text: memory.recall(text, k=10), questions)
    yield timed("reason, 2 hops", lambda text: memory.reason(text, hops=2), questions)
    yield timed("similarity_search, k=10", lambda vector: memory.graph.similarity_search(vector, k=10), vectors)
    with tempfile.TemporaryDirectory(prefix="memorygraph-benchmark-") as folder:
        for backend in BACKENDS:
            path, manager = Path(folder) / backend, GraphStorageManager(backend)
            yield timed(f"save, {backend}", partial(manager.save, memory.graph), [path])
            yield timed(f"load, {backend}", manager.load, [path])
    memory.close()


def _texts() -> Iterable[str]:
    """Give texts, all different, that share words."""
    for number in count():
        who, what, where = number % len(_WHO), number // 3 % len(_WHAT), number // 7 % len(_WHERE)
        yield f"{_WHO[who]} {_WHAT[what]} {_WHERE[where]}, as note {number} says"


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"a size must be a whole number, not {checks.shown(text)}")
    return int(text)
