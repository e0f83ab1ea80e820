"""What a fork of the state (``GraphState.fork``) has in the place of tables that grow for everybody.

Ids, edge names and the adjacency are shared by all Frames: they only grow, and a Frame leaves out what lies beyond its
own rows. A fork makes rows that nobody else may see, under numbers that others will give to rows of their own. So it
sees of the shared ones only what its Frame counts, and keeps its own beside them.
"""

from __future__ import annotations

from typing import Any

from memorygraph.projections.adjacency import Adjacency, Built
from memorygraph.projections.frame import Frame
from memorygraph.projections.tables import Interner, View


class OverlayInterner(Interner):
    """The ids of a Frame, and those of its fork."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.ids = _OverlayIds(frame.interner.ids, frame.nodes.count)
        self.rows = _OverlayRows(frame.interner.rows, frame.nodes.count)


class _OverlayIds(list[str]):
    """A list that begins with the first ``count`` items of another and holds the rest itself."""

    def __init__(self, shared: list[str], count: int) -> None:
        super().__init__()
        self._shared = shared
        self._count = count

    def __len__(self) -> int:
        return self._count + super().__len__()

    def __getitem__(self, row: Any) -> Any:
        return self._shared[row] if row < self._count else super().__getitem__(row - self._count)

    def copy(self) -> list[str]:
        return [*self._shared[: self._count], *self]


class _OverlayRows(dict[str, int]):
    """A dictionary over another, of which only rows below ``count`` are seen."""

    def __init__(self, shared: dict[str, int], count: int) -> None:
        super().__init__()
        self._shared = shared
        self._count = count

    def __missing__(self, key: str) -> int:
        row = self._shared[key]
        if row >= self._count:
            raise KeyError(key)
        return row

    def __contains__(self, key: object) -> bool:
        return self.get(key) is not None

    def get(self, key: Any, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default


class OverlayNames(dict[str, int]):
    """The chosen ids of a Frame's edges, and those of its fork."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self._frame = frame

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the newest row of that name: of the fork, else of the Frame."""
        row = super().get(key)
        if row is None:
            row = self._frame.edge_row(key) if key in self._frame.edge_names else None
        return default if row is None else row


class OverlayAdjacency(Adjacency):
    """The index of a Frame's edges; those of its fork are its tail."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self._frame = frame

    def compact(self, edges: View) -> None:
        """Leave the index as it is: it is for everybody, and the fork's edges are not."""

    def _indexed(self, edges: View) -> tuple[Built, int]:
        del edges
        return self._frame.adjacency._indexed(self._frame.edges)
