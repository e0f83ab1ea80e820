"""Checks of contents that were read: every value passes the rules that ``remember`` and ``link`` have.

Files hold many nodes and edges, and nearly all files are right: whole columns are asked whether all of them are
certainly right. Only if not, each item is checked by itself, so that the error can name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import eq
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import replace

from memorygraph import checks
from memorygraph.drafts import CHUNK_ITEMS, size_bytes
from memorygraph.events.errors import InputError
from memorygraph.events.records import EdgesAdded, NodeAdded, ReviewCard, SpaceDeclared
from memorygraph.events.types import CODE_MAX, LIMITS, Partition
from memorygraph.persistence.contents import Contents, edge_states
from memorygraph.projections.contents import columns_of
from memorygraph.projections.frame import EdgeState, parse_edge_id
from memorygraph.projections.review import GRADES_MAX, is_sound
from memorygraph.projections.text import analyzer_for
from memorygraph.times import to_us

# A file may come from a memory with larger limits: what must hold is that each item fits one command.
_LIMITS: Final = LIMITS._replace(
    content_bytes_max=LIMITS.command_bytes_max,
    tags_max=LIMITS.command_bytes_max,
    metadata_bytes_max=LIMITS.command_bytes_max,
)
_ITEM_BYTES_MAX: Final = LIMITS.command_bytes_max - (64 << 10)  # leaves room for the command around it
_TIME_MIN_US: Final = to_us(datetime.min.replace(tzinfo=UTC))
_TIME_MAX_US: Final = to_us(datetime.max.replace(tzinfo=UTC))
_PLAIN: Final = LIMITS._replace(content_bytes_max=1 << 20, tags_max=1000, metadata_bytes_max=1 << 20)
_PLAIN_CHARS: Final = 1 << 20  # far from what a command can hold, whatever else the node has
_RATE_MIN_H: Final = 1e-12
_RATE_MAX_H: Final = checks.DECAY_RATE_MAX_H / 2
# What a value that is not right can raise (InputError is a ValueError).
BAD_VALUE: Final = (TypeError, ValueError, OverflowError, RecursionError, msgspec.DecodeError)


def checked(contents: Contents) -> Contents:
    """Return contents whose every value passes the rules that ``remember`` and ``link`` have.

    Raises:
        InputError: one does not; the message names the node or edge.
    """
    analyzer_for(contents.language)  # a language that is not known here is refused, too
    checks.note("name", contents.name)
    checks.count("position", contents.position, 0, 2**62)
    checks.count("embedding_dim", contents.embedding_dim, 1, 1 << 16)
    space = _checked_space(contents.space)
    nodes: list[NodeAdded] = []
    for first in range(0, len(contents.nodes), CHUNK_ITEMS):
        some = contents.nodes[first : first + CHUNK_ITEMS]
        nodes += some if _are_right(some, space) else _each_node(some, first, space)
    ids = {node.id for node in nodes}
    if len(ids) < len(nodes):
        _require_different("nodes", [node.id for node in nodes])
    return replace(contents, nodes=nodes, edges=_checked_edges(contents.edges, ids))


def _checked_space(space: SpaceDeclared | None) -> SpaceDeclared | None:
    """Return a vector space."""
    if space is not None:
        checks.count("the space's number", space.space, 1, (1 << 16) - 1)
        checks.count("the space's dim", space.dim, 1, 1 << 16)
        checks.identifier("the space's name", space.name)
        checks.note("the space's version", space.version)
        if not isinstance(space.normalised, bool):
            raise InputError("the space's normalised is neither true nor false")
    return space


def _checked_node(given: NodeAdded, space: SpaceDeclared | None) -> NodeAdded:
    """Return a node whose values are of their types and in their ranges.

    Raises:
        InputError, TypeError: one is not.
    """
    node = NodeAdded(
        id=checks.identifier("id", given.id),
        content=checks.content(given.content, _LIMITS, empty=True),
        memory_type=checks.count("memory_type", given.memory_type, 0, CODE_MAX),
        importance=_between("importance", given.importance, 0.0, 1.0),
        emotional_valence=_between("emotional_valence", given.emotional_valence, -1.0, 1.0),
        confidence=_between("confidence", given.confidence, 0.0, 1.0),
        consolidation_state=checks.count("consolidation_state", given.consolidation_state, 0, CODE_MAX),
        decay_function=checks.count("decay_function", given.decay_function, 0, CODE_MAX),
        decay_rate=checks.decay_rate(given.decay_rate),
        tags=checks.tags(given.tags, _LIMITS) if given.tags else (),
        metadata=checks.metadata(given.metadata, _LIMITS) if given.metadata else {},
        occurred_us=_time_us("occurred_us", given.occurred_us),
        speaker=checks.optional_text("speaker", given.speaker),
        session=checks.session(given.session),
        source=checks.optional_text("source", given.source),
        vector=_vector_of(given.vector, space) if given.vector else b"",
        partition=Partition(
            checks.count("the partition's scope", given.partition.scope, 0, CODE_MAX),
            checks.note("the partition's name", given.partition.name),
        ),
        recorded_us=_time_us("created_us", given.recorded_us),
        access_count=checks.count("access_count", given.access_count, 0, (1 << 32) - 1),
        access_times_us=tuple([_time_us("access_times_us", time_us) for time_us in given.access_times_us]),
        expires_us=None if given.expires_us is None else _time_us("expires_us", given.expires_us),
        owner=checks.optional_text("owner", given.owner),
        archived=_flag("archived", given.archived),
        review=None if given.review is None else _checked_review(given.review),
    )
    if size_bytes(node) > _ITEM_BYTES_MAX:
        raise InputError(f"it takes more than {_ITEM_BYTES_MAX} bytes")
    return node


def _checked_review(given: ReviewCard) -> ReviewCard:
    """Return a card whose numbers can be used; those of its model, which may be a newer one, are taken as they are."""
    card = ReviewCard(
        model=checks.count("the review's model", given.model, 0, CODE_MAX),
        stability_days=float(given.stability_days),
        difficulty=float(given.difficulty),
        repetitions=checks.count("the review's repetitions", given.repetitions, 0, (1 << 32) - 1),
        reviewed_us=_time_us("the review's reviewed_us", given.reviewed_us),
        due_us=_time_us("the review's due_us", given.due_us),
        grades=tuple([_between("a grade", grade, 0.0, 1.0) for grade in given.grades[-GRADES_MAX:]]),
    )
    if not is_sound(card):
        raise InputError("its review has a stability or a difficulty that is none")
    return card


def _each_node(nodes: Sequence[NodeAdded], first: int, space: SpaceDeclared | None) -> list[NodeAdded]:
    found = []
    for at, node in enumerate(nodes, first):
        try:
            found.append(_checked_node(node, space))
        except BAD_VALUE as error:
            raise InputError(f"nodes[{at}] ({checks.shown(node.id)}): {checks.one_line(error)}") from error
    return found


def _are_right(nodes: Sequence[NodeAdded], space: SpaceDeclared | None) -> bool:
    """Whether all of these nodes are certainly right."""
    dim = 0 if space is None else space.dim
    vectors = [node.vector for node in nodes if node.vector]
    if not (_all_of(bytes, vectors) and all(len(vector) == 4 * dim for vector in vectors)):
        return False
    numbers = np.frombuffer(b"".join(vectors), "<f4")
    try:
        for tags in {node.tags for node in nodes if node.tags}:  # many have the same
            if checks.tags(tags, _PLAIN) != tags:
                return False
        for node in nodes:
            _require_plain_texts(node)
        times_us = [
            time_us for node in nodes for time_us in (node.recorded_us, node.occurred_us, *node.access_times_us)
        ]
        times_us += [node.expires_us for node in nodes if node.expires_us is not None]
        whole = [(node.memory_type, node.consolidation_state, node.decay_function) for node in nodes]
        codes = [*(code for several in whole for code in several), *(node.partition.scope for node in nodes)]
        counts = [node.access_count for node in nodes]
        unit = [number for node in nodes for number in (node.importance, node.confidence)]
        valences, rates = [node.emotional_valence for node in nodes], [node.decay_rate for node in nodes]
        return (
            all(_all_of(int, column) for column in (times_us, codes, counts))
            and _all_of(bool, [node.archived for node in nodes])
            and not any(node.review for node in nodes)
            and all(_all_of(float, column) for column in (unit, valences, rates))
            and all(
                _within(*limits)
                for limits in (
                    (times_us, _TIME_MIN_US, _TIME_MAX_US),
                    (codes, 0, CODE_MAX),
                    (counts, 0, (1 << 32) - 1),
                    (unit, 0.0, 1.0),
                    (valences, -1.0, 1.0),
                    (rates, _RATE_MIN_H, _RATE_MAX_H),
                    (numbers, -checks.VECTOR_MAX, checks.VECTOR_MAX),
                )
            )
        )
    except BAD_VALUE:
        return False


def _require_plain_texts(node: NodeAdded) -> None:
    """Check the texts and labels of a node.

    Raises:
        InputError, TypeError: it may be that something is wrong.
    """
    content, metadata = node.content, node.metadata
    checks.identifier("id", node.id)
    if checks.content(content, _PLAIN, empty=True) is not content or (metadata and len(content) > _PLAIN_CHARS):
        raise InputError("it may take too much room")
    if metadata:
        checks.metadata(metadata, _PLAIN)
    for text in (node.speaker, node.source, node.owner):
        if text is not None:
            checks.identifier("a label", text)
    if node.session is not None:
        checks.session(node.session)
    if node.partition.name:
        checks.note("the partition's name", node.partition.name)


def _checked_edges(edges: EdgesAdded, node_ids: set[str]) -> EdgesAdded:
    """Return edges whose values are of their types and in their ranges, between nodes of the file."""
    if {len(getattr(edges, name)) for name in edges.__struct_fields__} != {len(edges.sources)}:
        raise InputError("the columns of the edges differ in length")
    if not _all_of(bool, edges.undirected):
        raise InputError("whether an edge is directed is neither true nor false")
    chosen = [name for name in edges.ids if name]
    if _are_right_edges(edges, chosen, node_ids):
        return edges
    found = []
    for at, state in enumerate(edge_states(edges)):
        try:
            found.append(_checked_edge(state, node_ids))
        except BAD_VALUE as error:
            raise InputError(f"edges[{at}] ({checks.shown(state.id)}): {checks.one_line(error)}") from error
    _require_different("edges", edges.ids)
    return columns_of(found)


def _are_right_edges(edges: EdgesAdded, chosen: list[str], node_ids: set[str]) -> bool:
    """Whether all of these edges are certainly right; ``chosen`` are the ids that they have."""
    texts = _all_of(str, edges.ids) and _all_of(str, edges.sources) and _all_of(str, edges.targets)
    numbers = _all_of(float, edges.weights) and _all_of(float, edges.confidences) and _all_of(int, edges.types)
    if not texts or not numbers or any(edges.metadata) or not _all_of(dict, edges.metadata):
        return False
    return (
        all(map(str.isprintable, chosen))
        and max(map(len, chosen), default=0) <= checks.NAME_CHARS_MAX
        and not any(parse_edge_id(name) is not None for name in chosen)
        and len(set(chosen)) == len(chosen)
        and node_ids.issuperset(edges.sources)
        and node_ids.issuperset(edges.targets)
        and not any(map(eq, edges.sources, edges.targets))
        and _within(edges.types, 0, CODE_MAX)
        and _within(edges.weights, 0.0, 1.0)
        and _within(edges.confidences, 0.0, 1.0)
    )


def _checked_edge(given: EdgeState, node_ids: set[str]) -> EdgeState:
    if given.id != "":
        checks.identifier("id", given.id)
        if parse_edge_id(given.id) is not None:
            raise InputError("ids of this form are given by a memory and mean nothing in another; leave it empty")
    for end in (given.source_id, given.target_id):
        if end not in node_ids:
            raise InputError(f"there is no node {checks.shown(end)} in the file")
    if given.source_id == given.target_id:
        raise InputError("an edge needs two different nodes")
    edge = replace(
        given,
        edge_type=checks.count("edge_type", given.edge_type, 0, CODE_MAX),
        weight=_between("weight", given.weight, 0.0, 1.0),
        confidence=_between("confidence", given.confidence, 0.0, 1.0),
        metadata=checks.metadata(given.metadata, _LIMITS),
    )
    if size_bytes(edge) > _ITEM_BYTES_MAX:
        raise InputError(f"it takes more than {_ITEM_BYTES_MAX} bytes")
    return edge


def _require_different(name: str, ids: Iterable[str]) -> None:
    """Check that no id but the empty one comes twice."""
    seen: set[str] = set()
    for at, each in enumerate(ids):
        if each in seen:
            raise InputError(f"{name}[{at}] ({checks.shown(each)}): the id is there twice")
        if each:
            seen.add(each)


def _within(values: Any, low: float, high: float) -> bool:
    """Whether all numbers are in a range (NaN is in none)."""
    array = np.asarray(values)
    return not len(array) or bool(array.min() >= low and array.max() <= high)


def _all_of(kind: type, values: Sequence[Any]) -> bool:
    return list(map(type, values)).count(kind) == len(values)


def _between(name: str, given: float, low: float, high: float) -> float:
    if not low <= given <= high:
        raise InputError(f"{name} must be a number from {low:g} to {high:g}, not {given}")
    return checks.number(name, given, low, high)


def _flag(name: str, given: object) -> bool:
    if not isinstance(given, bool):
        raise InputError(f"{name} is neither true nor false")
    return given


def _time_us(name: str, given: int | None) -> int:
    if type(given) is not int or not _TIME_MIN_US <= given <= _TIME_MAX_US:
        raise InputError(f"{name} must be microseconds within the years 1 to 9999, not {checks.shown(given)}")
    return given


def _vector_of(data: bytes, space: SpaceDeclared | None) -> bytes:
    """Return a vector's bytes; it must be one of the file's space."""
    if space is None or len(data) != 4 * space.dim:
        wanted = "no vectors" if space is None else f"vectors of {space.dim} dimensions"
        raise InputError(f"the vector has {len(data)} bytes; the file says that the memory holds {wanted}")
    return checks.vector(np.frombuffer(data, dtype="<f4"))
