"""Where memories are: in which partition, and whether in the archive; applied by ``GraphState``, read from a Frame."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from memorygraph.events.types import Partition
from memorygraph.projections.filters import NO_CODE, LabelIndex
from memorygraph.projections.frame import ORDINAL_BITS, Frame

if TYPE_CHECKING:
    from memorygraph.events.records import NodesArchived, NodesMoved, NodesRestored
    from memorygraph.projections.graph import GraphState


def move(state: GraphState, event: NodesMoved, birth: int) -> None:
    """Put nodes into another partition; ``moved`` is where that happened last."""
    code = state.partition_code(event.partition)
    for row, _ in state._with_rows(event.ids, event.ids):
        state.nodes.set("partition", row, code)
        state.nodes.set("moved", row, birth >> ORDINAL_BITS)


def put_away(state: GraphState, event: NodesArchived, _: int) -> None:
    """Put nodes into the archive; they stay alive, with their edges."""
    state.has_archive = True
    _set_archived(state, event, archived=True)


def bring_back(state: GraphState, event: NodesRestored, _: int) -> None:
    """Take nodes out of the archive."""
    _set_archived(state, event, archived=False)


def _set_archived(state: GraphState, event: NodesArchived | NodesRestored, *, archived: bool) -> None:
    for row, _ in state._with_rows(event.ids, event.ids):
        state.nodes.set("archived", row, archived)


def whereabouts(frame: Frame, ids: Collection[str]) -> list[tuple[Partition, int] | None]:
    """Return in which partition each node is, or was last, and where it was moved there (0: it never was)."""
    nodes, count, row_of = frame.nodes, frame.nodes.count, frame.interner.rows
    rows = [row_of.get(node_id, count) for node_id in ids]
    return [
        (frame.partitions[nodes.value("partition", row)], nodes.value("moved", row)) if row < count else None
        for row in rows
    ]


def moved_away(frame: Frame, partitions: Collection[Partition]) -> list[str]:
    """Return the ids of nodes, forgotten ones among them, that were moved and are in none of these partitions now."""
    is_closed = np.array([partition not in partitions for partition in frame.partitions], dtype=np.bool_)
    moved = np.flatnonzero(frame.nodes.column("moved"))
    rows = moved[is_closed[frame.nodes.column("partition")[moved]]] if len(moved) else moved
    return [frame.interner.ids[row] for row in rows.tolist()]


def census(frame: Frame, labels: LabelIndex) -> list[tuple[Partition, str | None, int]]:
    """Return how many live nodes each partition has of each owner."""
    rows = np.flatnonzero(frame.live_rows())
    owner = labels.codes(frame, "owner")[rows] if frame.labels.count else np.full(len(rows), NO_CODE)
    names = labels.values(frame, "owner") if frame.labels.count else []
    pairs = np.stack([frame.nodes.column("partition")[rows], owner], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return [
        (frame.partitions[partition], None if code == NO_CODE else names[code], count)
        for (partition, code), count in zip(found.tolist(), counts.tolist(), strict=True)
    ]
