"""What the use of memories changes in the graph: recalls, reinforcement and reviews.

A part of ``GraphState``, which applies every event; what it says of ``apply`` holds here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from memorygraph.events import records as ev
from memorygraph.events.errors import DamagedLog
from memorygraph.projections.cells import COUNT_MAX, TIME_MAX
from memorygraph.projections.review import cards_of, succeeding
from memorygraph.projections.tables import Table

T = TypeVar("T")
ACCESS_TIMES_MAX: Final = 128  # contract item 17: the last 128 accesses are kept


class Usage:
    """The handlers of events that say how memories were used."""

    nodes: Table
    changes: int

    def _with_rows(self, node_ids: Sequence[str], values: Sequence[T]) -> Iterator[tuple[int, T]]:
        raise NotImplementedError

    def _nodes_reinforced(self, event: ev.NodesReinforced, _: int) -> None:
        for row, delta in self._with_rows(event.ids, event.deltas):
            before = self.nodes.value("importance", row)
            self.nodes.set("importance", row, min(1.0, max(0.0, before + delta * (1.0 - before))))

    def _accesses_recorded(self, event: ev.AccessesRecorded, _: int) -> None:
        self.changes += len(event.ids)
        for row, time_us in self._with_rows(event.ids, event.times_us):
            times = (*(self.nodes.value("access_times_us", row) or ()), time_us)[-ACCESS_TIMES_MAX:]
            self.nodes.set("access_times_us", row, times)
            self.nodes.set("access_count", row, self.nodes.value("access_count", row) + 1)
            self.nodes.set("accessed_us", row, max(time_us, self.nodes.value("accessed_us", row)))

    def _accesses_folded(self, event: ev.AccessesFolded, _: int) -> None:
        self.changes += len(event.ids)
        values = zip(event.access_counts, event.accessed_us, event.access_times_us, strict=True)
        for row, (count, accessed_us, times_us) in self._with_rows(event.ids, list(values)):
            if not (0 <= count < COUNT_MAX and max(map(abs, (accessed_us, *times_us))) < TIME_MAX):
                raise DamagedLog("accesses were folded to a count or time that no release writes", count=count)
            self.nodes.set("access_count", row, count)
            self.nodes.set("accessed_us", row, accessed_us)
            self.nodes.set("access_times_us", row, times_us[-ACCESS_TIMES_MAX:] or None)

    def _reviews_recorded(self, event: ev.ReviewsRecorded, _: int) -> None:
        self.changes += len(event.ids)
        for row, card in self._with_rows(event.ids, cards_of(event)):
            before = self.nodes.value("review", row)
            self.nodes.set("review", row, succeeding(before, card, begins=event.begins))

    def _reviews_ended(self, event: ev.ReviewsEnded, _: int) -> None:
        self.changes += len(event.ids)
        for row, _none in self._with_rows(event.ids, event.ids):
            self.nodes.set("review", row, None)
