"""What a reader may see of a Frame: a Frame in which everything else is not there.

A view is made of the Frame that the log comes to by taking nodes out, and every edge that lost an end: what is asked of
it (searches, walks, statistics, counts) then cannot tell them from nodes that never were. So who answers a question
need not know about partitions or the archive, and none can forget to look.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.events.types import Partition, Scope
from memorygraph.projections.frame import ALIVE, Frame

PUBLIC: Final = Partition()
SIGHTS_MAX: Final = 64  # views of one Frame that are kept


class Sight(Struct, frozen=True, kw_only=True):
    """Which memories may be seen.

    ``partitions``: only of these (None: of all). ``hidden``: ids that are left out besides. ``archive``: whether what
    was put away is left out, seen alone, or seen with the rest.
    """

    partitions: frozenset[Partition] | None = None
    hidden: frozenset[str] = frozenset()
    archive: Literal["without", "only", "with"] = "without"


PRESENT: Final = Sight()
"""What is seen unless something else is asked for: everything that is not in the archive."""
WHOLE: Final = Sight(archive="with")


class Viewer(Struct, frozen=True, kw_only=True):
    """An agent that uses a memory together with others: its name, its room, and the scope of what it adds."""

    agent: str
    room: str
    scope: int = Scope.PRIVATE.code

    @property
    def partitions(self) -> frozenset[Partition]:
        """What it may see: what is its own alone, what its room shares, what is public."""
        return frozenset({self.place(Scope.PRIVATE.code), self.place(Scope.SHARED.code), PUBLIC})

    def place(self, scope: int) -> Partition:
        """Return the partition that a scope means for it."""
        if scope == Scope.PUBLIC.code:
            return PUBLIC
        return Partition(scope, self.agent if scope == Scope.PRIVATE.code else self.room)


def audience(partition: Partition) -> frozenset[Partition]:
    """Return the partitions that everyone who sees this one sees, too: what of it may be linked to unasked."""
    return frozenset({partition, PUBLIC})


def seen(frame: Frame, sight: Sight) -> Frame:
    """Return a Frame as a reader sees it; the Frame itself if nothing of it is hidden."""
    view = frame.sights.get(sight)
    if view is None:
        visible = _visible(frame, sight)
        view = frame if visible is None else only(frame, visible)
        if len(frame.sights) >= SIGHTS_MAX:
            frame.sights.clear()
        frame.sights[sight] = view
    return view


def only(frame: Frame, visible: NDArray[np.bool_], expires_us: int | None = None) -> Frame:
    """Return a Frame of some of its nodes, shape (node rows,), and of the edges between them.

    Args:
        expires_us: the earliest expiry of these, if another.
    """
    alive = frame.live_rows() & visible
    edges = frame.edges
    flags = edges.column("flags")
    joined = alive[edges.column("source")] & alive[edges.column("target")]
    flags = np.where(joined, flags, flags & np.uint8(~ALIVE & 0xFF))
    return Frame(
        position=frame.position,
        changes=frame.changes,
        times_us=frame.times_us,
        name=frame.name,
        language=frame.language,
        interner=frame.interner,
        nodes=frame.nodes.with_column("alive", alive),
        edges=edges.with_column("flags", flags),
        edge_names=frame.edge_names,
        labels=frame.labels,
        texts=frame.texts,
        vectors=frame.vectors,
        spaces=frame.spaces,
        pending=frame.pending,
        partitions=frame.partitions,
        live_nodes=int(np.count_nonzero(alive)),
        live_edges=int(np.count_nonzero(flags & ALIVE)),
        adjacency=frame.adjacency,
        expires_us=frame.expires_us if expires_us is None else expires_us,
        is_stale=frame.is_stale,
        recorded=frame.recorded,
        replaced=frame.replaced,
    )


def _visible(frame: Frame, sight: Sight) -> NDArray[np.bool_] | None:
    """Return which node rows a reader may see, dead ones among them; None: all."""
    nodes = frame.nodes
    visible: NDArray[np.bool_] | None = None
    if sight.partitions is not None and not sight.partitions.issuperset(frame.partitions):
        is_open = np.array([partition in sight.partitions for partition in frame.partitions], dtype=np.bool_)
        visible = is_open[nodes.column("partition")]
    if sight.archive != "with":
        if sight.archive == "only":
            archived = nodes.column("archived")
            visible = archived if visible is None else visible & archived
        elif any(block.any() for _, block in nodes.blocks("archived")):
            current = ~nodes.column("archived")
            visible = current if visible is None else visible & current
    rows = [row for row in frame.rows(sight.hidden) if row is not None]
    if rows:
        visible = np.ones(nodes.count, dtype=np.bool_) if visible is None else visible.copy()
        visible[rows] = False
    return visible
