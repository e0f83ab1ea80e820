"""Links as columns: from edges, tuples and dicts to the events that add them, and back to their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np

from memorygraph import checks
from memorygraph.core.edge import MemoryEdge
from memorygraph.drafts import CHUNK_ITEMS, chunks_of, id_of, size_bytes
from memorygraph.events.errors import InputError
from memorygraph.events.records import EdgesAdded, Event
from memorygraph.events.types import EdgeType
from memorygraph.projections.frame import EdgeState

WEIGHT: Final = 0.8  # of a link that comes without one
_FIELDS: Final = ("source", "target", "edge_type", "weight", "directed", "metadata")


def edge_of(link: Sequence[Any] | Mapping[str, Any]) -> MemoryEdge:
    """Return a link given as a tuple or a dict as an edge to add.

    Raises:
        InputError: it is not of that form, or a value cannot be used.
    """
    given: dict[str, Any] = {}
    if isinstance(link, Mapping):
        given = dict(link)
    elif isinstance(link, list | tuple) and len(link) <= len(_FIELDS):
        given = dict(zip(_FIELDS, link, strict=False))
    if not {"source", "target"} <= set(given) <= set(_FIELDS):
        raise InputError(
            f"a link is a tuple or dict of {', '.join(_FIELDS)}, at least the first two; this is {checks.shown(link)}"
        )
    fields = {"edge_type": EdgeType.ASSOCIATION, "weight": WEIGHT, **given}
    return MemoryEdge(id_of(fields.pop("source")), id_of(fields.pop("target")), **fields)


def batches_of(links: Iterable[Sequence[Any] | Mapping[str, Any]]) -> Iterator[EdgesAdded]:
    """Give links as events of at most ``CHUNK_ITEMS`` edges and about ``CHUNK_BYTES``.

    Raises:
        InputError: one of them is not a link, or a value cannot be used.
    """
    rest = iter(links)
    while batch := list(islice(rest, CHUNK_ITEMS)):
        columns = plain_columns(batch)
        if columns is None:
            states = [edge_of(link)._state for link in batch]
            yield from map(edge_columns, chunks_of(states, size_bytes))
        else:
            yield columns


def plain_columns(links: Sequence[Any]) -> EdgesAdded | None:
    """Return tuples of the same plain fields as columns, without an object per link; None: look at each of them.

    It takes what needs no second look: ids that are texts, one edge type for all, weights above 0 and up to 1. Whether
    the ids are of two different nodes is asked of the memory when the links are added.
    """
    if not _all_of(tuple, links):
        return None
    try:
        sources, targets, *rest = zip(*links, strict=True)
    except ValueError:  # of different lengths, or too short
        return None
    defaults: list[Sequence[Any]] = [[EdgeType.ASSOCIATION], [WEIGHT] * len(links), [True]]
    if len(rest) > len(defaults):
        return None
    kinds, weights, directed = rest + defaults[len(rest) :]
    same = kinds.count(kinds[0]) == len(kinds) and directed.count(directed[0]) == len(directed)
    if not same or not isinstance(kinds[0], EdgeType) or not isinstance(directed[0], bool):
        return None
    if not (_all_of(str, sources) and _all_of(str, targets) and _all_of(float, weights)):
        return None
    values = np.fromiter(weights, np.float64, len(weights))
    if not (values.min() > 0.0 and values.max() <= 1.0):  # NaN is neither
        return None
    return EdgesAdded(
        sources=list(sources),
        targets=list(targets),
        weights=unless_all(1.0, list(weights)),
        types=[] if kinds[0] is EdgeType.ASSOCIATION else [kinds[0].code] * len(links),
        undirected=[] if directed[0] else [True] * len(links),
    )


def edge_columns(states: Sequence[EdgeState]) -> EdgesAdded:
    """Return edges as the columns of one event; columns that hold only defaults stay empty."""
    undirected = [not state.directed for state in states]
    metadata = [state.metadata for state in states]
    ids = [state.id for state in states]
    return EdgesAdded(
        sources=[state.source_id for state in states],
        targets=[state.target_id for state in states],
        weights=unless_all(1.0, [state.weight for state in states]),
        types=unless_all(EdgeType.ASSOCIATION.code, [state.edge_type for state in states]),
        undirected=undirected if any(undirected) else [],
        confidences=unless_all(1.0, [state.confidence for state in states]),
        metadata=metadata if any(metadata) else [],
        ids=ids if any(ids) else [],
    )


def edges_in(events: Sequence[Event], position: int) -> list[str]:
    """Return the ids of the edges that a record's events added."""
    ids: list[str] = []
    for event in events:
        if isinstance(event, EdgesAdded):
            names = event.ids or [""] * len(event.sources)
            ids += [name or f"{position}.{len(ids) + offset}" for offset, name in enumerate(names)]
    return ids


def _all_of(kind: type, values: Sequence[Any]) -> bool:
    return list(map(type, values)).count(kind) == len(values)


def unless_all(default: Any, values: list[Any]) -> list[Any]:
    """Return a column, or an empty one if it holds nothing but the default."""
    return values if values.count(default) < len(values) else []
