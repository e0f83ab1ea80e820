"""What it means to merge near-duplicates: one node stays, with the labels and edges of those that go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from memorygraph.actors import commands as cmd
from memorygraph.actors.touches import SPACE, review_of, version_of
from memorygraph.events import records as ev
from memorygraph.events.types import LIMITS, EdgeType
from memorygraph.projections.contents import columns_of
from memorygraph.projections.duplicates import near_duplicates
from memorygraph.projections.frame import ALIVE, EdgeState, Frame, parse_edge_id

if TYPE_CHECKING:
    from memorygraph.actors.decide import Proposer

REINFORCED: Final = 0.1  # for each node that was merged into it, a node gains importance: I += 0.1 (1 - I)
_MOVES_MAX: Final = LIMITS.command_events_max // 2  # edges moved by one command; each may need an event
_METADATA_BYTES_MAX: Final = LIMITS.metadata_bytes_max
_Key = tuple[int, bool, str, str]


def merge_similar(proposer: Proposer, operation: cmd.MergeSimilar) -> None:
    """Merge as many near-duplicates as one command can hold, the most important first."""
    frame = proposer._frame
    whole = proposer.frame()  # edges to what is in the archive are moved, too
    found: dict[int, list[int]] = {}
    for rows in _places(frame):
        found |= near_duplicates(frame, proposer.norms(), operation.threshold, operation.candidates, rows)
    into: dict[str, str] = {}  # the id that goes -> the id that stays
    labels: list[ev.NodeRevised] = []
    moves = 0
    opposed = _contradicting(frame)
    for keeper, others in found.items():
        going, change = _labels_of_all(frame, keeper, _free_to_go(frame, keeper, others, opposed))
        moves += len(_incident(whole, going)) + 2
        if moves > _MOVES_MAX and into:
            break
        name = frame.interner.ids
        into |= {name[row]: name[keeper] for row in going}
        labels += [change] if change is not None else []
    if not into:
        return
    edges, revised = _moved_edges(whole, into)
    _rest_on(proposer, into, revised)
    proposer.events += labels
    proposer.events.append(ev.NodesReinforced(ids=tuple(into.values()), deltas=(REINFORCED,) * len(into)))
    for keeper_id in dict.fromkeys(into.values()):
        gone = tuple(node_id for node_id, stays in into.items() if stays == keeper_id)
        proposer.events.append(ev.NodesForgotten(ids=gone, reason=f"merged into {keeper_id}", neighbours=(keeper_id,)))
    if edges:
        proposer.events.append(proposer.named(columns_of(edges)))
    proposer.events += revised


def _rest_on(proposer: Proposer, into: Mapping[str, str], revised: list[ev.EdgeRevised]) -> None:
    """Note that we rely on the nodes as they are, on the edges of those that go, and on what these lead to."""
    frame = proposer.frame()
    proposer.reads.append(SPACE)
    for node_id in {*into, *into.values()}:
        proposer.reads += [node_id, version_of(node_id)]
    proposer.reads += map(review_of, into)
    proposer.edges_of += into
    for row in _incident(frame, [row for row in frame.rows(into) if row is not None]):
        edge = frame.edge(row)
        proposer.reads += [edge.id, version_of(edge.id), edge.source_id, edge.target_id]
    for change in revised:
        proposer.reads += [change.id, version_of(change.id)]


def _places(frame: Frame) -> Iterator[NDArray[np.int32]]:
    """Give the rows of what is in one partition, of one owner and expires together.

    So nobody gets to see anything by a merge, or loses it.
    """
    rows = np.flatnonzero(frame.live_rows())
    partitions = frame.nodes.column("partition")
    members: dict[tuple[int, str | None, int | None], list[int]] = {}
    for row in rows.tolist():
        extras = frame.extras(row)
        members.setdefault((int(partitions[row]), extras.owner, extras.expires_us), []).append(row)
    for some in members.values():
        yield np.array(some, dtype=np.int32)


def _free_to_go(frame: Frame, keeper: int, others: list[int], opposed: set[tuple[int, int]]) -> list[int]:
    """Return which of the others may go: none of them contradicts another one, or the one that stays.

    A node that is reviewed stays: its schedule is its own.
    """
    going: list[int] = []
    for row in others:
        is_reviewed = frame.nodes.value("review", row) is not None
        if not is_reviewed and not any((row, other) in opposed for other in (keeper, *going)):
            going.append(row)
    return going


def _contradicting(frame: Frame) -> set[tuple[int, int]]:
    """Return the node rows that an edge CONTRADICTS joins, each pair both ways round."""
    edges = frame.edges
    is_one = (edges.column("flags") & ALIVE).astype(np.bool_) & (edges.column("edge_type") == EdgeType.CONTRADICTS.code)
    pairs = list(zip(edges.column("source")[is_one].tolist(), edges.column("target")[is_one].tolist(), strict=True))
    return {*pairs, *((two, one) for one, two in pairs)}


def _labels_of_all(frame: Frame, keeper: int, others: list[int]) -> tuple[list[int], ev.NodeRevised | None]:
    """Return which nodes can be merged within the limits of a node, and what changes in the one that stays."""
    before = frame.extras(keeper)
    tags, metadata = before.tags, before.metadata
    going = []
    for row in others:
        extras = frame.extras(row)
        all_tags = tuple(dict.fromkeys((*tags, *extras.tags)))
        all_metadata = {**extras.metadata, **metadata}
        if len(all_tags) > LIMITS.tags_max or len(msgspec.json.encode(all_metadata)) > _METADATA_BYTES_MAX:
            continue
        tags, metadata = all_tags, all_metadata
        going.append(row)
    changed: dict[str, Any] = {}
    if tags != before.tags:
        changed["tags"] = tags
    if metadata != before.metadata:
        changed["metadata"] = metadata
    return going, ev.NodeRevised(id=frame.interner.ids[keeper], **changed) if changed else None


def _moved_edges(frame: Frame, into: Mapping[str, str]) -> tuple[list[EdgeState], list[ev.EdgeRevised]]:
    """Return the edges to add in place of those that go, and the edges that take in one of the same kind and ends."""
    going = [row for row in frame.rows(into) if row is not None]
    staying = [row for row in frame.rows(dict.fromkeys(into.values())) if row is not None]
    lost = set(_incident(frame, going))
    there = {_key(edge): edge for row in _incident(frame, staying) if row not in lost for edge in [frame.edge(row)]}
    added: dict[_Key, EdgeState] = {}
    for row in sorted(lost):
        edge = frame.edge(row)
        source, target = into.get(edge.source_id, edge.source_id), into.get(edge.target_id, edge.target_id)
        if source == target:
            continue
        name = "" if parse_edge_id(edge.id) is not None else edge.id
        moved = msgspec.structs.replace(edge, id=name, source_id=source, target_id=target)
        key = _key(moved)
        if key in there:
            there[key] = _joined(there[key], moved)
        else:
            added[key] = _joined(added[key], moved) if key in added else moved
    revised = []
    for edge in there.values():
        place = frame.edge_row(edge.id)
        if place is not None and frame.edge(place) != edge:
            ends = (edge.source_id, edge.target_id)
            revised.append(
                ev.EdgeRevised(
                    id=edge.id, weight=edge.weight, confidence=edge.confidence, metadata=edge.metadata, nodes=ends
                )
            )
    return list(added.values()), revised


def _joined(edge: EdgeState, other: EdgeState) -> EdgeState:
    """Return an edge that stands for two: as strong and as sure as either, with what is said of both."""
    return msgspec.structs.replace(
        edge,
        weight=max(edge.weight, other.weight),
        confidence=max(edge.confidence, other.confidence),
        metadata={**other.metadata, **edge.metadata},
    )


def _key(edge: EdgeState) -> _Key:
    one, two = edge.source_id, edge.target_id
    if not edge.directed and two < one:
        one, two = two, one
    return edge.edge_type, edge.directed, one, two


def _incident(frame: Frame, rows: list[int]) -> list[int]:
    found: list[int] = frame.adjacency.incident(frame.edges, np.array(rows, dtype=np.int32)).tolist()
    return found
