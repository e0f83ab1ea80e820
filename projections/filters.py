"""Which memories may be found: filters as masks over node rows, for every leg of a search.

Labels (tags, metadata, speaker, session, source) lie in rows that are never overwritten: a node whose labels change
points to a new row. So the codes kept here per label row only ever grow and serve every Frame, older or newer. A field
is coded when it is first asked for, then only as far as rows were added; a filter is one comparison of codes.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Hashable
from functools import reduce
from operator import attrgetter
from typing import Any, Final, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.frame import Extras, Frame
from memorygraph.projections.tables import View

Mask = NDArray[np.bool_]
NO_CODE: Final = -1


class Filters(Struct, frozen=True, kw_only=True):
    """Which memories may be found; None leaves a field open, ``metadata`` must match in every key named.

    ``tags``: all of them, or with ``tag_mode`` "any" one of them. ``scope``: code of a ``Scope``. ``owner``: the agent
    whose they are. ``since_us`` and ``until_us`` (both inclusive) are event time.
    """

    memory_type: int | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    session: str | int | None = None
    speaker: str | None = None
    source: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    tag_mode: Literal["all", "any"] = "all"
    scope: int | None = None
    owner: str | None = None


OPEN: Final = Filters()


class LabelIndex:
    """Codes of the values of label fields, by label row."""

    def __init__(self) -> None:
        self._fields: dict[tuple[str, str], _Codes] = {}
        self._growing = threading.Lock()

    def passing(self, frame: Frame, filters: Filters) -> Mask | None:
        """Return which node rows have the labels asked for, shape (node rows,); None if none are asked for."""
        tests = list(self._tests(frame.labels, filters))
        if not tests:
            return None
        rows = np.zeros(frame.labels.count + 1, dtype=np.bool_)  # the last place is for nodes without labels
        rows[:-1] = reduce(np.logical_and, tests)
        passing: Mask = rows[frame.nodes.column("label_row")]
        return passing

    def codes(self, frame: Frame, field: str) -> NDArray[np.int32]:
        """Return a number for each node's session, speaker or source, shape (node rows,); ``NO_CODE``: it has none."""
        labels = frame.labels
        rows = np.full(labels.count + 1, NO_CODE, dtype=np.int32)  # the last place is for nodes without labels
        rows[:-1] = self._codes(labels, field, "").rows[: labels.count]
        coded: NDArray[np.int32] = rows[frame.nodes.column("label_row")]
        return coded

    def values(self, frame: Frame, field: str) -> list[Any]:
        """Return the value of each number that ``codes`` gave at this Frame, and of some later ones."""
        return list(self._codes(frame.labels, field, "").values)

    def holding(self, frame: Frame, key: str, test: Callable[[Hashable], bool]) -> Mask:
        """Return which node rows have a value of metadata under a key that passes a test, shape (node rows,).

        Each different value is tested once, in the form that ``frozen`` gives it.
        """
        codes = self._codes(frame.labels, "metadata", key)
        passes = np.array([*map(test, list(codes.values)), False], dtype=np.bool_)  # the last place is for NO_CODE
        rows = np.zeros(frame.labels.count + 1, dtype=np.bool_)  # the last place is for nodes without labels
        rows[:-1] = passes[codes.rows[: frame.labels.count]]
        holding: Mask = rows[frame.nodes.column("label_row")]
        return holding

    def size_bytes(self) -> int:
        """Return the bytes of the codes."""
        return sum(codes.rows.nbytes for codes in list(self._fields.values()))

    def _tests(self, labels: View, filters: Filters) -> list[Mask]:
        tests = [
            self._codes(labels, name, "").equal_to(wanted, labels.count)
            for name in ("session", "speaker", "source", "owner")
            if (wanted := getattr(filters, name)) is not None
        ]
        tests += [
            self._codes(labels, "metadata", key).equal_to(frozen(value), labels.count)
            for key, value in filters.metadata.items()
        ]
        if filters.tags:
            join = np.logical_and if filters.tag_mode == "all" else np.logical_or
            tags = self._codes(labels, "tags", "")
            tests.append(reduce(join, [tags.holding(tag, labels.count) for tag in filters.tags]))
        return tests

    def _codes(self, labels: View, name: str, key: str) -> _Codes:
        codes = self._fields.get((name, key))
        if codes is None or codes.count < labels.count:
            with self._growing:
                codes = self._fields.get((name, key)) or _Codes(_reader(name, key))
                codes.grow(labels)
                self._fields[name, key] = codes
        return codes


