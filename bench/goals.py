"""What must hold, what was measured, and whether it held."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

PASSED: Final = "pass"
FAILED: Final = "FAIL"
NOT_MEASURED: Final = "not measured"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A limit, in the unit of its row: at least it, or at most it."""

    key: str
    section: str
    limit: float
    at_least: bool
    unit: str

    def verdict(self, value: float | None) -> str:
        """Say whether a measured value is good enough; NaN is not."""
        if value is None:
            return NOT_MEASURED
        return PASSED if (value >= self.limit if self.at_least else value <= self.limit) else FAILED

    def margin(self, value: float) -> float:
        """Return how many times better than the limit a value is; below 1 it fails."""
        if self.at_least:
            return value / self.limit
        return self.limit / value if value else math.inf


def _at_least(key: str, section: str, limit: float, unit: str = "x") -> Goal:
    return Goal(key=key, section=section, limit=limit, at_least=True, unit=unit)


def _at_most(key: str, section: str, limit: float, unit: str) -> Goal:
    return Goal(key=key, section=section, limit=limit, at_least=False, unit=unit)


GOALS: Final = (
    _at_least("add-middle", "add", 10),
    _at_least("add-large", "add", 100),
    _at_most("add-flat", "add", 2, "x"),
    _at_least("nodes-batch", "batch", 8),
    _at_least("edges-batch", "batch", 8),
    _at_least("remember-small", "remember", 1),
    _at_least("remember-large", "remember", 3),
    _at_most("durable", "durable", 25, "us"),
    _at_most("edge-bytes", "bytes", 25, "B"),
    _at_most("node-bytes", "bytes", 250, "B"),
    _at_least("replay-singles", "replay", 150_000, "events/s"),
    _at_least("replay-mix", "replay", 150_000, "events/s"),
)
# Of ``bench.log``, under the names that the log's goals have in the design.
LOG_GOALS: Final = (
    _at_least("L1", "single", 0.70),
    _at_least("L2-bare", "batch", 0.90),
    _at_least("L2-sqlite", "batch", 2),
    _at_least("L3-bare", "batch", 0.80),
    _at_least("L3-sqlite", "batch", 2),
    _at_least("L2-clients", "clients", 2),
    _at_least("L2-p99", "clients", 1),
    _at_least("L4", "replay", 0.6),
    _at_most("L5-open", "long", 50, "ms"),
    _at_most("L5-verify", "long", 0.5, "s"),
    _at_most("L5-bytes", "long", 1.05, "x"),
    _at_most("small-bytes", "small", 64, "KiB"),
    _at_most("small-files", "small", 0, "files"),
    _at_most("small-threads", "small", 0, "threads"),
    _at_most("small-open", "small", 20, "ms"),
    _at_most("snapshot-open", "snapshots", 1, "s"),
    _at_most("snapshot-bytes", "snapshots", 0.05, "x"),
    _at_most("p99-snapshot", "snapshots", 3, "x"),
    _at_most("p99-fold", "beside", 3, "x"),
    _at_most("p99-backup", "beside", 3, "x"),
)
# Of ``bench.recall_speed``.
RECALL_GOALS: Final = (
    _at_most("recall-small", "recall", 5, "ms"),
    _at_most("recall-large", "recall", 50, "ms"),
    _at_least("rebuild", "index", 6_000, "memories/s"),
    _at_most("index-bytes", "index", 1_500, "B"),
    _at_least("remember-alone", "remember", 2_000, "memories/s"),
)
# Of ``bench.graph``.
GRAPH_GOALS: Final = (
    _at_least("similar-middle", "similarity", 0.95),
    _at_least("similar-large", "similarity", 0.95),
    _at_least("spread-default", "spread", 20),
    _at_least("spread-whole", "spread", 100),
    _at_least("bfs", "bfs", 8),
    _at_least("path", "path", 20),
    _at_most("components", "components", 15, "s"),
    _at_most("components-compiled", "components", 2, "s"),
    _at_most("similar-limit", "similarity", 1.15, "x"),
    _at_most("filtered", "similarity", 1.5, "x"),
    _at_least("similar-batch", "similarity", 4),
    _at_least("retention", "retention", 100),
    _at_least("sqlite-save", "files", 2),
    _at_least("sqlite-load", "files", 40),
    _at_most("sqlite-big", "files", 10, "s"),
)
BY_KEY: Final = {goal.key: goal for goal in (*GOALS, *LOG_GOALS, *RECALL_GOALS, *GRAPH_GOALS)}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement: ours, the older package's where it has one, and the goal it answers, if any.

    A goal in "x" is about the older package's value divided by ours, unless ``ours`` itself is in "x".
    """

    section: str
    name: str
    unit: str
    ours: float
    peer: float | None = None
    goal: str | None = None

    @property
    def ratio(self) -> float | None:
        """How many times more the older package takes."""
        return None if self.peer is None else self.peer / self.ours

    @property
    def value(self) -> float | None:
        """What the goal is about; None where it was not measured."""
        of_ratio = self.goal is not None and BY_KEY[self.goal].unit == "x" and self.unit != "x"
        return self.ratio if of_ratio else self.ours

    @property
    def verdict(self) -> str | None:
        """Whether the goal is met; None for a row without one."""
        return None if self.goal is None else BY_KEY[self.goal].verdict(self.value)


def failed(rows: list[Row]) -> list[Row]:
    """Return the rows whose goal is missed."""
    return [row for row in rows if row.verdict == FAILED]
