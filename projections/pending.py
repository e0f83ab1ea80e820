"""A second vector space while it is being filled: its vectors, and which of them each node has (decision 0009).

Both are tables, so Frames of before and after see what was there in their time. When the space is activated its table
takes the place of the active one, and every node points into it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.events.errors import DamagedLog
from memorygraph.events.records import SpaceDeclared
from memorygraph.projections.columns import vector_columns
from memorygraph.projections.frame import NO_ROW
from memorygraph.projections.tables import Table, View

ROW_COLUMNS: Final[dict[str, Any]] = {"vector_row": "i4"}
_SMALL: Final = 64


class PendingView:
    """A pending space at one position."""

    __slots__ = ("rows", "space", "vectors")

    def __init__(self, space: SpaceDeclared, vectors: View, rows: View) -> None:
        self.space = space
        self.vectors = vectors
        self.rows = rows

    def size_bytes(self) -> int:
        """Return the bytes of its tables."""
        return self.vectors.size_bytes() + self.rows.size_bytes()

    def vector_rows(self, count: int) -> NDArray[np.int32]:
        """Return the vector row of each of the first ``count`` nodes, ``NO_ROW`` where it has none yet."""
        rows = np.full(count, NO_ROW, dtype=np.int32)
        known = min(count, self.rows.count)
        rows[:known] = self.rows.column("vector_row")[:known]
        return rows


class PendingSpace:
    """The writer's side of a pending space."""

    def __init__(self, space: SpaceDeclared) -> None:
        self.space = space
        self.vectors = Table(vector_columns(space.dim))
        self._rows = Table(ROW_COLUMNS)

    @classmethod
    def fork(cls, view: PendingView) -> PendingSpace:
        """Return one that goes on from a view; neither sees the other's changes."""
        pending = cls(view.space)
        pending.vectors = Table.fork(vector_columns(view.space.dim), view.vectors)
        pending._rows = Table.fork(ROW_COLUMNS, view.rows)
        return pending

    def put(self, node_row: int, vector: bytes) -> None:
        """Give a node its vector.

        Raises:
            DamagedLog: it does not have the space's dimension.
        """
        if len(vector) != 4 * self.space.dim:
            raise DamagedLog("a vector does not have the dimension of its space", bytes=len(vector))
        missing = node_row + 1 - self._rows.count
        if missing > _SMALL:
            self._rows.extend(np.full(missing, NO_ROW, dtype=np.int32))
        else:
            for _ in range(missing):
                self._rows.append(NO_ROW)
        self._rows.set("vector_row", node_row, self.vectors.append(node_row, vector))

    def drop(self, node_row: int) -> None:
        """Take a node's vector back: its text is another now."""
        if node_row < self._rows.count:
            self._rows.set("vector_row", node_row, NO_ROW)

    def publish(self) -> PendingView:
        """Return the space as it is now."""
        return PendingView(self.space, self.vectors.publish(), self._rows.publish())
