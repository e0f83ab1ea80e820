"""All that a Frame holds, column by column, as the events that would add it to an empty memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.events.records import EdgesAdded, NodeAdded
from memorygraph.projections.frame import ALIVE, NO_EDGE_EXTRAS, NO_EXTRAS, NO_ROW, UNDIRECTED, EdgeState, Frame, single

_PLACES: Final = 9  # decimals that tell single precision values between 0 and 1 apart, but for very small ones


def nodes_in(frame: Frame) -> list[NodeAdded]:
    """Return the live nodes in order of birth, with their vectors, accesses and partitions."""
    rows = np.flatnonzero(frame.live_rows())
    rows = rows[np.argsort(frame.nodes.column("birth")[rows], kind="stable")]

    def cells(name: str) -> NDArray[Any]:
        column: NDArray[Any] = frame.nodes.column(name)[rows]
        return column

    ids, partitions, vectors = frame.interner.ids, frame.partitions, frame.vectors
    space = 0 if frame.space is None else frame.space.space
    content, labels = frame.texts.value, frame.labels.value
    accesses, reviews = dict(frame.nodes.objects("access_times_us")), dict(frame.nodes.objects("review"))
    text_rows, vector_rows = cells("text_row").tolist(), cells("vector_row").tolist()
    extras = [NO_EXTRAS if row == NO_ROW else labels("extras", row) for row in cells("label_row").tolist()]
    columns = zip(
        rows.tolist(),
        ["" if row == NO_ROW else content("content", row) for row in text_rows],
        [b"" if row == NO_ROW or vectors is None else vectors.vector(row) for row in vector_rows],
        extras,
        cells("memory_type").tolist(),
        cells("importance").tolist(),
        singles(cells("emotional_valence")),
        singles(cells("confidence")),
        cells("consolidation_state").tolist(),
        cells("decay_function").tolist(),
        singles(cells("decay_rate")),
        cells("occurred_us").tolist(),
        cells("partition").tolist(),
        cells("created_us").tolist(),
        cells("access_count").tolist(),
        cells("archived").tolist(),
        strict=True,
    )
    return [
        NodeAdded(
            id=ids[row],
            content=text,
            memory_type=memory_type,
            importance=importance,
            emotional_valence=valence,
            confidence=confidence,
            consolidation_state=state,
            decay_function=function,
            decay_rate=decay_rate,
            tags=extra.tags,
            metadata=extra.metadata,
            occurred_us=occurred_us,
            speaker=extra.speaker,
            session=extra.session,
            source=extra.source,
            space=space if vector else 0,
            vector=vector,
            partition=partitions[partition],
            recorded_us=created_us,
            access_count=access_count,
            access_times_us=accesses.get(row, ()),
            expires_us=extra.expires_us,
            owner=extra.owner,
            archived=archived,
            review=reviews.get(row),
        )
        for (
            row,
            text,
            vector,
            extra,
            memory_type,
            importance,
            valence,
            confidence,
            state,
            function,
            decay_rate,
            occurred_us,
            partition,
            created_us,
            access_count,
            archived,
        ) in columns
    ]


def edges_in(frame: Frame) -> EdgesAdded:
    """Return the live edges in order of birth, every column filled; the id is empty where none was chosen."""
    edges, ids = frame.edges, frame.interner.ids
    flags = edges.column("flags")
    rows = np.flatnonzero(flags & ALIVE)
    known = dict(edges.objects("extras"))
    extras = [known.get(row, NO_EDGE_EXTRAS) for row in rows.tolist()]
    return EdgesAdded(
        sources=[ids[row] for row in edges.column("source")[rows].tolist()],
        targets=[ids[row] for row in edges.column("target")[rows].tolist()],
        weights=singles(edges.column("weight")[rows]),
        types=edges.column("edge_type")[rows].tolist(),
        undirected=(flags[rows] & UNDIRECTED).astype(np.bool_).tolist(),
        confidences=[single(each.confidence) for each in extras],
        metadata=[each.metadata for each in extras],
        ids=[each.id for each in extras],
    )


def singles(values: NDArray[np.float32]) -> list[float]:
    """Return ``single`` of each value, for most of a column at once: of the decimals that give it, the shortest."""
    exact = values.astype(np.float64)
    found = exact.copy()
    left = np.ones(len(values), dtype=np.bool_)
    is_small = np.abs(exact) <= 1.0  # beyond, so many places are more than a double has
    for places in range(_PLACES + 1):
        decimal = np.rint(exact * 10**places) / 10**places
        hit = left & is_small & (decimal.astype(np.float32) == values)
        found[hit] = decimal[hit] + 0.0  # -0.0 and 0.0 are one value
        left &= ~hit
        if not left.any():
            break
    for place in np.flatnonzero(left).tolist():
        found[place] = single(float(exact[place]))
    result: list[float] = found.tolist()
    return result


def columns_of(states: Sequence[EdgeState]) -> EdgesAdded:
    """Return edges as columns, every one of them filled."""
    return EdgesAdded(
        sources=[state.source_id for state in states],
        targets=[state.target_id for state in states],
        weights=[state.weight for state in states],
        types=[state.edge_type for state in states],
        undirected=[not state.directed for state in states],
        confidences=[state.confidence for state in states],
        metadata=[state.metadata for state in states],
        ids=[state.id for state in states],
    )
