"""What events become in the graph's tables: cells, and whether they fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.events import records as ev
from memorygraph.events.errors import DamagedLog
from memorygraph.events.types import CODE_MAX, EdgeType
from memorygraph.projections.frame import ALIVE, NO_EDGE_EXTRAS, UNDIRECTED, EdgeExtras, Extras
from memorygraph.projections.review import is_sound

TIME_MAX: Final = 1 << 62  # microseconds; far beyond any calendar
COUNT_MAX: Final = 1 << 32
SINGLE_MAX: Final = float(np.finfo(np.float32).max)


def fits_columns(event: ev.NodeAdded) -> bool:
    """Whether a node's codes, count and times are in the ranges that its row can hold."""
    codes = event.memory_type | event.consolidation_state | event.decay_function
    if not (0 <= codes <= CODE_MAX and 0 <= event.access_count < COUNT_MAX):
        return False
    if event.review is not None and not is_sound(event.review):
        return False
    if not (
        -SINGLE_MAX <= event.emotional_valence <= SINGLE_MAX
        and -SINGLE_MAX <= event.confidence <= SINGLE_MAX
        and -SINGLE_MAX <= event.decay_rate <= SINGLE_MAX
    ):
        return False
    if event.recorded_us is event.occurred_us is event.expires_us is None and not event.access_times_us:
        return True
    times_us = (event.recorded_us or 0, event.occurred_us or 0, event.expires_us or 0, *event.access_times_us)
    return max(map(abs, times_us)) < TIME_MAX


def require_single(*values: float) -> None:
    """Check that numbers fit single precision columns.

    Raises:
        DamagedLog: one does not.
    """
    if values and max(map(abs, values)) > SINGLE_MAX:
        raise DamagedLog("a number that no release writes, as no column can hold it")


def require_codes(types: Collection[int]) -> None:
    """Check that edges' types are codes.

    Raises:
        DamagedLog: one is not.
    """
    if types and not 0 <= min(types) <= max(types) <= CODE_MAX:
        raise DamagedLog("an edge has a type that no release writes", types=sorted(set(types)))


def extras_of(event: ev.NodeAdded) -> Extras:
    """Return a node's labels."""
    return Extras(event.tags, event.metadata, event.speaker, event.session, event.source, event.expires_us, event.owner)


def edge_cells(event: ev.EdgesAdded) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return edges' weights, types and flags, shape (edges,) each.

    Raises:
        DamagedLog: one of them fits no column.
    """
    count = len(event.sources)
    weights = np.array(event.weights, np.float64) if event.weights else np.ones(count)
    if not (np.abs(weights) <= SINGLE_MAX).all():
        raise DamagedLog("a number that no release writes, as no column can hold it")
    require_codes(event.types)
    types = np.array(event.types, np.uint8) if event.types else np.full(count, EdgeType.ASSOCIATION.code, np.uint8)
    undirected = np.array(event.undirected, np.uint8) if event.undirected else np.zeros(count, np.uint8)
    return weights, types, undirected * np.uint8(UNDIRECTED) | np.uint8(ALIVE)


def edge_extras_of(event: ev.EdgesAdded) -> Sequence[EdgeExtras | None]:
    """Return what each edge has beside its columns, None for most."""
    count = len(event.sources)
    if not (event.ids or event.confidences or event.metadata):
        return [None] * count
    no_metadata: dict[str, Any] = {}
    columns = zip(
        event.ids or [""] * count,
        event.confidences or [1.0] * count,
        event.metadata or [no_metadata] * count,
        strict=True,
    )
    made = (EdgeExtras(*values) for values in columns)
    return [None if extras == NO_EDGE_EXTRAS else extras for extras in made]
