"""What compaction and backup cost the writers beside them, and what compaction saves: ``python -m bench.compaction``.

Figures are ratios taken in one run: the 99th percentile of a durable write while the other work goes on, to that of the
same writes just before, alone. The median of several rounds is given.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, time_ns
from typing import Any, Final

from memorygraph import AgentMemory, MemoryNode, RetentionPolicy
from memorygraph.events.records import AccessesRecorded, NodeAdded, NodesForgotten, Record, encode_record, pack_event
from memorygraph.events.stores import SegmentLog

NOTES: Final = 20_000
RECALLS: Final = 20_000
FORGOTTEN: Final = 5_000
HOT: Final = 500  # notes that are recalled again and again
IDLE_S: Final = 3.0
TEXT: Final = "what was said in about three hundred bytes, as notes of agents often are " * 4
EVERYTHING: Final = RetentionPolicy(keep_accesses=timedelta(0), keep_forgotten=timedelta(0))
_RECORDS_PER_FRAME: Final = 200


def fill(path: Path, notes: int, recalls: int, forgotten: int) -> None:
    """Write a log of notes, of recalls of five of the first ones each, and of notes that were forgotten."""
    AgentMemory(path).close()
    log = SegmentLog.open(path)
    dice = random.Random(1)
    now_us = time_ns() // 1000
    ids = [f"note{n}" for n in range(notes)]
    events: list[Any] = [NodeAdded(id=one, content=f"{one}: {TEXT}") for one in ids]
    events += [NodeAdded(id=f"gone{n}", content=f"gone{n}: {TEXT}") for n in range(forgotten)]
    events += [AccessesRecorded(ids=tuple(dice.sample(ids[:HOT], 5)), times_us=(now_us,) * 5) for _ in range(recalls)]
    events.append(NodesForgotten(ids=tuple(f"gone{n}" for n in range(forgotten))))
    for start in range(0, len(events), _RECORDS_PER_FRAME):
        records = [
            encode_record(Record(f"c{start + n}", b"", "", {}, now_us, 0, None, "", (pack_event(event),)))
            for n, event in enumerate(events[start : start + _RECORDS_PER_FRAME])
        ]
        with log.lock():
            log.append(records, now_us)
    log.close()


def writes_s(memory: AgentMemory, is_over: Callable[[], bool]) -> list[float]:
    """Write one small memory after the other until it is over; give the seconds that each took."""
    taken = []
    while not is_over():
        node = MemoryNode(content=TEXT)
        started = perf_counter()
        memory.graph.add_node(node)
        taken.append(perf_counter() - started)
    return taken


def alone(memory: AgentMemory, seconds: float) -> list[float]:
    """Write for some seconds with nobody else at work."""
    end = perf_counter() + seconds
    return writes_s(memory, lambda: perf_counter() > end)


def beside(memory: AgentMemory, work: Callable[[], Any]) -> list[float]:
    """Write while other work goes on in a thread."""
    thread = threading.Thread(target=work)
    thread.start()
    taken = writes_s(memory, lambda: not thread.is_alive())
    thread.join()
    return taken


def p99(taken: list[float]) -> float:
    """The 99th percentile."""
    return quantiles(taken, n=100)[98] if len(taken) > 1 else taken[0]


def bytes_left(notes: int = NOTES, recalls: int = RECALLS, forgotten: int = FORGOTTEN) -> float:
    """Compact with nobody else at work, and give the bytes of the log after it to those before."""
    with tempfile.TemporaryDirectory(prefix="bench-compaction-") as made:
        fill(Path(made), notes, recalls, forgotten)
        with AgentMemory(made) as memory:
            report = memory.compact(EVERYTHING)
    return report.bytes_after / report.bytes_before


def measure(rounds: int = 3, notes: int = NOTES, recalls: int = RECALLS, forgotten: int = FORGOTTEN) -> dict[str, Any]:
    """Measure compaction and backup in several rounds, each on a store of its own."""
    found: dict[str, list[float]] = {name: [] for name in ("compact", "backup", "idle_ms", "compact_s", "backup_s")}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="bench-compaction-") as made:
            store = Path(made) / "store"
            fill(store, notes, recalls, forgotten)
            with AgentMemory(store) as memory:
                _measure_one(memory, Path(made), found)
    return {
        "fold_p99_ratio": median(found["compact"]),
        "backup_p99_ratio": median(found["backup"]),
        "idle_p99_ms": median(found["idle_ms"]),
        "bytes_left_ratio": bytes_left(notes, recalls, forgotten),
        "compact_s": median(found["compact_s"]),
        "backup_s": median(found["backup_s"]),
        "rounds": rounds,
        "notes": notes,
        "recalls": recalls,
        "forgotten": forgotten,
    }


def _measure_one(memory: AgentMemory, made: Path, found: dict[str, list[float]]) -> None:
    alone(memory, IDLE_S / 3)  # warms up
    works: dict[str, Callable[[], Any]] = {
        "backup": lambda: memory.backup(made / "backup"),
        "compact": lambda: memory.compact(EVERYTHING),
    }
    for name, work in works.items():
        idle = p99(alone(memory, IDLE_S))
        started = perf_counter()
        busy = p99(beside(memory, work))
        found[f"{name}_s"].append(perf_counter() - started)
        found[name].append(busy / idle)
        found["idle_ms"].append(idle * 1e3)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.rounds)
    if options.json:
        print(json.dumps(figures))
        return
    print(f"a write beside compaction, p99:  {figures['fold_p99_ratio']:.2f} x alone  (goal: at most 3)")
    print(f"a write beside a backup, p99:    {figures['backup_p99_ratio']:.2f} x alone  (goal: at most 3)")
    print(f"a write alone, p99:              {figures['idle_p99_ms']:.2f} ms")
    print(f"bytes left by compaction:        {figures['bytes_left_ratio']:.2f} of those before")
    print(f"compaction took {figures['compact_s']:.1f} s, the backup {figures['backup_s']:.1f} s, beside a writer")


if __name__ == "__main__":
    main()
