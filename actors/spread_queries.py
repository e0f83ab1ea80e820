"""What can be asked of activation: where it spreads to, and the strongest chain between two nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from msgspec import Struct

from memorygraph.actors.commands import Query
from memorygraph.actors.graph_queries import row_of
from memorygraph.projections.conductance import SpreadRules
from memorygraph.projections.frame import Frame
from memorygraph.projections.similarity import births, top
from memorygraph.projections.spreading import Activation, spread, strongest_chain

ACTIVATION: Final = "activation"
DEPTH: Final = "depth"
COMBINED: Final = "combined"
ORDERS: Final = (ACTIVATION, DEPTH, COMBINED)


class Spread(Query, frozen=True, kw_only=True):
    """Where activation spreads to from some nodes, these left out -> ``Activated``.

    ``values`` are the activations of the sources. ``sort_by``: the highest activation first, or the least depth, or the
    highest activation / (depth + 1); equal ones by birth.
    """

    sources: list[str]
    values: list[float]
    rules: SpreadRules
    now_us: int
    sort_by: str = ACTIVATION
    limit: int | None = None


class Chain(Query, frozen=True, kw_only=True):
    """The strongest chain of at most ``hops`` links between two nodes, in any direction -> ``list[str] | None``."""

    start: str
    end: str
    rules: SpreadRules
    hops: int


class Activated(Struct, frozen=True):
    """Nodes with their activations.

    ``ids`` are first those of the nodes, then others that occur in the ways. ``trails`` are int32, little-endian: for
    each node ``width`` places in ``ids``, from the node back to its source, then -1.
    """

    ids: list[str]
    activations: list[float]
    trails: bytes
    width: int


def _spread(frame: Frame, query: Spread) -> Activated:
    seeds, values = seeds_of(frame, query)
    return activated(frame, query, seeds, spread(frame, seeds, values, query.rules, query.now_us, wanted=wanted(query)))


def seeds_of(frame: Frame, query: Spread) -> tuple[Any, Any]:
    """Return the rows of the sources, ascending, each once, and their activations.

    Raises:
        NodeNotFoundError: one of them is not there.
    """
    given: dict[int, float] = {}
    for node_id, value in zip(query.sources, query.values, strict=True):
        row = row_of(frame, node_id)
        given[row] = max(value, given.get(row, 0.0))
    seeds = np.array(sorted(given), dtype=np.int32)
    return seeds, np.array([given[row] for row in seeds.tolist()], dtype=np.float64)


def wanted(query: Spread) -> int | None:
    """Return how many of the most active nodes must be right; None: all that are reached."""
    return query.limit if query.sort_by == ACTIVATION else None


def activated(frame: Frame, query: Spread, seeds: Any, found: Activation) -> Activated:
    """Return the nodes that activation came to, in the order that was asked for."""
    others = ~np.isin(found.rows, seeds)
    rows, activations = found.rows[others], found.values[others]
    limit = len(rows) if query.limit is None else query.limit
    if query.sort_by == ACTIVATION:
        order = top(activations, births(frame, rows), limit)
    else:
        depths = (found.trails.of(rows) >= 0).sum(axis=1) - 1
        keys = (depths, -activations) if query.sort_by == DEPTH else (-activations / (depths + 1),)
        order = np.lexsort((births(frame, rows), *keys[::-1]))[:limit]
    rows, activations = rows[order], activations[order]
    trails = found.trails.of(rows)
    places, named = _places(frame, rows, trails)
    name = frame.interner.ids.__getitem__
    return Activated(
        list(map(name, named.tolist())), activations.tolist(), places.astype("<i4").tobytes(), trails.shape[1]
    )


def _places(frame: Frame, rows: Any, trails: Any) -> tuple[Any, Any]:
    """Turn rows in ways into places in a list of rows, which begins with the rows themselves."""
    place_of = np.full(frame.nodes.count + 1, -1, dtype=np.int32)  # the last is for row -1, no row
    place_of[rows] = np.arange(len(rows))
    others = np.unique(trails[(trails >= 0) & (place_of[trails] < 0)])
    place_of[others] = np.arange(len(rows), len(rows) + len(others))
    return place_of[trails], np.concatenate([rows, others])


def _chain(frame: Frame, query: Chain) -> list[str] | None:
    rows = strongest_chain(frame, row_of(frame, query.start), row_of(frame, query.end), query.rules, query.hops)
    return None if rows is None else [frame.interner.ids[row] for row in rows]


ANSWERS: Final[dict[type[Query], Callable[[Frame, Any], Any]]] = {Spread: _spread, Chain: _chain}
