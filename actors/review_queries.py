"""What can be asked of forgetting and review: the cards of memories, those that are due, and what is left of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from memorygraph.actors.commands import Query
from memorygraph.events.records import ReviewCard
from memorygraph.projections.frame import Frame
from memorygraph.projections.retention import retention_now


class GetReviews(Query, frozen=True, kw_only=True):
    """The review cards of these ids -> ``list[ReviewCard | None]``."""

    ids: list[str]


class FindReviews(Query, frozen=True, kw_only=True):
    """Nodes that are due for review by a time (None: all) -> ``list[tuple[str, ReviewCard]]``, soonest first."""

    until_us: int | None = None
    model: int | None = None


class Retention(Query, frozen=True, kw_only=True):
    """What is left of every live node at a time -> bytes of float64, oldest node first."""

    now_us: int


def _get_reviews(frame: Frame, query: GetReviews) -> list[ReviewCard | None]:
    """Return the cards of nodes, None for those without one."""
    return [None if row is None else frame.nodes.value("review", row) for row in frame.rows(query.ids)]


def _find_reviews(frame: Frame, query: FindReviews) -> list[tuple[str, ReviewCard]]:
    """Return what is due, soonest first."""
    alive, names = frame.live_rows(), frame.interner.ids
    found = [
        (names[row], card)
        for row, card in frame.nodes.objects("review")
        if alive[row]
        and (query.until_us is None or card.due_us <= query.until_us)
        and (query.model is None or card.model == query.model)
    ]
    return sorted(found, key=lambda pair: (pair[1].due_us, pair[0]))


def _retention(frame: Frame, query: Retention) -> bytes:
    """Return what is left of every live node, in order of birth."""
    left = retention_now(frame, query.now_us)
    births = frame.nodes.column("birth")
    if frame.live_nodes < frame.nodes.count:
        alive = frame.live_rows()
        left, births = left[alive], births[alive]
    if not bool((births[1:] > births[:-1]).all()):
        left = left[np.argsort(births, kind="stable")]
    return left.tobytes()


ANSWERS: Final[dict[type[Query], Callable[[Frame, Any], Any]]] = {
    GetReviews: _get_reviews,
    FindReviews: _find_reviews,
    Retention: _retention,
}
