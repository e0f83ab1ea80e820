"""Which memories are superseded, and by which: by an edge that says so, or by a later statement with another value.

An edge CONTRADICTS marked ``supersedes`` goes from the new memory to the old one. Unmarked, the later of its ends is
the current one. Else the rules of ``statements.py`` compare what two memories say of one subject in one respect. Later
means event time, then recording. Nothing is deleted and no score is lost: a search puts the current memory before the
superseded one and says so.

The index follows text rows, which are never overwritten; what a Frame does not see cannot supersede anything in it.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from memorygraph.events.types import EdgeType
from memorygraph.projections.frame import ALIVE, NO_EDGE_EXTRAS, NO_ROW, Frame
from memorygraph.projections.hit import Hit
from memorygraph.projections.segments import Lists, Segments, adder, part_of
from memorygraph.projections.similarity import births
from memorygraph.projections.snapshot_format import Part
from memorygraph.projections.statements import Statement, conflict, denied_subject, plain_claims, statements_of
from memorygraph.projections.values import Value

SUPERSEDES: Final = "supersedes"
"""Key in the metadata of an edge CONTRADICTS whose source takes the place of its target."""
VERSION: Final = "statements 3"
"""Of the rules and of what is kept of the index; to be raised with every change of either."""
_CHAIN_MAX: Final = 32
_COMPARED_MAX: Final = 64  # later statements that one is compared with before it counts as current
Stating = dict[str, list[tuple[int, int]]]
"""Text rows and nodes with statements of a key, the latest last."""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[Lists, int]).decode


class StatementIndex:
    """The statements of text rows, by subject and relation; grows with the rows and serves every Frame."""

    def __init__(self) -> None:
        self._rows: dict[str, array[int]] = {}
        self._keys: dict[int, tuple[str, ...]] = {}  # of the rows that state something
        self._denied: set[str] = set()  # subjects of what was denied
        self._count = 0
        self._growing = threading.Lock()
        self._segments = Segments()
        self._base: StatementIndex | None = None  # of a fork: who has the first rows
        self._base_count = 0

    @property
    def count(self) -> int:
        """How many text rows are read."""
        return self._count

    def fork(self, frame: Frame) -> StatementIndex:
        """Return an index that begins with the rows that a Frame has in this one and goes on by itself."""
        self.catch_up(frame)
        fork = StatementIndex()
        fork._base, fork._base_count = self, frame.texts.count
        fork._count, fork._denied = frame.texts.count, self._denied.copy()
        return fork

    def part(self, frame: Frame) -> Part:
        """Return what a snapshot keeps of the index, in segments; catch up first."""
        blobs: dict[str, Callable[[], bytes]] = {
            f"{first:09d}-{stop:09d}": partial(self._dump, first, stop)
            for first, stop in self._segments.ranges(frame.texts.count)
        }
        return Part(VERSION, frame.texts.count, blobs)

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Begin with what ``part`` gave to a snapshot, in an index that knows no rows yet.

        Raises:
            ValueError: the bytes are something else. What was read so far is right, and the rest is read anew.
        """
        with self._growing:
            for _, data in sorted(blobs.items()):
                try:
                    lists, stop = _decode(data)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise ValueError(f"these are not statements: {error}") from error
                adder(self._rows, lists, "i", self._count, stop)()
                self._count = stop
                self._segments.read(stop)
            for key, rows in self._rows.items():
                for row in rows:
                    self._note(row, key)

    def _dump(self, first: int, stop: int) -> bytes:
        return _encode((part_of(self._rows, first, stop), stop))

    def catch_up(self, frame: Frame, rows_max: int | None = None) -> bool:
        """Read the text rows that the Frame has and the index does not, or so many of them; return if it has all."""
        count = frame.texts.count
        if self._count >= count:
            return True
        with self._growing:
            stop = count if rows_max is None else min(count, self._count + rows_max)
            for row in range(self._count, stop):
                for statement in _statements(frame, row):
                    rows = self._rows.setdefault(statement.key, array("i"))
                    if not rows or rows[-1] != row:
                        rows.append(row)
                        self._note(row, statement.key)
                self._count = row + 1
        return self._count >= count

    def _note(self, row: int, key: str) -> None:
        self._keys[row] = (*self._keys.get(row, ()), key)
        if subject := denied_subject(key):
            self._denied.add(subject)

    def size_bytes(self) -> int:
        """Return about how many bytes the index takes."""
        return sum(96 + len(key) + len(rows) * 100 for key, rows in self._rows.copy().items())

    def superseding(self, frame: Frame, row: int, visible: NDArray[np.bool_], stating: Stating) -> int | None:
        """Return the visible node that says now what a node said before, otherwise; None if the node is current.

        Args:
            stating: who says what, as far as it was looked up at this Frame.
        """
        text_row = frame.nodes.value("text_row", row)
        if text_row == NO_ROW:
            return None
        text = frame.texts.value("content", text_row), frame.texts.value("speaker", text_row)
        claims = plain_claims(*text, self._denied) if self._denied else []
        said = [Statement(claim, Value()) for claim in claims]
        if self._is_rivalled(text_row):  # few are, and to read a text takes long
            said += statements_of(*text)
        found = [self._newer(frame, row, statement, visible, stating) for statement in said]
        newer = [node for node in found if node is not None]
        return max(newer, key=lambda node: when(frame, node)) if newer else None

    def _is_rivalled(self, text_row: int) -> bool:
        """Whether another row says something of what a row speaks of."""
        keys = self._keys if self._base is None or text_row >= self._base_count else self._base._keys
        return any(len(self._stating(key)) > 1 for key in keys.get(text_row, ()))

    def _stating(self, key: str) -> NDArray[np.int32]:
        """Return the text rows with a statement of this key."""
        own = self._rows.get(key)
        texts = np.frombuffer(b"" if own is None else own.tobytes(), dtype=np.int32)  # a copy: the writer may append
        if self._base is None:
            return texts
        before = self._base._stating(key)
        return np.concatenate([before[before < self._base_count], texts])

    def _newer(
        self, frame: Frame, row: int, said: Statement, visible: NDArray[np.bool_], stating: Stating
    ) -> int | None:
        """Return the node of the newest visible statement that is sure of the same or of another value, if another."""
        if said.key not in stating:
            stating[said.key] = self._nodes_stating(frame, said.key, visible)
        latest_first = stating[said.key][::-1]
        for text_row, node in latest_first[:_COMPARED_MAX]:
            if node == row or when(frame, node) <= when(frame, row):
                return None
            for other in _statements(frame, text_row):
                if other.key == said.key and not (other.is_local and _place(frame, node) != _place(frame, row)):
                    outcome = conflict(said, other)
                    if outcome is not None:
                        return node if outcome else None
        return None

    def _nodes_stating(self, frame: Frame, key: str, visible: NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Return the text rows and nodes of visible statements with a key, the latest last."""
        texts = self._stating(key)
        texts = texts[texts < frame.texts.count]
        owners = frame.texts.take("node", texts)
        current = visible[owners] & (frame.nodes.column("text_row")[owners] == texts)
        texts, owners = texts[current], owners[current]
        order = np.lexsort((births(frame, owners), frame.nodes.column("occurred_us")[owners]))
        order = order[-2 * _COMPARED_MAX :]
        return list(zip(texts[order].tolist(), owners[order].tolist(), strict=True))


def settled(
    frame: Frame,
    index: StatementIndex,
    hits: list[Hit],
    *,
    k: int,
    visible: NDArray[np.bool_],
    passing: NDArray[np.bool_],
) -> list[Hit]:
    """Return hits, at most k, with each superseded one marked and right behind the one that is current.

    A current memory that is moved up, or was not among the hits, gets the score of the one it is put before. Hits
    without a score keep their places.

    Args:
        hits: best first.
        visible: which nodes may supersede, shape (node rows,).
        passing: which nodes may be among the hits, shape (node rows,).
    """
    rows = [row for row in frame.rows(hit.node.id for hit in hits) if row is not None]
    newer = superseded(frame, index, rows, visible)
    if not newer:
        return hits
    name = frame.interner.ids
    hit_of = dict(zip(rows, hits, strict=True))
    told = _by_edges(frame, newer, visible)
    ordered: dict[int, Hit] = {}
    for row, hit in hit_of.items():
        current = newer.get(row)
        if current is not None and hit.score > 0 and current not in ordered and passing[current]:
            first = hit_of.get(current) or Hit(frame.node(current, vector=False), hit.score)
            ordered[current] = replace(first, score=max(first.score, hit.score), supersedes=hit.node.id)
        if row not in ordered:
            ordered[row] = hit
        if current is not None:
            ordered[row] = replace(ordered[row], superseded_by=name[current], superseded_explicitly=row in told)
    return list(ordered.values())[:k]


def marked(frame: Frame, hits: list[Hit], visible: NDArray[np.bool_]) -> list[Hit]:
    """Return hits in their order, with those marked that links supersede."""
    rows = {hit.node.id: row for hit in hits if (row := frame.row(hit.node.id)) is not None}
    newer = superseded(frame, None, list(rows.values()), visible)
    name = frame.interner.ids
    return [
        hit
        if (current := newer.get(rows.get(hit.node.id, NO_ROW))) is None
        else replace(hit, superseded_by=name[current], superseded_explicitly=True)
        for hit in hits
    ]


def superseded(
    frame: Frame, index: StatementIndex | None, rows: Sequence[int], visible: NDArray[np.bool_]
) -> dict[int, int]:
    """Return which of some nodes are superseded, each with the node that is current (the end of the chain).

    Args:
        index: of statements; None: only links count.
        rows: node rows.
        visible: which nodes may be looked at, shape (node rows,).
    """
    if index is not None:
        index.catch_up(frame)
    found: dict[int, int] = {}
    stating: Stating = {}
    open_rows = list(dict.fromkeys(rows))
    for _ in range(_CHAIN_MAX):
        by_edge = _by_edges(frame, open_rows, visible)
        newer = dict.fromkeys(open_rows) | by_edge
        if index is not None:
            newer |= {row: index.superseding(frame, row, visible, stating) for row in open_rows if row not in by_edge}
        found |= {row: other for row, other in newer.items() if other is not None}
        open_rows = [row for row in dict.fromkeys(found.values()) if row not in newer and row not in found]
        if not open_rows:
            break
    return {row: end for row in rows if (end := _end_of(frame, row, found)) != row}


def when(frame: Frame, row: int) -> tuple[int, int]:
    """Return what tells the later of two memories: event time, then birth."""
    return frame.nodes.value("occurred_us", row), frame.nodes.value("birth", row)


def _by_edges(frame: Frame, rows: Iterable[int], visible: NDArray[np.bool_]) -> dict[int, int]:
    """Return the nodes that an edge CONTRADICTS supersedes, each with the latest node that does so."""
    wanted = set(rows)
    edges = frame.edges
    found: dict[int, int] = {}
    incident = frame.adjacency.incident(edges, np.array(sorted(wanted), dtype=np.int32))
    contradicting = (
        incident[edges.take("edge_type", incident) == EdgeType.CONTRADICTS.code] if len(incident) else incident
    )
    for edge in contradicting.tolist():
        source, target = edges.value("source", edge), edges.value("target", edge)
        if not (edges.value("flags", edge) & ALIVE and visible[source] and visible[target]):
            continue
        extras = edges.value("extras", edge) or NO_EDGE_EXTRAS
        if not extras.metadata.get(SUPERSEDES) and when(frame, source) < when(frame, target):
            source, target = target, source
        if target in wanted and (target not in found or when(frame, source) > when(frame, found[target])):
            found[target] = source
    return found


def _end_of(frame: Frame, row: int, newer: dict[int, int]) -> int:
    """Follow a chain to its end; that of a circle is the latest in it."""
    passed = [row]
    while (after := newer.get(passed[-1])) is not None:
        if after in passed:
            return max(passed[passed.index(after) :], key=lambda one: when(frame, one))
        passed.append(after)
    return passed[-1]


def _place(frame: Frame, row: int) -> tuple[str | int | None, str | None]:
    """Return the session and the source of a node: what "the timeout" means is clear only within them."""
    label_row = frame.nodes.value("label_row", row)
    if label_row == NO_ROW:
        return None, None
    extras = frame.labels.value("extras", label_row)
    return extras.session, extras.source


def _statements(frame: Frame, text_row: int) -> list[Statement]:
    return statements_of(frame.texts.value("content", text_row), frame.texts.value("speaker", text_row))
