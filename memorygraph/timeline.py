"""``MemoryTimeline``: when memories happened, and when they were recalled.

Time is event time (``occurred_at``), which is the time of recording where nothing else was said.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from memorygraph import checks
from memorygraph.actors.commands import Summary
from memorygraph.actors.timeline_queries import Histogram, Timeline
from memorygraph.core.graph import HasGraph, MemoryGraph, graph_in
from memorygraph.core.node import MemoryNode
from memorygraph.events.types import MemoryType
from memorygraph.projections.timeline import ACCESSED, BOTH, BUCKETS, CREATED, KINDS, Between
from memorygraph.times import TimeLike, to_seconds, to_text, to_us


class TimelineEvent(Struct, frozen=True):
    """A memory that happened ("created") or was recalled ("accessed") at a time, in Unix seconds."""

    node: MemoryNode
    kind: str
    time: float

    @property
    def node_id(self) -> str:
        """The memory's id."""
        return self.node.id

    @property
    def content(self) -> str:
        """The memory's text."""
        return self.node.content

    @property
    def memory_type(self) -> MemoryType:
        """What kind of memory it is."""
        return self.node.memory_type

    @property
    def iso(self) -> str:
        """The time as text, UTC."""
        return to_text(round(self.time * 1e6))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {
            "node_id": self.node_id,
            "content": self.content,
            "memory_type": self.memory_type.value,
            "kind": self.kind,
            "time": self.time,
            "iso": self.iso,
        }


class MemoryTimeline:
    """The memories of a graph by time.

    Args:
        graph: a ``MemoryGraph``, or the ``AgentMemory`` that has one. A view of an agent, or of the past, shows what
            that one sees.

    Raises:
        InputError: by each method, of a value that cannot be used; ``TimeFormatError`` of a time.
    """

    def __init__(self, graph: MemoryGraph | HasGraph) -> None:
        self._graph = graph_in(graph)
        self._home = self._graph._home

    def events(
        self, kind: str = BOTH, start: TimeLike | None = None, end: TimeLike | None = None
    ) -> list[TimelineEvent]:
        """Return what happened and was recalled, earliest first.

        Args:
            kind: "created", "accessed" (the last 128 recalls of each memory are known) or "both".
            start, end: only in this time, both ends included.
        """
        return self._events(Timeline(kind=_kind(kind), between=_between(start, end)))

    def recent(self, count: int = 10, kind: str = CREATED) -> list[TimelineEvent]:
        """Return the memories that happened last, the latest first."""
        last = checks.count("count", count, 0, 2**31)
        return self._events(Timeline(kind=_kind(kind), last=last))[::-1]

    def histogram(
        self,
        bucket: str = "day",
        kind: str = CREATED,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
    ) -> list[dict[str, Any]]:
        """Return ``{"iso": start, "count": n}`` of each stretch of time that has any, earliest first.

        Args:
            bucket: "minute", "hour", "day", "week" (from Monday) or "month", in UTC.
        """
        asked = Histogram(
            bucket=checks.one_of("bucket", bucket, BUCKETS), kind=_kind(kind), between=_between(start, end)
        )
        found: list[tuple[int, int]] = self._home.engine.ask(asked).value
        return [{"iso": to_text(start_us), "count": count} for start_us, count in found]

    def busiest_bucket(self, bucket: str = "day", kind: str = CREATED) -> dict[str, Any] | None:
        """Return the stretch of time that has most, the earliest of several; None if there is none."""
        return max(self.histogram(bucket, kind), key=lambda found: found["count"], default=None)

    def span(self) -> tuple[float, float] | None:
        """Return when the earliest and the latest memory happened, in Unix seconds; None if there is none."""
        events = self._home.engine.ask(Histogram(bucket="minute", kind=CREATED)).value
        if not events:
            return None
        first = self._events(Timeline(kind=CREATED, between=Between(end_us=events[0][0] + 60_000_000)))[0]
        return first.time, self.recent(1)[0].time

    def activity_by_type(self) -> dict[str, int]:
        """Return how many memories there are of each type."""
        counts: dict[int, int] = self._home.engine.ask(Summary(bytes_too=False)).value.types
        return {MemoryType.from_code(code).value: count for code, count in sorted(counts.items())}

    def to_dict(self, bucket: str = "day") -> dict[str, Any]:
        """Return the whole as plain data for JSON: span, histogram, types, and what happened last."""
        span = self.span()
        return {
            "bucket": bucket,
            "span": None if span is None else list(span),
            "histogram": self.histogram(bucket),
            "activity_by_type": self.activity_by_type(),
            "recent": [event.to_dict() for event in self.recent()],
        }

    def __len__(self) -> int:
        return len(self._graph)

    def _events(self, asked: Timeline) -> list[TimelineEvent]:
        answer = self._home.engine.ask(asked)
        return [
            TimelineEvent(
                MemoryNode._view(state, self._home, answer.position),
                ACCESSED if is_access else CREATED,
                to_seconds(time_us),
            )
            for state, time_us, is_access in answer.value
        ]


def _kind(kind: str) -> str:
    return checks.one_of("kind", kind, KINDS)


def _between(start: TimeLike | None, end: TimeLike | None) -> Between:
    return Between(None if start is None else to_us(start), None if end is None else to_us(end))
