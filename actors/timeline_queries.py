"""What can be asked about when memories happened and were recalled, and how a Frame answers."""

from __future__ import annotations

from memorygraph.actors.commands import Query
from memorygraph.projections.frame import Frame, NodeState
from memorygraph.projections.timeline import BOTH, Between, counted, moments


class Timeline(Query, frozen=True, kw_only=True):
    """Moments in the order of time -> ``list[tuple[NodeState, int, bool]]``: a memory, when, whether it was recalled.

    ``last``: only so many, the latest.
    """

    kind: str = BOTH
    between: Between = Between()
    last: int | None = None


class Histogram(Query, frozen=True, kw_only=True):
    """How many moments each bucket of time has -> ``list[tuple[int, int]]``: its start (microseconds), count."""

    bucket: str
    kind: str = BOTH
    between: Between = Between()


def timeline_of(frame: Frame, query: Timeline) -> list[tuple[NodeState, int, bool]]:
    """Return the moments that are asked for."""
    found = moments(frame, query.kind, query.between)
    first = 0 if query.last is None else max(0, len(found.rows) - query.last)
    columns = (column[first:].tolist() for column in found)
    return [
        (frame.node(row, vector=False), time_us, is_access) for row, time_us, is_access in zip(*columns, strict=True)
    ]


def histogram_of(frame: Frame, query: Histogram) -> list[tuple[int, int]]:
    """Return the counts that are asked for."""
    return counted(moments(frame, query.kind, query.between).times_us, query.bucket)
