"""What commands mean for vector spaces: vectors belong to the active one, until another is filled and takes its place.

Whoever writes a vector relies on the active space (``SPACE``), and who activates another one relies on no memory having
come or changed since (``VECTORS``): so none is without a vector when the space changes, and none has one of the old.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from memorygraph.actors import commands as cmd
from memorygraph.actors.association import similarity_links
from memorygraph.actors.touches import SPACE, VECTORS, version_of
from memorygraph.events import records as ev
from memorygraph.events.errors import EmbedderMismatch, EmbeddingDimensionError, ExpectationFailed, InputError
from memorygraph.events.types import DIM_MAX, EdgeType
from memorygraph.projections.frame import ALIVE, NO_ROW, UNDIRECTED, EdgeState, Frame
from memorygraph.projections.sight import Sight, audience, seen

if TYPE_CHECKING:
    from memorygraph.actors.decide import Proposer

_SAME_WEIGHT = 1e-5  # products of other shapes may differ in the last bits


def fitting_space(proposer: Proposer, space: ev.SpaceDeclared | None, vectors: Sequence[bytes]) -> int:
    """Return the number of the space that vectors belong to, declaring the memory's first one.

    Raises:
        EmbeddingDimensionError: a vector has another dimension.
        EmbedderMismatch: they come from another embedder.
    """
    dims = {len(vector) // 4 for vector in vectors if vector}
    if not dims:
        return 0
    current = proposer.frame().space
    proposer.reads.append(SPACE)
    if current is None:
        dim = next(iter(dims))
        current = msgspec.structs.replace(space or _external(dim), space=1)
        require_dimensions(current.dim)
        proposer.events.append(current)
    if space is not None and not same_space(space, current):
        raise foreign_vectors(space, current)
    if dims != {current.dim}:
        found = min(dims - {current.dim})
        raise EmbeddingDimensionError(
            f"a vector has {found} dimensions; this memory holds vectors of {current.dim}",
            expected=current.dim,
            found=found,
        )
    return current.space


def require_dimensions(dim: int) -> None:
    """Check that a space is not longer than a memory can hold.

    Raises:
        EmbeddingDimensionError: it is.
    """
    if dim > DIM_MAX:
        raise EmbeddingDimensionError(
            f"vectors of {dim} dimensions are longer than a memory can hold ({DIM_MAX})", found=dim
        )


def declare_space(proposer: Proposer, operation: cmd.DeclareSpace) -> None:
    """Begin to fill a space, unless it is active or being filled already; another one that was is given up."""
    frame = proposer.frame()
    pending = None if frame.pending is None else frame.pending.space
    proposer.reads.append(SPACE)
    if any(space is not None and same_space(space, operation.space) for space in (frame.space, pending)):
        return
    require_dimensions(operation.space.dim)
    numbers = [space.space for space in (*frame.spaces, pending) if space is not None]
    proposer.events.append(msgspec.structs.replace(operation.space, space=max(numbers, default=0) + 1))


def add_vectors(proposer: Proposer, operation: cmd.AddVectors) -> None:
    """Give memories vectors of a space; those that changed meanwhile, or are gone, are passed over."""
    frame = proposer.frame()
    space = _open_space(frame, operation.space)
    ids, vectors = [], []
    for node_id, version, vector in zip(operation.ids, operation.versions, operation.vectors, strict=True):
        if len(vector) != 4 * space.dim:
            raise EmbeddingDimensionError(
                f"a vector has {len(vector) // 4} dimensions; the space {title(space)} has {space.dim}",
                expected=space.dim,
                found=len(vector) // 4,
            )
        row = frame.row(node_id)
        if row is not None and frame.nodes.value("version", row) == version:
            ids.append(node_id)
            vectors.append(vector)
    if ids:
        proposer.reads += [SPACE, *ids, *map(version_of, ids)]
        proposer.events.append(ev.VectorsAdded(space=operation.space, ids=tuple(ids), vectors=tuple(vectors)))


def activate_space(proposer: Proposer, operation: cmd.ActivateSpace) -> None:
    """Let a space that every memory with a text has a vector of take the place of the active one.

    Raises:
        ExpectationFailed: some have none yet.
    """
    frame = proposer.frame()
    space = _open_space(frame, operation.space)
    proposer.reads += [SPACE, VECTORS]
    if frame.pending is None or frame.pending.space.space != operation.space:
        return  # it is active
    missing = len(missing_vectors(frame, operation.space))
    if missing:
        raise ExpectationFailed(
            f"{missing} memories have no vector of {title(space)} yet; they need one before it can be used",
            missing=missing,
        )
    proposer.events.append(ev.SpaceActivated(space=operation.space))


def renew_links(proposer: Proposer, operation: cmd.RenewLinks) -> None:
    """Bring the links that memories got by similarity in line with the vectors they have now.

    These are the undirected edges SIMILARITY that go out from them, to older ones. What is right stays, and so do links
    of what is in the archive: nothing new is linked to it, and it comes back as it went.
    """
    frame = proposer.frame()
    found = [(node_id, row) for node_id, row in zip(operation.ids, frame.rows(operation.ids), strict=True)]
    with_vector = [(node_id, row) for node_id, row in found if row is not None and frame.vector(row)]
    rows = [row for _, row in found if row is not None]
    by_place: dict[int, list[tuple[str, int]]] = {}
    for node_id, row in with_vector:
        by_place.setdefault(frame.nodes.value("partition", row), []).append((node_id, row))
    due: dict[tuple[str, str], float] = {}
    for place, nodes in by_place.items():
        births = [frame.nodes.value("birth", row) for _, row in nodes]
        vectors = [(node_id, frame.vector(row)) for node_id, row in nodes]
        among = seen(frame, Sight(partitions=audience(frame.partitions[place])))
        wanted = similarity_links(among, proposer.norms(), vectors, operation.associate, before=births)
        if wanted is not None:
            due |= dict(zip(zip(wanted.sources, wanted.targets, strict=True), wanted.weights, strict=True))
    over: list[str] = []
    ends: dict[str, None] = {}
    for edge_row in _similarity_edges(frame, rows):
        edge = frame.edge(edge_row)
        weight = due.get((edge.source_id, edge.target_id))
        if weight is not None and abs(weight - edge.weight) < _SAME_WEIGHT:
            del due[edge.source_id, edge.target_id]
        elif weight is not None or not _in_archive(frame, edge):
            over.append(edge.id)
            ends |= {edge.source_id: None, edge.target_id: None}
    if over:
        proposer.reads += [*over, *ends]
        proposer.events.append(ev.EdgesRemoved(ids=tuple(over), reason="the embedder changed", nodes=tuple(ends)))
    if due:
        sources, targets = [pair[0] for pair in due], [pair[1] for pair in due]
        proposer.reads += [SPACE, *sources, *targets]
        proposer.events.append(
            proposer.named(
                ev.EdgesAdded(
                    sources=sources,
                    targets=targets,
                    weights=list(due.values()),
                    types=[EdgeType.SIMILARITY.code] * len(due),
                    undirected=[True] * len(due),
                )
            )
        )


def missing_vectors(frame: Frame, number: int) -> list[int]:
    """Return the rows of the live memories with a text that have no vector of a space, oldest first."""
    nodes = frame.nodes
    if frame.pending is not None and frame.pending.space.space == number:
        vector_rows = frame.pending.vector_rows(nodes.count)
    else:
        vector_rows = nodes.column("vector_row")
    rows = np.flatnonzero(frame.live_rows() & (nodes.column("text_row") != NO_ROW) & (vector_rows == NO_ROW))
    ordered: list[int] = rows[np.argsort(nodes.column("birth")[rows], kind="stable")].tolist()
    return ordered


def same_space(one: ev.SpaceDeclared, other: ev.SpaceDeclared) -> bool:
    """Whether two spaces are made by the same embedder."""
    return (one.name, one.version, one.dim) == (other.name, other.version, other.dim)


def foreign_vectors(space: ev.SpaceDeclared, current: ev.SpaceDeclared) -> EmbedderMismatch:
    """The error for vectors of another space than the memory's."""
    return EmbedderMismatch(
        f"the vectors come from {title(space)}; this memory holds vectors of {title(current)}. "
        "Open it with that embedder, or change the memory's with reembed(embedder)",
        expected=title(current),
        found=title(space),
    )


