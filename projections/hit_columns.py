"""Hits of several questions as columns: each memory once, numbers as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isnan
from typing import Any, Final

import numpy as np
from msgspec import Struct

from memorygraph.projections.frame import NodeState
from memorygraph.projections.hit import Hit

_SHARES: Final = ("lexical", "dense", "walk", "turns", "session", "speaker")
_NOTES: Final = ("window", "superseded_by", "supersedes")
_FLAGS: Final = ("superseded_explicitly",)


class HitColumns(Struct, frozen=True, kw_only=True):
    """Hits of several questions, one after the other; ``hits_in`` makes hits of them again.

    ``counts`` says how many each question has. ``places`` (i4, little endian) are places in ``nodes``, ``scores`` and
    each of ``shares`` are f8, NaN for None. A column of nothing but None, '' or False is left out.
    """

    nodes: list[NodeState]
    counts: list[int]
    places: bytes
    scores: bytes
    shares: dict[str, bytes]
    terms: list[tuple[str, ...]]
    paths: list[tuple[str, ...]]
    concepts: list[tuple[str, ...]]
    notes: dict[str, list[str]]
    flags: dict[str, list[bool]]


def columns_of(hits: Sequence[Sequence[Hit]]) -> HitColumns:
    """Return the columns of the hits of several questions, which are of one position."""
    place_of: dict[str, int] = {}
    nodes: list[NodeState] = []
    every = [hit for some in hits for hit in some]
    for hit in every:
        if hit.node.id not in place_of:
            place_of[hit.node.id] = len(nodes)
            nodes.append(hit.node)
    shares = {name: [getattr(hit, name) for hit in every] for name in _SHARES}
    notes = {name: [getattr(hit, name) for hit in every] for name in _NOTES}
    flags = {name: [getattr(hit, name) for hit in every] for name in _FLAGS}
    return HitColumns(
        nodes=nodes,
        counts=list(map(len, hits)),
        places=np.array([place_of[hit.node.id] for hit in every], dtype="<i4").tobytes(),
        scores=np.array([hit.score for hit in every], dtype="<f8").tobytes(),
        shares={
            name: np.array(column, dtype="<f8").tobytes()
            for name, column in shares.items()
            if any(share is not None for share in column)
        },
        terms=_unless_empty([hit.terms for hit in every]),
        paths=_unless_empty([hit.path for hit in every]),
        concepts=_unless_empty([hit.concepts for hit in every]),
        notes={name: column for name, column in notes.items() if any(column)},
        flags={name: column for name, column in flags.items() if any(column)},
    )


def hits_in(columns: HitColumns) -> list[list[Hit]]:
    """Return the hits of each question."""
    places = np.frombuffer(columns.places, "<i4").tolist()
    fields: dict[str, list[Any]] = {
        "node": [columns.nodes[place] for place in places],
        "score": np.frombuffer(columns.scores, "<f8").tolist(),
    }
    for name, packed in columns.shares.items():
        fields[name] = [None if isnan(share) else share for share in np.frombuffer(packed, "<f8").tolist()]
    lists: dict[str, list[Any]] = {"terms": columns.terms, "path": columns.paths, "concepts": columns.concepts}
    lists |= columns.notes
    lists |= columns.flags
    fields |= {name: column for name, column in lists.items() if column}
    names = list(fields)
    every = [Hit(**dict(zip(names, values, strict=True))) for values in zip(*fields.values(), strict=True)]
    ends = np.cumsum([0, *columns.counts]).tolist()
    return [every[start:end] for start, end in pairwise(ends)]


def _unless_empty(column: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return column if any(column) else []
