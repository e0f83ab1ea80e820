"""Links that new memories come with: to similar ones, and to those whose place they take. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from memorygraph.actors.commands import Associate
from memorygraph.events.records import EdgesAdded, NodeAdded
from memorygraph.events.types import EdgeType, Partition
from memorygraph.projections.contradictions import SUPERSEDES
from memorygraph.projections.frame import Frame
from memorygraph.projections.sight import Sight, audience, seen
from memorygraph.projections.similarity import Norms, nearest_each


def links_of_added(frame: Frame, norms: Norms, added: Sequence[NodeAdded], policy: Associate) -> Iterator[EdgesAdded]:
    """Give links of new nodes to the nearest older ones and to earlier ones of their batch, for each partition.

    Only to what everyone sees who sees the new one: what an agent keeps to itself takes no place among public links.
    """
    by_place: dict[Partition, list[tuple[str, bytes]]] = {}
    for node in added:
        if node.vector:
            by_place.setdefault(node.partition, []).append((node.id, node.vector))
    for partition, vectors in by_place.items():
        links = similarity_links(seen(frame, Sight(partitions=audience(partition))), norms, vectors, policy)
        if links is not None:
            yield links


def similarity_links(
    frame: Frame, norms: Norms, added: Sequence[tuple[str, bytes]], policy: Associate, *, before: Sequence[int] = ()
) -> EdgesAdded | None:
    """Link each new node (id, vector) to the nearest nodes of the Frame and to earlier ones of its batch.

    Weight is the cosine; up to ``policy.k`` links each, from ``policy.threshold`` on. None if there are none.

    Args:
        before: births, for nodes that are in the Frame already: each is linked to older ones of the Frame.
    """
    if not added:
        return None
    queries = np.frombuffer(b"".join([vector for _, vector in added]), dtype="<f4").reshape(len(added), -1)
    older = nearest_each(frame, norms, queries, policy.k, policy.threshold, before=before)
    ids = frame.interner.ids
    sources, targets, weights = [], [], []
    for place, (node_id, _) in enumerate(added):
        found = [(ids[row], cosine) for row, cosine in older[place]]
        if not before:
            found += [(added[other][0], cosine) for other, cosine in _earlier(queries, place, policy.threshold)]
        found.sort(key=lambda pair: -pair[1])
        for target, cosine in found[: policy.k]:
            sources.append(node_id)
            targets.append(target)
            weights.append(_single(cosine))
    if not sources:
        return None
    return EdgesAdded(
        sources=sources,
        targets=targets,
        weights=weights,
        types=[EdgeType.SIMILARITY.code] * len(sources),
        undirected=[True] * len(sources),
    )


def superseding_links(pairs: Sequence[tuple[str, str]]) -> EdgesAdded:
    """Link new nodes to the old ones whose place they take, pair by pair."""
    return EdgesAdded(
        sources=[new for new, _ in pairs],
        targets=[old for _, old in pairs],
        types=[EdgeType.CONTRADICTS.code] * len(pairs),
        metadata=[{SUPERSEDES: True}] * len(pairs),
    )


def _earlier(queries: Any, place: int, threshold: float) -> list[tuple[int, float]]:
    """Cosines of one new node with those before it in its batch."""
    if not place:
        return []
    query = queries[place]
    lengths = np.linalg.norm(queries[:place], axis=1) * np.linalg.norm(query)
    cosine = queries[:place] @ query / np.where(lengths > 0, lengths, 1)
    return [(other, float(cosine[other])) for other in np.flatnonzero(cosine >= threshold).tolist()]


def _single(value: float) -> float:
    return float(np.float32(min(1.0, max(0.0, value))))
