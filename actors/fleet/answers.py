"""What each query answers with, as a type: so that an answer travels as MessagePack and comes out as it went in."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from memorygraph.actors import commands as cmd
from memorygraph.actors.graph_queries import (
    ByImportance,
    ByTime,
    CheapestPath,
    Components,
    Degree,
    Neighbours,
    SimilarEach,
    Traversal,
    Traverse,
)
from memorygraph.actors.index_queries import CatchUp
from memorygraph.actors.recall_many import RecallMany
from memorygraph.actors.review_queries import FindReviews, GetReviews, Retention
from memorygraph.actors.select import Select
from memorygraph.actors.sight_queries import Census, InSight, MovedAway, Whereabouts
from memorygraph.actors.spread_queries import Activated, Chain, Spread
from memorygraph.actors.timeline_queries import Histogram, Timeline
from memorygraph.events.errors import InputError
from memorygraph.events.records import EdgesAdded, NodeAdded, ReviewCard
from memorygraph.events.types import Partition
from memorygraph.projections.frame import EdgeState, NodeState
from memorygraph.projections.hit import Concept, Hit
from memorygraph.projections.hit_columns import HitColumns

ANSWER_TYPES: Final[dict[type[cmd.Query], Any]] = {
    cmd.GetNodes: list[NodeState | None],
    cmd.FindNodes: list[NodeState],
    cmd.GetEdges: list[EdgeState | None],
    cmd.NodeEdges: list[EdgeState],
    cmd.AllEdges: list[EdgeState],
    cmd.Everything: tuple[list[NodeAdded], EdgesAdded],
    cmd.Recall: list[Hit],
    RecallMany: HitColumns,
    cmd.Reason: list[Hit],
    cmd.Concepts: list[Concept],
    cmd.Superseded: dict[str, str],
    cmd.Similar: list[tuple[str, float]],
    cmd.MissingVectors: cmd.Missing,
    cmd.BornUpTo: list[str],
    cmd.Describe: cmd.Description,
    cmd.Summary: cmd.Overview,
    cmd.Digest: str,
    cmd.PositionAt: int,
    SimilarEach: list[list[tuple[str, float]]],
    Neighbours: list[str],
    Degree: int,
    Traverse: Traversal,
    CheapestPath: list[str] | None,
    Components: list[list[str]],
    ByImportance: list[NodeState],
    ByTime: list[NodeState],
    CatchUp: tuple[int, int],
    GetReviews: list[ReviewCard | None],
    FindReviews: list[tuple[str, ReviewCard]],
    Retention: bytes,
    Whereabouts: list[tuple[Partition, int] | None],
    MovedAway: list[str],
    Census: list[tuple[Partition, str | None, int]],
    Spread: Activated,
    Chain: list[str] | None,
    Timeline: list[tuple[NodeState, int, bool]],
    Histogram: list[tuple[int, int]],
}
_SELECTED: Final[dict[str, Any]] = {"nodes": list[NodeState], "ids": list[str], "count": int}


def answer_type(query: cmd.Query) -> Any:
    """Return the type of a query's answer.

    Raises:
        InputError: the query is not known here.
    """
    if isinstance(query, InSight):
        query = query.asked
    if isinstance(query, Select):
        return _SELECTED[query.give]
    try:
        return ANSWER_TYPES[type(query)]
    except KeyError:
        raise InputError(f"{type(query).__name__} is not a query that a fleet knows") from None


@cache
def query_types() -> Any:
    """Return the union of all queries that travel as themselves."""
    found: Any = Select
    for kind in ANSWER_TYPES:
        found = found | kind
    return found