def title(space: ev.SpaceDeclared) -> str:
    """Return what people call a space."""
    version = f" {space.version}" if space.version else ""
    return f"{space.name}{version} ({space.dim} dimensions)"


def _open_space(frame: Frame, number: int) -> ev.SpaceDeclared:
    for space in (frame.space, None if frame.pending is None else frame.pending.space):
        if space is not None and space.space == number:
            return space
    raise InputError(f"the vector space {number} is neither active nor being filled; another took its place")


def _similarity_edges(frame: Frame, rows: list[int]) -> list[int]:
    """Return the live undirected edges SIMILARITY that go out from some nodes."""
    edges = frame.edges
    found = frame.adjacency.incident(edges, np.array(rows, dtype=np.int32))
    flags = edges.take("flags", found)
    counts = (flags & ALIVE).astype(np.bool_) & (flags & UNDIRECTED).astype(np.bool_)
    counts &= edges.take("edge_type", found) == EdgeType.SIMILARITY.code
    counts &= np.isin(edges.take("source", found), rows)
    going_out: list[int] = found[counts].tolist()
    return going_out


def _in_archive(frame: Frame, edge: EdgeState) -> bool:
    rows = frame.rows((edge.source_id, edge.target_id))
    return any(row is not None and frame.nodes.value("archived", row) for row in rows)


def _external(dim: int) -> ev.SpaceDeclared:
    """The space of vectors that come without an embedder."""
    return ev.SpaceDeclared(space=1, name="external", dim=dim)
