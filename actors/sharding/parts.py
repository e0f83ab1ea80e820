"""What the shards of one memory ask each other, and how a shard answers from what it keeps.

All parts of an answer are of one position and one sight. A memory is named by its place: the memories that are seen,
pass the filters and are kept by the shard, in order of birth, counted from 0. Who asks knows the same nodes, so it
knows the same places; ``Places`` lets it check that. Arrays are little-endian bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from memorygraph.actors import commands as cmd
from memorygraph.actors.commands import Query
from memorygraph.events.records import NodeAdded
from memorygraph.projections.contents import nodes_in
from memorygraph.projections.digest import partial_sum
from memorygraph.projections.filters import OPEN, Filters
from memorygraph.projections.frame import Frame
from memorygraph.projections.partial import PartialIndex
from memorygraph.projections.seen import Seen
from memorygraph.projections.selecting import Selection, selected
from memorygraph.projections.sight import only
from memorygraph.projections.similarity import births, nearest_each

if TYPE_CHECKING:
    from memorygraph.actors.sharding.member import Member

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


class Places(Struct, frozen=True):
    """Of how many memories an answer speaks, and the sum of their births, by which two shards see that they agree."""

    count: int
    births: int


class Asked(Struct, frozen=True):
    """The words and the vector (bytes) of a question, None and empty if it has none."""

    words: str | None
    vector: bytes


class LegsOf(Query, frozen=True, kw_only=True):
    """What words and vectors of some questions find among the memories of a shard -> ``list[Legs]``."""

    asked: list[Asked]
    filters: Filters = OPEN


class Legs(Struct, frozen=True, kw_only=True):
    """Postings by column, rows and terms of the texts they are counted over, and the cosine of every place.

    ``places`` i4, ``terms`` i4, ``frequencies`` u2 and ``lengths`` i4 have one number per posting; ``dense`` is f4.
    """

    of: Places
    rows: int = 0
    all_terms: int = 0
    places: bytes = b""
    terms: bytes = b""
    frequencies: bytes = b""
    lengths: bytes = b""
    dense: bytes = b""


class CodesOf(Query, frozen=True, kw_only=True):
    """The codes of the terms of some memories' texts -> ``tuple[bytes, bytes]``: i4, and i8: how many each has."""

    ids: list[str]


class TextsOf(Query, frozen=True, kw_only=True):
    """The texts of some memories -> ``list[str]``."""

    ids: list[str]


class NearestOf(Query, frozen=True, kw_only=True):
    """The nearest memories of each of some vectors -> ``list[list[tuple[int, str, float]]]``: birth, id, cosine.

    ``selection``: what they must be besides, at ``now_us``.
    """

    vectors: list[bytes]
    k: int
    threshold: float
    filters: Filters = OPEN
    faiss: float = 0.0
    selection: Selection | None = None
    now_us: int = 0


class PassingOf(Query, frozen=True, kw_only=True):
    """Which memories of a shard pass a selection -> ``tuple[Places, bytes]``: i4."""

    selection: Selection
    now_us: int


class MissingOf(Query, frozen=True, kw_only=True):
    """The memories of a shard without a vector of a space -> ``Missing``."""

    space: int
    limit: int


class AddedOf(Query, frozen=True, kw_only=True):
    """All memories of a shard as the events that would add them -> ``list[NodeAdded]``."""


class SumOf(Query, frozen=True, kw_only=True):
    """What a shard's memories and the edges out of these add to the digest -> ``str``, hexadecimal.

    ``whole``: all that is recorded, not only what is seen.
    """

    whole: bool


class BytesOf(Query, frozen=True, kw_only=True):
    """What a shard keeps, in bytes -> ``dict[str, int]``."""


class Ordered(NamedTuple):
    """Memories in order of birth: their node rows, the place of each node row, and by what the list is recognised."""

    rows: Rows
    place: NDArray[np.int32]
    of: Places


def ordered(frame: Frame, mask: Mask) -> Ordered:
    """Return the nodes of a mask, shape (node rows,), in the order that places count."""
    rows = np.flatnonzero(mask)
    birth = births(frame, rows.astype(np.int32))
    if not (birth[1:] > birth[:-1]).all():
        rows = rows[np.argsort(birth, kind="stable")]
    place = np.zeros(len(mask), np.int32)
    place[rows] = np.arange(len(rows))
    return Ordered(rows, place, Places(len(rows), int(birth.sum())))


