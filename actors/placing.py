"""What commands mean for where memories are and whose they are: rooms, scopes, ownership, the archive. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, Any, Final

from memorygraph.actors import commands as cmd
from memorygraph.events import records as ev
from memorygraph.events.errors import DuplicateIdError, NodeNotFoundError, NotOwnerError
from memorygraph.events.records import NodeAdded
from memorygraph.projections.frame import Frame
from memorygraph.projections.sight import Sight, Viewer

if TYPE_CHECKING:
    from memorygraph.actors.decide import Proposer

# What an agent that uses a memory with others may do to it.
_ALLOWED: Final = (
    cmd.AddNodes,
    cmd.ReviseNodes,
    cmd.ForgetNodes,
    cmd.ForgetFaded,
    cmd.ReinforceNodes,
    cmd.RecordAccesses,
    cmd.AddEdges,
    cmd.ReviseEdge,
    cmd.StrengthenEdges,
    cmd.RemoveEdges,
    cmd.MoveNodes,
    cmd.ArchiveNodes,
    cmd.RestoreNodes,
    cmd.RecordReviews,
    cmd.EndReviews,
    cmd.LoseAttention,
    cmd.AdvanceConsolidation,
)


def require_allowed(viewer: Viewer, operation: cmd.Operation) -> None:
    """Refuse what is done to a memory as a whole, if an agent asks for it.

    Raises:
        NotOwnerError: it is.
    """
    if not isinstance(operation, _ALLOWED):
        raise NotOwnerError(
            f"{viewer.agent!r} is one of several agents here; what concerns the memory as a whole is done with the "
            "pool's memory",
            agent=viewer.agent,
        )


def placed(viewer: Viewer) -> dict[str, Any]:
    """Return the fields of what an agent adds that say where it is and whose."""
    return {"partition": viewer.place(viewer.scope), "owner": viewer.agent}


def owns(viewer: Viewer | None, frame: Frame, row: int) -> bool:
    """Whether a viewer may change a node; without one everything may be changed."""
    return viewer is None or frame.extras(row).owner == viewer.agent


def require_free(frame: Frame, node: NodeAdded, taken: Container[str]) -> None:
    """Refuse an id that a node has, or that a forgotten one of somebody else had, whose history would go by it.

    Raises:
        DuplicateIdError: it is such an id.
    """
    row = frame.interner.rows.get(node.id, frame.nodes.count)
    if node.id in taken or (row < frame.nodes.count and frame.nodes.value("alive", row)):
        raise DuplicateIdError(
            f"the memory already has a node {node.id!r}; revise it, or leave the id out to get a new one", id=node.id
        )
    if row < frame.nodes.count and frame.extras(row).owner != node.owner:
        raise DuplicateIdError(
            f"the id {node.id!r} was that of a memory of somebody else, whose history it stays; choose another, or "
            "leave it out to get a new one",
            id=node.id,
        )


def require_owner(viewer: Viewer | None, frame: Frame, row: int) -> None:
    """Refuse a change of somebody else's node.

    Raises:
        NotOwnerError: it is.
    """
    if not owns(viewer, frame, row):
        name, owner = frame.interner.ids[row], frame.extras(row).owner
        whose = f"{owner!r}" if owner else "nobody in particular"
        raise NotOwnerError(
            f"the memory {name!r} belongs to {whose}; only its owner may change it", id=name, owner=owner
        )


def require_an_end(viewer: Viewer | None, frame: Frame, edge_row: int) -> tuple[str, str]:
    """Return the ends of an edge; refuse a change of it to a viewer who owns neither.

    Raises:
        NotOwnerError: both ends are somebody else's.
    """
    edge = frame.edge(edge_row)
    ends = edge.source_id, edge.target_id
    if not any(owns(viewer, frame, row) for row in frame.rows(ends) if row is not None):
        raise NotOwnerError(
            f"the link {edge.id!r} is between two memories of others; only the owner of one of them may change it",
            id=edge.id,
        )
    return ends


def move_nodes(proposer: Proposer, operation: cmd.MoveNodes) -> None:
    """Put nodes into another partition.

    Raises:
        NodeNotFoundError: one is not there, or cannot be seen.
        NotOwnerError: one is somebody else's.
    """
    frame = _seen(proposer, archive="without")
    ids = []
    for node_id, row in _rows(frame, operation.ids):
        require_owner(proposer.viewer, frame, row)
        proposer.reads.append(node_id)
        if frame.partitions[frame.nodes.value("partition", row)] != operation.partition:
            ids.append(node_id)
    if ids:
        proposer.events.append(ev.NodesMoved(ids=tuple(ids), partition=operation.partition))


def archive_nodes(proposer: Proposer, operation: cmd.ArchiveNodes) -> None:
    """Put nodes away.

    Raises:
        NodeNotFoundError: one is not there, or in the archive already.
    """
    ids = _own(proposer, operation.ids, _seen(proposer, archive="without"))
    if ids:
        proposer.events.append(ev.NodesArchived(ids=ids, reason=operation.reason))


def restore_nodes(proposer: Proposer, operation: cmd.RestoreNodes) -> None:
    """Take nodes out of the archive.

    Raises:
        NodeNotFoundError: one is not in it.
    """
    ids = _own(proposer, operation.ids, _seen(proposer, archive="only"), " in the archive of")
    if ids:
        proposer.events.append(ev.NodesRestored(ids=ids))


def _seen(proposer: Proposer, archive: Any) -> Frame:
    viewer = proposer.viewer
    return proposer.seen_by(Sight(partitions=None if viewer is None else viewer.partitions, archive=archive))


def _own(proposer: Proposer, ids: Iterable[str], frame: Frame, where: str = " in") -> tuple[str, ...]:
    found = tuple(_rows(frame, ids, where))
    for node_id, row in found:
        require_owner(proposer.viewer, frame, row)
        proposer.reads.append(node_id)
    return tuple(node_id for node_id, _ in found)


def _rows(frame: Frame, ids: Iterable[str], where: str = " in") -> Iterable[tuple[str, int]]:
    for node_id in dict.fromkeys(ids):
        row = frame.row(node_id)
        if row is None:
            raise NodeNotFoundError(f"there is no node {node_id!r}{where} this memory", id=node_id)
        yield node_id, row
