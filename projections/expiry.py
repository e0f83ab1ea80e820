"""Expiry: memories that are to be forgotten from a time on.

Replay knows no clock: an expired memory leaves the graph by an event. Until that event is written (or where it cannot
be: a memory that is open read-only) readers look at a Frame that hides it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush

import numpy as np

from memorygraph.projections.frame import NEVER_US, Frame
from memorygraph.projections.sight import only


class Expiries:
    """When which node rows are to be forgotten: a heap in which some is no longer true."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []

    def add(self, time_us: int, row: int) -> None:
        """Take note of an expiry."""
        heappush(self._heap, (time_us, row))

    def earliest_us(self, expiry_of: Callable[[int], int | None]) -> int:
        """Return the earliest expiry; ``expiry_of`` gives the present one of a row, None if it has none."""
        heap = self._heap
        while heap and expiry_of(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else NEVER_US


def expired_rows(frame: Frame, now_us: int) -> list[int]:
    """Return the rows of the live nodes that are to be forgotten by now, in order."""
    if now_us < frame.expires_us:
        return []
    return [row for row, time_us in expiries(frame) if time_us <= now_us]


def unexpired(frame: Frame, now_us: int) -> Frame:
    """Return the Frame without what has expired by now; the Frame itself if nothing has."""
    rows = expired_rows(frame, now_us)
    if not rows:
        return frame
    later = [time_us for _, time_us in expiries(frame) if time_us > now_us]
    visible = np.ones(frame.nodes.count, dtype=np.bool_)
    visible[rows] = False
    return only(frame, visible, min(later, default=NEVER_US))


def expiries(frame: Frame) -> Iterator[tuple[int, int]]:
    """Give the row and the expiry of each live node that has one, in order of rows."""
    times_us = {
        label: extras.expires_us for label, extras in frame.labels.objects("extras") if extras.expires_us is not None
    }
    labels = frame.nodes.column("label_row")
    rows = np.flatnonzero(np.isin(labels, list(times_us)) & frame.live_rows()).tolist()
    yield from ((row, times_us[int(labels[row])]) for row in rows)