def _legs(member: Member, frame: Frame, query: LegsOf) -> list[Legs]:
    index = member.part_index(frame)
    own = index.own_at(frame, query.filters)
    rows, place, of = member.ordered(index.seen_at(frame, query.filters), member.number)
    dense = index.dense_each(own, [np.frombuffer(each.vector, "<f4") for each in query.asked if each.vector])
    found = []
    for each in query.asked:
        packed = next(dense)[rows].astype("<f4").tobytes() if each.vector else b""
        found.append(_with_words(index, own, place, each.words, Legs(of=of, dense=packed)))
    return found


def _with_words(index: PartialIndex, own: Seen, place: NDArray[np.int32], words: str | None, legs: Legs) -> Legs:
    """Add the postings of words to what a vector finds."""
    if words is None:
        return legs
    found = index.lexical.postings(index.lexical.analyzer.words(words), own.texts)
    return replace(
        legs,
        rows=own.statistics.rows,
        all_terms=own.statistics.terms,
        places=place[own.owner[found.rows]].astype("<i4").tobytes(),
        terms=found.terms.astype("<i4").tobytes(),
        frequencies=found.frequencies.astype("<u2").tobytes(),
        lengths=found.lengths.astype("<i4").tobytes(),
    )


def _codes(member: Member, frame: Frame, query: CodesOf) -> tuple[bytes, bytes]:
    texts = frame.nodes.take("text_row", _rows(frame, query.ids))
    codes, sizes = member.part_index(frame).lexical.codes_of(texts)
    return codes.astype("<i4").tobytes(), sizes.astype("<i8").tobytes()


def _texts(_: Member, frame: Frame, query: TextsOf) -> list[str]:
    return [frame.content(row) for row in _rows(frame, query.ids).tolist()]


def _nearest(member: Member, frame: Frame, query: NearestOf) -> list[list[tuple[int, str, float]]]:
    index = member.part_index(frame)
    visible = index.own_at(frame, query.filters).nodes
    if query.selection is not None:
        visible = selected(frame, query.selection, index.labels, query.now_us, among=visible)
    if query.faiss:
        asked_of = [
            cmd.Similar(vector=each, k=query.k, threshold=query.threshold, faiss=query.faiss) for each in query.vectors
        ]
        found = [member.near(frame, index.norms, np.frombuffer(each.vector, "<f4"), each, visible) for each in asked_of]
    else:
        asked = np.stack([np.frombuffer(vector, "<f4") for vector in query.vectors])
        found = nearest_each(frame, index.norms, asked, query.k, query.threshold, visible=visible)
    ids, birth = frame.interner.ids, frame.nodes.value
    return [[(birth("birth", row), ids[row], cosine) for row, cosine in each] for each in found]


def _passing(member: Member, frame: Frame, query: PassingOf) -> tuple[Places, bytes]:
    index = member.part_index(frame)
    mine = member.ordered(index.seen_at(frame, OPEN), member.number)
    among = index.own_at(frame, OPEN).nodes
    passing = selected(frame, query.selection, index.labels, query.now_us, among=among)
    return mine.of, np.flatnonzero(passing[mine.rows]).astype("<i4").tobytes()


def _missing(member: Member, frame: Frame, query: MissingOf) -> cmd.Missing:
    return member.missing(_own(member, frame), cmd.MissingVectors(space=query.space, limit=query.limit))


def _added(member: Member, frame: Frame, _: AddedOf) -> list[NodeAdded]:
    return nodes_in(_own(member, frame))


def _sum(member: Member, frame: Frame, query: SumOf) -> str:
    frame = frame.recorded if query.whole else frame
    return f"{partial_sum(frame, member.own_nodes(frame), spaces=member.is_first):x}"


def _bytes(member: Member, frame: Frame, _: BytesOf) -> dict[str, int]:
    return member.bytes_by_part(frame)


def _own(member: Member, frame: Frame) -> Frame:
    """Return a Frame of the memories that the shard keeps."""
    return only(frame, member.own_nodes(frame))


def _rows(frame: Frame, ids: list[str]) -> NDArray[np.int32]:
    return np.array([frame.interner.rows[name] for name in ids], dtype=np.int32)


ANSWERS: Final[dict[type[Query], Callable[[Member, Frame, Any], Any]]] = {
    LegsOf: _legs,
    CodesOf: _codes,
    TextsOf: _texts,
    NearestOf: _nearest,
    PassingOf: _passing,
    MissingOf: _missing,
    AddedOf: _added,
    SumOf: _sum,
    BytesOf: _bytes,
    cmd.GetNodes: lambda member, frame, query: member.states(frame, query),
}
