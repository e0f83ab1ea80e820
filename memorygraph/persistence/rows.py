"""Nodes and edges as rows of numbers, texts and bytes: what SQLite's tables and pickled lists hold.

Codes are written as the names that people read; lists and maps as JSON texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import islice
from typing import Any, Final

import msgspec

from memorygraph import checks
from memorygraph.events.errors import InputError
from memorygraph.events.records import EdgesAdded, NodeAdded, ReviewCard, SpaceDeclared
from memorygraph.events.types import (
    CODE_MAX,
    CodedEnum,
    ConsolidationState,
    DecayFunction,
    EdgeType,
    MemoryType,
    Partition,
    Scope,
)
from memorygraph.persistence.checking import BAD_VALUE, checked
from memorygraph.persistence.contents import Contents

Row = Sequence[Any]

# Column -> its type in SQL (none: as it is given). An edge without a chosen id has none.
NODE_COLUMNS: Final = {
    "id": "TEXT NOT NULL",
    "content": "TEXT NOT NULL",
    "memory_type": "TEXT NOT NULL",
    "importance": "REAL NOT NULL",
    "emotional_valence": "REAL NOT NULL",
    "confidence": "REAL NOT NULL",
    "consolidation_state": "TEXT NOT NULL",
    "decay_function": "TEXT NOT NULL",
    "decay_rate": "REAL NOT NULL",
    "tags": "TEXT NOT NULL",
    "metadata": "TEXT NOT NULL",
    "speaker": "TEXT",
    "session": "",
    "source": "TEXT",
    "scope": "TEXT NOT NULL",
    "place": "TEXT NOT NULL",
    "owner": "TEXT",
    "archived": "INTEGER NOT NULL",
    "created_us": "INTEGER NOT NULL",
    "occurred_us": "INTEGER NOT NULL",
    "expires_us": "INTEGER",
    "access_count": "INTEGER NOT NULL",
    "access_times_us": "TEXT NOT NULL",
    "review": "TEXT",
    "vector": "BLOB",
}
EDGE_COLUMNS: Final = {
    "id": "TEXT",
    "source_id": "TEXT NOT NULL",
    "target_id": "TEXT NOT NULL",
    "edge_type": "TEXT NOT NULL",
    "weight": "REAL NOT NULL",
    "confidence": "REAL NOT NULL",
    "directed": "INTEGER NOT NULL",
    "metadata": "TEXT NOT NULL",
}
_ROWS_AT_ONCE: Final = 500
ABOUT: Final = ("name", "language", "position", "embedding_dim", "space")


def about_of(contents: Contents) -> dict[str, Any]:
    """Return what there is to say beside nodes and edges, as plain data."""
    about = {name: getattr(contents, name) for name in ABOUT}
    about["space"] = None if contents.space is None else msgspec.structs.asdict(contents.space)
    return about


def node_rows(nodes: Iterable[NodeAdded]) -> Iterator[tuple[Any, ...]]:
    """Give nodes as rows of ``NODE_COLUMNS``."""
    kind, state, function, scope = map(_labels, (MemoryType, ConsolidationState, DecayFunction, Scope))
    for node in nodes:
        yield (
            node.id,
            node.content,
            kind[node.memory_type],
            node.importance,
            node.emotional_valence,
            node.confidence,
            state[node.consolidation_state],
            function[node.decay_function],
            node.decay_rate,
            _json(node.tags) if node.tags else "[]",
            _json(node.metadata) if node.metadata else "{}",
            node.speaker,
            node.session,
            node.source,
            scope[node.partition.scope],
            node.partition.name,
            node.owner,
            int(node.archived),
            node.recorded_us,
            node.occurred_us,
            node.expires_us,
            node.access_count,
            _json(node.access_times_us) if node.access_times_us else "[]",
            None if node.review is None else _json(node.review),
            node.vector or None,
        )


def edge_rows(edges: EdgesAdded) -> Iterator[tuple[Any, ...]]:
    """Give edges as rows of ``EDGE_COLUMNS``."""
    kind = _labels(EdgeType)
    return zip(
        [name or None for name in edges.ids],
        edges.sources,
        edges.targets,
        [kind[code] for code in edges.types],
        edges.weights,
        edges.confidences,
        [int(not undirected) for undirected in edges.undirected],
        [_json(data) if data else "{}" for data in edges.metadata],
        strict=True,
    )


def contents_from(about: Mapping[str, Any], nodes: Iterable[Row], edges: Iterable[Row]) -> Contents:
    """Return the contents that rows stand for, checked.

    Raises:
        InputError: a value is missing or cannot be used; the message names the node or edge.
    """
    missing = sorted(set(ABOUT) ^ set(about))
    if missing:
        raise InputError(f"the field {checks.shown(missing[0])} is {'unknown' if missing[0] in about else 'missing'}")
    return checked(
        Contents(
            name=about["name"],
            language=about["language"],
            position=about["position"],
            embedding_dim=about["embedding_dim"],
            space=None if about["space"] is None else msgspec.convert(about["space"], SpaceDeclared),
            nodes=_nodes_from(nodes),
            edges=_edges_from(edges),
        )
    )


def _reader_of_nodes() -> Callable[[Row], NodeAdded]:
    codes = [_codes(kind) for kind in (MemoryType, ConsolidationState, DecayFunction, Scope)]
    texts = msgspec.json.Decoder(tuple[str, ...]).decode
    times = msgspec.json.Decoder(tuple[int, ...]).decode
    return partial(_node_from, codes=codes, texts=texts, times=times, partition=cache(Partition))


def _node_from(row: Row, *, codes: list[dict[str, int]], texts: Any, times: Any, partition: Any) -> NodeAdded:
    (
        node_id,
        content,
        kind,
        importance,
        valence,
        confidence,
        state,
        function,
        decay_rate,
        tags,
        metadata,
        speaker,
        session,
        source,
        scope,
        place,
        owner,
        archived,
        created_us,
        occurred_us,
        expires_us,
        access_count,
        access_times_us,
        review,
        vector,
    ) = row
    kinds, states, functions, scopes = codes
    if archived not in {0, 1}:
        raise InputError("archived is neither 0 nor 1")
    return NodeAdded(
        id=node_id,
        content=content,
        memory_type=kinds[kind],
        importance=importance,
        emotional_valence=valence,
        confidence=confidence,
        consolidation_state=states[state],
        decay_function=functions[function],
        decay_rate=decay_rate,
        tags=() if tags == "[]" else texts(tags),
        metadata={} if metadata == "{}" else _map(metadata),
        occurred_us=occurred_us,
        speaker=speaker,
        session=session,
        source=source,
        vector=b"" if vector is None else vector,
        partition=partition(scopes[scope], place),
        recorded_us=created_us,
        access_count=access_count,
        access_times_us=() if access_times_us == "[]" else times(access_times_us),
        expires_us=expires_us,
        owner=owner,
        archived=bool(archived),
        review=None if review is None else _review(review),
    )


def _edges_from(rows: Iterable[Row]) -> EdgesAdded:
    """Turn rows into columns, some at a time: so many tuples at once would keep the garbage collector busy."""
    edges = EdgesAdded(sources=[], targets=[])
    columns = [getattr(edges, name) for name in EdgesAdded.__struct_fields__]
    kinds, remaining = _codes(EdgeType), iter(rows)
    while some := list(islice(remaining, _ROWS_AT_ONCE)):
        try:
            part = _edge_columns(some, kinds)
        except (LookupError, *BAD_VALUE) as error:
            raise _edge_at_fault(len(edges.sources), some, kinds, error) from error
        for column, name in zip(columns, EdgesAdded.__struct_fields__, strict=True):
            column.extend(getattr(part, name))
    return edges


def _edge_at_fault(first: int, rows: list[Row], kinds: dict[str, int], error: Exception) -> InputError:
    """Return the error of the row that cannot be read."""
    for at, row in enumerate(rows, first):
        try:
            _edge_columns([row], kinds)
        except (LookupError, *BAD_VALUE) as found:
            return _wrong("edges", at, row, found)
    return _wrong("edges", first, rows[0], error)


def _edge_columns(rows: list[Row], kinds: dict[str, int]) -> EdgesAdded:
    ids, sources, targets, types, weights, confidences, directed, metadata = map(list, zip(*rows, strict=True))
    if not set(directed) <= {0, 1}:
        raise InputError("directed is neither 0 nor 1")
    nothing: dict[str, Any] = {}
    return EdgesAdded(
        sources=sources,
        targets=targets,
        weights=weights,
        types=[kinds[name] for name in types],
        undirected=[not flag for flag in directed],
        confidences=confidences,
        metadata=[nothing if data == "{}" else _map(data) for data in metadata],
        ids=["" if name is None else name for name in ids],
    )


def _nodes_from(rows: Iterable[Row]) -> list[NodeAdded]:
    read = _reader_of_nodes()
    found: list[NodeAdded] = []
    row: Row = ()
    try:
        for row in rows:
            found.append(read(row))
    except (LookupError, *BAD_VALUE) as error:
        raise _wrong("nodes", len(found), row, error) from error
    return found


def _wrong(name: str, at: int, row: Row, error: Exception) -> InputError:
    shown = checks.shown(row[0] if isinstance(row, list | tuple) and row else row)
    problem = f"{error} is not a name it can have" if isinstance(error, KeyError) else checks.one_line(error)
    return InputError(f"{name}[{at}] ({shown}): {problem}")


def _labels(kind: type[CodedEnum]) -> list[str]:
    """Return the name of each code; one that this release does not know has its number in it."""
    return [kind.from_code(code).value for code in range(CODE_MAX + 1)]


def _codes(kind: type[CodedEnum]) -> dict[str, int]:
    return {label: code for code, label in enumerate(_labels(kind))}


def _json(data: Any) -> str:
    return _encode(data).decode()


_encode: Final = msgspec.json.Encoder().encode
_map: Final = msgspec.json.Decoder(dict[str, Any]).decode
_review: Final = msgspec.json.Decoder(ReviewCard).decode