class _Codes:
    """One field: a number for each different value, and the number of each label row (``NO_CODE``: it has none)."""

    def __init__(self, read: Callable[[Extras], Hashable]) -> None:
        self._read = read
        self._code_of: dict[Hashable, int] = {}
        self._holders: dict[str, array[int]] = {}  # of tags: the codes of the tuples that hold each
        self.rows: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self.count = 0

    @property
    def values(self) -> dict[Hashable, int]:
        """The values, in the order of their numbers."""
        return self._code_of

    def equal_to(self, value: Hashable, count: int) -> Mask:
        """Return which of the first ``count`` label rows have this value."""
        code = self._code_of.get(value)
        if code is None:
            return np.zeros(count, dtype=np.bool_)
        equal: Mask = self.rows[:count] == code
        return equal

    def holding(self, tag: str, count: int) -> Mask:
        """Return which of the first ``count`` label rows have a tuple that holds this tag."""
        size = len(self._code_of)
        is_holder = np.zeros(size + 1, dtype=np.bool_)  # the last place is for NO_CODE
        holders = self._holders.get(tag)
        if holders is not None:
            codes = np.frombuffer(holders.tobytes(), dtype=np.int32)  # a copy: the writer may be appending
            is_holder[codes[codes < size]] = True  # later ones are of newer rows
        held: Mask = is_holder[self.rows[:count]]
        return held

    def grow(self, labels: View) -> None:
        """Code the label rows that are new; one grower at a time, readers beside it."""
        first, total = self.count, labels.count
        if total <= first:
            return
        codes = np.fromiter(map(self._code, labels.cells("extras", first)), dtype=np.int32, count=total - first)
        if len(self.rows) < total:
            rows = np.empty(max(total, len(self.rows) * 5 // 4), dtype=np.int32)
            rows[:first] = self.rows[:first]
            self.rows = rows
        self.rows[first:total] = codes
        self.count = total

    def _code(self, extras: Extras) -> int:
        value = self._read(extras)
        if value is None or value == ():
            return NO_CODE
        code = self._code_of.get(value)
        if code is None:
            code = len(self._code_of)
            if isinstance(value, _Tags):
                for tag in value:
                    self._holders.setdefault(tag, array("i")).append(code)
            self._code_of[value] = code  # last: an interruption before it gives the same value the same code again
        return code


class _Tags(tuple[str, ...]):
    """The tags of a row, told apart from other values."""

    __slots__ = ()


def visible_nodes(frame: Frame, filters: Filters, labels: LabelIndex) -> Mask:
    """Return which node rows are live and pass the filters, shape (node rows,)."""
    nodes = frame.nodes
    mask = frame.live_rows()
    if filters == OPEN:
        return mask
    mask = mask.copy()
    if filters.memory_type is not None:
        mask &= nodes.column("memory_type") == filters.memory_type
    if filters.since_us is not None:
        mask &= nodes.column("occurred_us") >= filters.since_us
    if filters.until_us is not None:
        mask &= nodes.column("occurred_us") <= filters.until_us
    if filters.scope is not None:
        scopes = np.array([partition.scope for partition in frame.partitions], dtype=np.int64)
        mask &= scopes[nodes.column("partition")] == filters.scope
    passing = labels.passing(frame, filters)
    if passing is not None:
        mask &= passing
    return mask


def _reader(name: str, key: str) -> Callable[[Extras], Hashable]:
    if name == "metadata":
        return lambda extras: frozen(extras.metadata[key]) if key in extras.metadata else None
    if name == "tags":
        return lambda extras: _Tags(extras.tags)
    return attrgetter(name)


def frozen(value: Any) -> Hashable:
    """Return plain data in a form that can be a key, equal where the data is equal."""
    if isinstance(value, dict):
        return "map", frozenset((key, frozen(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return "list", tuple(frozen(inner) for inner in value)
    if isinstance(value, bool):  # equal to 1 and 0 otherwise
        return "bool", value
    return ("none",) if value is None else value
