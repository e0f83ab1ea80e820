"""The timeline: when memories happened and when they were recalled, over the columns of a Frame.

What happened lies at its event time (``occurred_us``); a recall at the time of the recall, as far as it is kept (the
last 128 of each memory).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.frame import Frame
from memorygraph.projections.similarity import births

CREATED: Final = "created"
ACCESSED: Final = "accessed"
BOTH: Final = "both"
KINDS: Final = (CREATED, ACCESSED, BOTH)
BUCKETS: Final = ("minute", "hour", "day", "week", "month")
_UNITS: Final = {"minute": "m", "hour": "h", "day": "D", "month": "M"}
_MONDAY: Final = 4  # the first Monday of the epoch, 1970-01-05, counted in days

Ints = NDArray[np.int64]


class Between(Struct, frozen=True):
    """A stretch of time in microseconds, both ends included; None: open."""

    start_us: int | None = None
    end_us: int | None = None


class Moments(NamedTuple):
    """Moments in the order of time: node rows, times in microseconds, and which are recalls, shape (moments,) each."""

    rows: Ints
    times_us: Ints
    is_access: NDArray[np.bool_]


def moments(frame: Frame, kind: str, between: Between) -> Moments:
    """Return what happened, what was recalled, or both; at one time by birth, what happened first."""
    live = np.flatnonzero(frame.live_rows())
    parts: list[tuple[Ints, Ints, bool]] = []
    if kind != ACCESSED:
        parts.append((live, frame.nodes.column("occurred_us")[live], False))
    if kind != CREATED:
        alive = frame.live_rows()
        found = [(row, times) for row, times in frame.nodes.objects("access_times_us") if alive[row]]
        rows = np.repeat([row for row, _ in found], [len(times) for _, times in found]).astype(np.int64)
        parts.append((rows, np.array([time for _, times in found for time in times], dtype=np.int64), True))
    rows = np.concatenate([part[0] for part in parts])
    times_us = np.concatenate([part[1] for part in parts])
    is_access = np.repeat([part[2] for part in parts], [len(part[0]) for part in parts])
    inside = np.ones(len(rows), dtype=np.bool_)
    if between.start_us is not None:
        inside &= times_us >= between.start_us
    if between.end_us is not None:
        inside &= times_us <= between.end_us
    rows, times_us, is_access = rows[inside], times_us[inside], is_access[inside]
    order = np.lexsort((is_access, births(frame, rows.astype(np.int32)), times_us))
    return Moments(rows[order], times_us[order], is_access[order])


def counted(times_us: Ints, bucket: str) -> list[tuple[int, int]]:
    """Return the start (microseconds) and the count of each bucket that has any, in order; UTC, weeks from Monday."""
    times = times_us.astype("M8[us]")
    if bucket == "week":
        days = times.astype("M8[D]").astype(np.int64)
        starts = ((days - _MONDAY) // 7 * 7 + _MONDAY).astype("M8[D]")
    else:
        starts = times.astype(f"M8[{_UNITS[bucket]}]")
    found, counts = np.unique(starts.astype("M8[us]").astype(np.int64), return_counts=True)
    return list(zip(found.tolist(), counts.tolist(), strict=True))
