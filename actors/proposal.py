"""What was decided, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from msgspec import Struct

from memorygraph.events import records as ev
from memorygraph.projections.frame import ORDINAL_BITS, Frame


class Proposal(Struct, frozen=True):
    """Events for a command, decided at ``position``, and what they rest on (doubles do no harm).

    ``reads`` are ids that must not have been touched since (``touches.py``), ``edges_of`` nodes that no edge may have
    been added to. Adding an edge touches neither end, as most who read a node do not mind; so the few who do are asked.
    """

    position: int
    events: tuple[ev.Event, ...]
    reads: list[str]
    edges_of: tuple[str, ...] = ()


def linked_since(frame: Frame, proposal: Proposal) -> str | None:
    """Return one of ``edges_of`` that an edge in a later Frame leads from or to which is newer than the proposal.

    It costs as much as the nodes have edges, whoever wrote these.
    """
    rows = [row for row in frame.rows(proposal.edges_of) if row is not None]
    edges = frame.adjacency.incident(frame.edges, np.array(rows, dtype=np.int32))
    newer = edges[frame.edges.take("birth", edges) >> ORDINAL_BITS > proposal.position]
    ends = np.concatenate([frame.edges.take("source", newer), frame.edges.take("target", newer)])
    return next((frame.interner.ids[row] for row in np.intersect1d(ends, rows).tolist()), None)


def linked_by(proposals: Iterable[Proposal], ids: Iterable[str]) -> str | None:
    """Return one of some nodes that edges of proposals which are not applied yet lead from or to."""
    added = [event for proposal in proposals for event in proposal.events if isinstance(event, ev.EdgesAdded)]
    ends = {end for event in added for end in (*event.sources, *event.targets)}
    return next(filter(ends.__contains__, ids), None)
