"""A part of a large memory: the whole topology, and the texts, vectors and words of some memories (decision 0012).

It applies the same events as everybody and comes to the same nodes, labels, edges and concepts. Vectors of other
memories are not taken in. Their texts are, until what they name, ask and state has been read out of them
(``let_go``); then an empty text stands in their place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from msgspec import UNSET
from msgspec.structs import replace
from numpy.typing import NDArray

from memorygraph.events import records as ev
from memorygraph.events.errors import DamagedLog
from memorygraph.events.types import Partition
from memorygraph.projections.filters import Filters
from memorygraph.projections.frame import ORDINAL_BITS, Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.recall import RecallIndex
from memorygraph.projections.seen import Indexes, Seen
from memorygraph.projections.tables import Table, View

HomeOf = Callable[[Partition, str, int], int]
"""Gives the virtual shard of a memory by its first partition, its id and the position that it was added at."""

HOMES: Final = 64
"""How many virtual shards there are."""

HOME_COLUMNS: Final[dict[str, Any]] = {"home": "u1"}
Mask = NDArray[np.bool_]


class PartialState(GraphState):
    """The writer's side of a part.

    Args:
        home_of: the virtual shard of a memory.
        held: the virtual shards that are kept here.
    """

    def __init__(self, home_of: HomeOf, held: frozenset[int]) -> None:
        super().__init__()
        self._home_of = home_of
        self._held = held
        self._homes = Table(HOME_COLUMNS)
        self._read_out = 0  # text rows whose foreign texts were let go

    def publish(self) -> Frame:
        """Return the state as a Frame, with the home of each node."""
        frame = super().publish()
        frame.homes = self._homes.publish()
        return frame

    def let_go(self, frame: Frame) -> None:
        """Drop the texts of other memories that a Frame has; what is needed of them was read out of them."""
        first, stop = self._read_out, frame.texts.count
        for row in (first + np.flatnonzero(~held_texts(frame, self._held, first, stop))).tolist():
            self.texts.set("content", row, "")
        self._read_out = stop

    def _node_added(self, event: ev.NodeAdded, birth: int) -> None:
        home = self._home_of(event.partition, event.id, birth >> ORDINAL_BITS)
        super()._node_added(event if home in self._held else replace(event, vector=b""), birth)
        row = self.interner.rows[event.id]
        if row == self._homes.count:
            self._homes.append(home)
        else:
            self._homes.set("home", row, home)

    def _node_revised(self, event: ev.NodeRevised, birth: int) -> None:
        if not self._holds(event.id):
            if event.content is UNSET and event.speaker is not UNSET and self._has_text(event.id):
                raise DamagedLog(f"a revision of who says {event.id!r} does not say what, so it cannot be indexed here")
            event = replace(event, vector=UNSET)
        super()._node_revised(event, birth)

    def _vectors_added(self, event: ev.VectorsAdded, birth: int) -> None:
        pairs = [pair for pair in zip(event.ids, event.vectors, strict=True) if self._holds(pair[0])]
        ids, vectors = tuple([node_id for node_id, _ in pairs]), tuple([vector for _, vector in pairs])
        super()._vectors_added(replace(event, ids=ids, vectors=vectors), birth)

    def _holds(self, node_id: str) -> bool:
        row = self.interner.rows.get(node_id)
        return row is not None and self._homes.value("home", row) in self._held

    def _has_text(self, node_id: str) -> bool:
        row = self._row(node_id)
        return row is not None and bool(self.nodes.value("text_row", row) >= 0)


class PartialIndex(RecallIndex):
    """The recall index of a part: concepts, questions and labels of all memories, words and vectors of some.

    It must be caught up before texts are let go.
    """

    def __init__(self, language: str, held: frozenset[int]) -> None:
        super().__init__(language)
        self._held = held
        self._own: WeakKeyDictionary[Seen, Seen] = WeakKeyDictionary()

    def own_at(self, frame: Frame, filters: Filters) -> Seen:
        """Return what a reader sees of the memories that are kept here."""
        seen = self.seen_at(frame, filters)
        own = self._own.get(seen)
        if own is None:
            indexes = Indexes(self.lexical, self.graph, self.labels, self.questions)
            own = self._own[seen] = Seen(frame, seen.nodes & held_nodes(frame, self._held), indexes)
        return own

    def _words_of(self, frame: Frame, first: int, stop: int) -> list[str]:
        is_held = held_texts(frame, self._held, first, stop).tolist()
        texts = super()._words_of(frame, first, stop)
        return [text if held else "" for text, held in zip(texts, is_held, strict=True)]


def homes_in(frame: Frame, table: NDArray[Any]) -> NDArray[Any]:
    """Look up each node's virtual shard in a table, shape (homes,) -> (node rows,)."""
    assert frame.homes is not None  # it is a part's
    found: NDArray[Any] = table[frame.homes.column("home")]
    return found


def held_nodes(frame: Frame, held: frozenset[int]) -> Mask:
    """Return which nodes are of memories that are kept here, shape (node rows,)."""
    table = np.zeros(HOMES, dtype=np.bool_)
    table[list(held)] = True
    return homes_in(frame, table)


def held_texts(frame: Frame, held: frozenset[int], first: int, stop: int) -> Mask:
    """Return which of the text rows first..stop-1 are of memories that are kept here, shape (stop - first,)."""
    assert frame.homes is not None  # it is a part's
    owners = frame.texts.tail("node", first)[: stop - first] if first < stop else np.zeros(0, np.int32)
    return np.isin(frame.homes.take("home", owners), list(held))


class LentTexts(View):
    """Text rows of which some are kept elsewhere: those that were lent are read here, others are noted as missing."""

    __slots__ = ("_lent", "missing")

    def __init__(self, view: View, lent: dict[int, str]) -> None:
        super().__init__(view.count, view.chunks, view.versions, view.kinds)
        self.joined = view.joined
        self._lent = lent
        self.missing: set[int] = set()

    def value(self, name: str, row: int) -> Any:
        """Return one cell; a text that is not here yet is empty."""
        value = super().value(name, row)
        if name != "content" or value:
            return value
        if row not in self._lent:
            self.missing.add(row)
        return self._lent.get(row, "")


def with_texts(frame: Frame, texts: View) -> Frame:
    """Return a Frame with other texts."""
    derived = {"_cache", "sights", "traces"}
    fields: dict[str, Any] = {name: getattr(frame, name) for name in Frame.__slots__ if name not in derived}
    return Frame(**fields | {"texts": texts})
