"""Selecting memories by conditions on any of their fields, as masks over node rows; and putting them in order."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import reduce
from typing import Any, Final, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.filters import OPEN, Filters, LabelIndex, frozen, visible_nodes
from memorygraph.projections.frame import Frame
from memorygraph.projections.importance import effective_importance
from memorygraph.projections.retention import retention_now
from memorygraph.projections.similarity import births

Mask = NDArray[np.bool_]
Rows = NDArray[np.int32]

FIELDS: Final = {
    "importance": "importance",
    "valence": "emotional_valence",
    "confidence": "confidence",
    "access_count": "access_count",
    "created": "created_us",
    "occurred": "occurred_us",
    "accessed": "accessed_us",
}
"""Numbers of a node that are columns, by the names that people use; the times are microseconds."""
COMPUTED: Final = ("retention", "effective_importance")
"""Numbers of a node that depend on the time of asking, 0..1."""


class Range(Struct, frozen=True, kw_only=True):
    """A condition on a number: above, at least, below and at most these (None: open)."""

    field: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


class OneOf(Struct, frozen=True, kw_only=True):
    """A condition on a code: it is one of these, or ``excluded``, none of them.

    ``column`` is "memory_type", "consolidation_state" or "decay_function".
    """

    column: str
    codes: tuple[int, ...]
    excluded: bool = False


class Metadata(Struct, frozen=True, kw_only=True):
    """A condition on a value of the metadata: it equals another, contains it (text, list or map), or is there."""

    key: str
    value: Any = None
    test: Literal["equals", "contains", "exists"] = "equals"


class Text(Struct, frozen=True, kw_only=True):
    """A condition on the content: it contains a text."""

    part: str
    case_sensitive: bool = False


class Selection(Struct, frozen=True, kw_only=True):
    """Which memories are wanted: those that pass every condition; ``absent`` are metadata keys that are not there."""

    filters: tuple[Filters, ...] = ()
    ranges: tuple[Range, ...] = ()
    codes: tuple[OneOf, ...] = ()
    metadata: tuple[Metadata, ...] = ()
    absent: tuple[str, ...] = ()
    texts: tuple[Text, ...] = ()


class Order(Struct, frozen=True):
    """The order of what was selected: by a number, equal ones by birth."""

    key: str
    descending: bool = False


def selected(frame: Frame, wanted: Selection, labels: LabelIndex, now_us: int, *, among: Mask | None = None) -> Mask:
    """Return which node rows, of those of a mask if there is one, pass, shape (node rows,)."""
    mask = visible_nodes(frame, OPEN, labels).copy()
    if among is not None:
        mask &= among
    for filters in wanted.filters:
        mask &= visible_nodes(frame, filters, labels)
    for one_of in wanted.codes:
        mask &= np.isin(frame.nodes.column(one_of.column), one_of.codes, invert=one_of.excluded)
    for limits in wanted.ranges:
        mask &= _within(limits, _numbers(frame, limits.field, now_us))
    for asked in wanted.metadata:
        mask &= labels.holding(frame, asked.key, _test_of(asked))
    for key in wanted.absent:
        mask &= ~labels.holding(frame, key, lambda _: True)
    return _with_texts(frame, mask, wanted.texts)


def ordered(frame: Frame, mask: Mask, order: Order | None, now_us: int) -> Rows:
    """Return the rows of a mask in an order, or oldest first."""
    rows = np.flatnonzero(mask).astype(np.int32)
    birth = births(frame, rows)
    if order is None:
        return rows[np.argsort(birth, kind="stable")]
    values = _numbers(frame, order.key, now_us)[rows].astype(np.float64)
    return rows[np.lexsort((birth, -values if order.descending else values))]


def _numbers(frame: Frame, field: str, now_us: int) -> NDArray[Any]:
    if field == "retention":
        return retention_now(frame, now_us)
    if field == "effective_importance":
        return effective_importance(frame, np.arange(frame.nodes.count, dtype=np.int32), now_us)
    return frame.nodes.column(FIELDS[field])


def _within(limits: Range, values: NDArray[Any]) -> Mask:
    tests = [
        test(values, values.dtype.type(bound) if values.dtype.kind == "f" else bound)
        for test, bound in (
            (np.greater, limits.gt),
            (np.greater_equal, limits.gte),
            (np.less, limits.lt),
            (np.less_equal, limits.lte),
        )
        if bound is not None
    ]
    return reduce(np.logical_and, tests, np.ones(len(values), dtype=np.bool_))


def _test_of(asked: Metadata) -> Callable[[Hashable], bool]:
    if asked.test == "exists":
        return lambda _: True
    wanted = frozen(asked.value)
    if asked.test == "equals":
        return lambda value: value == wanted
    return lambda value: _contains(value, wanted)


def _contains(value: Hashable, wanted: Hashable) -> bool:
    """Whether a text has another in it, a list an item, a map a key; values are as ``frozen`` gives them."""
    if isinstance(value, str):
        return isinstance(wanted, str) and wanted in value
    if isinstance(value, tuple) and value[0] == "list":
        return wanted in value[1]
    if isinstance(value, tuple) and value[0] == "map":
        return any(key == wanted for key, _ in value[1])
    return False


def _with_texts(frame: Frame, mask: Mask, texts: tuple[Text, ...]) -> Mask:
    """Leave out what does not contain the texts; only what passed so far is read."""
    for text in texts:
        part = text.part if text.case_sensitive else text.part.casefold()
        for row in np.flatnonzero(mask).tolist():
            content = frame.content(row)
            mask[row] = part in (content if text.case_sensitive else content.casefold())
    return mask
