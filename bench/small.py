"""Many small memories in one directory tree: what each costs on disk, while idle, and to open."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, sleep
from typing import Final

from bench.goals import Row
from memorygraph import AgentMemory

EVENTS: Final = 20
IDLE_S: Final = 3.0  # longer than a descriptor or the background thread stays
FAN_OUT: Final = 100  # memories to a folder


def small_memories(place: Path, count: int) -> list[Row]:
    """Make ``count`` memories of 20 events, keep all of them open and idle, then open each of some anew."""
    paths = [place / f"{number // FAN_OUT:03}" / f"{number:05}" for number in range(count)]
    kept = []
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        memory = AgentMemory(path=path, auto_associate=False)
        for number in range(EVENTS - 1):  # its creation is the first event
            memory.remember(f"agent {path.name} met number {number} on the stairs")
        kept.append(memory)
    sleep(IDLE_S)
    descriptors, threads = _open_files(place), threading.active_count() - 1
    for memory in kept:
        memory.close()
    size_bytes = max(sum(_allocated_bytes(path)) for path in paths)
    opened_s = []
    for path in paths[:: max(1, count // 200)]:
        begun = perf_counter()
        memory = AgentMemory(path=path, auto_associate=False)
        opened_s.append(perf_counter() - begun)
        memory.close()
    name = f"{count:,} memories of {EVENTS} events"
    return [
        _row(f"{name}: the largest on disk", "KiB", size_bytes / 1024, "small-bytes"),
        _row(f"{name}, open and idle: their descriptors", "files", descriptors, "small-files"),
        _row(f"{name}, open and idle: their threads", "threads", threads, "small-threads"),
        _row(f"{name}: opening one, median", "ms", median(opened_s) * 1e3, None),
        _row(f"{name}: opening one, 99 of 100", "ms", quantiles(opened_s, n=100)[98] * 1e3, "small-open"),
    ]


def _open_files(place: Path) -> int:
    """Count this process's descriptors below a folder (0 where the system does not tell)."""
    links = Path("/proc/self/fd")
    targets = [link.readlink() for link in links.iterdir() if link.is_symlink()] if links.exists() else []
    return sum(target.is_relative_to(place) for target in targets)


def _allocated_bytes(folder: Path) -> Iterator[int]:
    """Give what each file below a folder takes on the disk."""
    for at, _, files in os.walk(folder):
        for file in files:
            yield Path(at, file).stat().st_blocks * 512


def _row(name: str, unit: str, value: float, goal: str | None) -> Row:
    return Row(section="small", name=name, unit=unit, ours=value, goal=goal)
