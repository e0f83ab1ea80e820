"""What proposals rest on and what events change: ids, and a few things that have names of their own.

An id stands for whether there is such a node or edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from memorygraph.events import records as ev

# No id starts with NUL.
SPACE: Final = "\0space"  # the memory's vector space
VECTORS: Final = "\0vectors"  # which memories there are, and their texts: each needs its vector
ACCESSES: Final = "\0accesses"  # what is known of accesses

_COME_OR_GO: Final = (ev.NodesForgotten, ev.EdgesRemoved, ev.NodesMoved, ev.NodesArchived, ev.NodesRestored)


def touched_by(events: Sequence[ev.Event]) -> list[str]:
    """Return what events change for those who rely on it: ids that come or go, and versions that are replaced."""
    touched: list[str] = []
    is_vector_due = False
    for event in events:
        if isinstance(event, ev.NodeAdded):
            touched.append(event.id)
            is_vector_due = True
        elif isinstance(event, ev.NodeRevised | ev.EdgeRevised):
            touched.append(version_of(event.id))
            is_vector_due = is_vector_due or isinstance(event, ev.NodeRevised)
        elif isinstance(event, ev.EdgesStrengthened):
            touched += map(version_of, event.ids)
        elif isinstance(event, _COME_OR_GO):
            touched += event.ids
        elif isinstance(event, ev.EdgesAdded):
            touched += filter(None, event.ids)
        elif isinstance(event, ev.AccessesRecorded | ev.AccessesFolded):
            touched.append(ACCESSES)
        elif isinstance(event, ev.ReviewsRecorded | ev.ReviewsEnded):
            touched += map(review_of, event.ids)
        elif isinstance(event, ev.SpaceDeclared | ev.SpaceActivated):
            touched.append(SPACE)
    if is_vector_due:
        touched.append(VECTORS)
    return touched


def version_of(node_id: str) -> str:
    """The resource "this node's or edge's version": who only needs it to exist does not mind a revision."""
    return f"\0version {node_id}"


def review_of(node_id: str) -> str:
    """The resource "where this node is in its review schedule": each review rests on the one before."""
    return f"\0review {node_id}"
