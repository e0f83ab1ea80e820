"""Two graphs compared, merged, and one brought in line with the other: for agents that worked apart.

Nodes are the same if their ids are, edges if they join the same nodes in the same way. Where the two share a history
(copies, forks and views of one memory, or one was synced with the other before), what both had then is known: so a
deletion on one side is a deletion, a change on one side is that change, and only what both changed is a conflict, which
a strategy decides. Recalls are no changes. Where a graph is asked for, the ``AgentMemory`` that has it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import asdict, replace

from memorygraph import checks
from memorygraph.actors.commands import Describe, Everything, GetNodes
from memorygraph.actors.engine import Committed, Engine
from memorygraph.actors.sight_queries import InSight
from memorygraph.actors.spaces import foreign_vectors, same_space
from memorygraph.core.graph import HasGraph, MemoryGraph, graph_in
from memorygraph.events.errors import InputError
from memorygraph.events.records import EdgesAdded, NodeAdded
from memorygraph.events.types import EdgeType
from memorygraph.home import Home
from memorygraph.persistence.contents import Contents, contents_of, edge_states, restore
from memorygraph.projections.contents import columns_of
from memorygraph.projections.frame import EdgeState
from memorygraph.projections.sight import WHOLE
from memorygraph.syncing import bring_in_line

T = TypeVar("T")
_Tags = tuple[str, ...]
_USAGE: Final = frozenset({"access_count", "access_times_us"})
_OWN: Final = ("recorded_us", "owner", "partition", "space", *_USAGE)
"""Of a node that both have, these stay as the left one has them."""


SYNCED: Final = "synced"
"""The name in the provenance of a sync's records that says with what: memory, position and the command there."""


class MergeStrategy(Enum):
    """What becomes of a node or edge that both sides changed, or have in two ways.

    UNION: tags and metadata of both, the rest as the side has it that changed later (of an edge: the stronger one).
    KEEP_NEWEST: the node that changed later. KEEP_IMPORTANT: the more important node, the stronger edge. What one side
    deleted and the other changed stays, unless KEEP_LEFT or KEEP_RIGHT names the side that deleted it.
    """

    UNION = "union"
    KEEP_LEFT = "keep_left"
    KEEP_RIGHT = "keep_right"
    KEEP_NEWEST = "keep_newest"
    KEEP_IMPORTANT = "keep_important"


class EdgeKey(NamedTuple):
    """What tells edges of a graph apart: ends (of an undirected one in order), type, and a number among equal ones."""

    source_id: str
    target_id: str
    edge_type: str
    directed: bool
    number: int = 0


class GraphDiff(Struct, frozen=True, kw_only=True):
    """What the second graph has otherwise than the first: ids of nodes and keys of edges.

    ``changed_nodes`` and ``changed_edges`` give of each the fields that differ: ``{field: (first, second)}``.
    """

    added_nodes: tuple[str, ...] = ()
    removed_nodes: tuple[str, ...] = ()
    changed_nodes: dict[str, dict[str, tuple[Any, Any]]] = {}
    added_edges: tuple[EdgeKey, ...] = ()
    removed_edges: tuple[EdgeKey, ...] = ()
    changed_edges: dict[EdgeKey, dict[str, tuple[Any, Any]]] = {}

    @property
    def added(self) -> tuple[str, ...]:
        """The nodes that only the second has."""
        return self.added_nodes

    @property
    def removed(self) -> tuple[str, ...]:
        """The nodes that only the first has."""
        return self.removed_nodes

    @property
    def changed(self) -> tuple[str, ...]:
        """The nodes that both have, in two ways."""
        return tuple(self.changed_nodes)

    @property
    def is_empty(self) -> bool:
        """Whether both are the same."""
        return self == GraphDiff()

    def summary(self) -> dict[str, int]:
        """Return how many there are of each."""
        return {name: len(getattr(self, name)) for name in self.__struct_fields__}

    def __str__(self) -> str:
        return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.summary().items())


class _Side(NamedTuple):
    """A graph's nodes by id and edges by key."""

    nodes: dict[str, NodeAdded]
    edges: dict[EdgeKey, EdgeState]


def diff_graphs(left: MemoryGraph | HasGraph, right: MemoryGraph | HasGraph) -> GraphDiff:
    """Return what the right graph has otherwise than the left one, in any field but when and how often it was recalled.

    Nodes are the same if their ids are, edges if they join the same nodes with the same type and direction.
    """
    return _diff(_side_of(contents_of(graph_in(left))), _side_of(contents_of(graph_in(right))))


def merge_graphs(
    left: MemoryGraph | HasGraph,
    right: MemoryGraph | HasGraph,
    strategy: MergeStrategy | str = MergeStrategy.UNION,
    *,
    name: str = "merged",
) -> MemoryGraph:
    """Return a new graph, in memory, of what both have; neither is changed.

    Args:
        strategy: what becomes of what both have in two ways; a ``MergeStrategy`` or its name.
        name: of the new graph.

    Raises:
        InputError: there is no such strategy.
        EmbedderMismatch: their vectors come from two embedders.
    """
    left, right = graph_in(left), graph_in(right)
    contents = contents_of(left)
    merged = _merged(left, contents, right, _strategy(strategy))
    graph = MemoryGraph(contents.embedding_dim, name)
    space = contents.space or contents_of(right).space
    restore(replace(contents, space=space, nodes=list(merged.nodes.values()), edges=_columns(merged)), graph._home)
    return graph


def sync_into(
    target: MemoryGraph | HasGraph, source: MemoryGraph | HasGraph, strategy: MergeStrategy | str = MergeStrategy.UNION
) -> GraphDiff:
    """Bring a graph in line with another in place, and return what changed in it; the other is not changed.

    Up to about 1,000 changes are one transaction; more are made in several, which are each all or nothing.

    Args:
        strategy: as in ``merge_graphs``; the target is the left one.

    Raises:
        InputError: there is no such strategy.
        EmbedderMismatch: their vectors come from two embedders.
        TransactionConflict: somebody changed the target meanwhile; sync again.
    """
    target, source = graph_in(target), graph_in(source)
    contents = contents_of(target)
    before = _side_of(contents)
    said = _synced(source._home.engine)
    merged = _merged(target, contents, source, _strategy(strategy))
    diff = _diff(before, merged)
    bring_in_line(_saying(target, said), before.nodes, merged.nodes, merged.edges, diff, _key)
    return diff


def _strategy(given: MergeStrategy | str) -> MergeStrategy:
    try:
        return MergeStrategy(given)
    except ValueError as error:
        choices = ", ".join(one.value for one in MergeStrategy)
        raise InputError(f"{checks.shown(given)} is not a strategy; use one of: {choices}") from error


def _merged(left: MemoryGraph, contents: Contents, right: MemoryGraph, strategy: MergeStrategy) -> _Side:
    others = contents_of(right)
    if contents.space and others.space and not same_space(contents.space, others.space):
        raise foreign_vectors(others.space, contents.space)
    mine, theirs = _side_of(contents), _side_of(others)
    base = _last_sync(left._home.engine, right._home.engine) or _base_of(left._home.engine, right._home.engine)
    conflicts = [
        node_id for node_id, node in mine.nodes.items() if node_id in theirs.nodes and node != theirs.nodes[node_id]
    ]
    later = _Later(_changed_us(left, conflicts), _changed_us(right, conflicts), strategy)
    nodes: dict[str, NodeAdded] = {}
    for node_id in dict.fromkeys([*mine.nodes, *theirs.nodes]):
        one, other = mine.nodes.get(node_id), theirs.nodes.get(node_id)
        before = None if base is None else base.nodes.get(node_id)
        kept = _one_of(one, other, before, strategy, later.merged)
        if kept is not None:
            nodes[node_id] = kept if one is None else replace(kept, **{name: getattr(one, name) for name in _OWN})
    edges: dict[EdgeKey, EdgeState] = {}
    names: set[str] = set()
    for key in dict.fromkeys([*mine.edges, *theirs.edges]):
        was = None if base is None else base.edges.get(key)
        edge = _one_of(mine.edges.get(key), theirs.edges.get(key), was, strategy, later.merged_edge)
        if edge is not None and key.source_id in nodes and key.target_id in nodes:
            edges[key] = replace(edge, id="") if edge.id in names else edge  # a chosen id that both gave
            names |= {edge.id} - {""}
    return _Side(nodes, edges)


def _one_of(one: Any, other: Any, before: Any, strategy: MergeStrategy, merged: Any) -> Any:
    """Return what is left of two, one of which may be missing (None); ``before`` is what both had once."""
    if one is not None and other is not None:
        if _same(one, other) or (before is not None and _same(other, before)):
            return one
        return other if before is not None and _same(one, before) else merged(one, other, before)
    left_one, is_left = (one, True) if other is None else (other, False)
    if before is None:  # the other side never had it
        return left_one
    if _same(left_one, before):
        return None
    deleting = MergeStrategy.KEEP_RIGHT if is_left else MergeStrategy.KEEP_LEFT
    return None if strategy is deleting else left_one


class _Later:
    """Decides conflicts, by a strategy."""

    def __init__(self, left_us: Mapping[str, int], right_us: Mapping[str, int], strategy: MergeStrategy) -> None:
        self._left_us = left_us
        self._right_us = right_us
        self._strategy = strategy

    def merged(self, left: NodeAdded, right: NodeAdded, before: NodeAdded | None) -> NodeAdded:
        """Return one node for two."""
        is_right_later = self._right_us.get(left.id, 0) > self._left_us.get(left.id, 0)
        match self._strategy:
            case MergeStrategy.KEEP_LEFT:
                return left
            case MergeStrategy.KEEP_RIGHT:
                return right
            case MergeStrategy.KEEP_IMPORTANT if left.importance != right.importance:
                return left if left.importance > right.importance else right
            case MergeStrategy.KEEP_NEWEST | MergeStrategy.KEEP_IMPORTANT:
                return right if is_right_later else left
        newer = right if is_right_later else left
        fields = {
            name: _field(getattr(left, name), getattr(right, name), getattr(before, name, None), getattr(newer, name))
            if before is not None
            else getattr(newer, name)
            for name in left.__struct_fields__
        }
        fields["tags"] = _tags(left.tags, right.tags, () if before is None else before.tags, newer.tags)
        fields["metadata"] = _metadata(left, right, before, newer)
        return NodeAdded(**fields)

    def merged_edge(self, left: EdgeState, right: EdgeState, before: EdgeState | None) -> EdgeState:
        """Return one edge for two."""
        del before
        if self._strategy is MergeStrategy.KEEP_LEFT:
            return left
        if self._strategy is MergeStrategy.KEEP_RIGHT:
            return right
        strong, weak = (left, right) if _strength(left) >= _strength(right) else (right, left)
        if self._strategy is MergeStrategy.UNION:
            return replace(strong, metadata={**weak.metadata, **strong.metadata})
        return strong


def _field(left: T, right: T, before: T | None, newer: T) -> T:
    """Return a field that one side changed as that side has it; that both changed, as the later one."""
    if left == before:
        return right
    return left if right == before else newer


def _tags(left: _Tags, right: _Tags, before: _Tags, newer: _Tags) -> _Tags:
    """Return the tags of both, without those that one of them took away; in the order of a side that has just these.

    So two that are brought in line with each other in turns come to the same order, and stay there.
    """
    ours, theirs, were = set(left), set(right), set(before)
    if ours == theirs:
        return _field(left, right, before, newer)
    kept = (ours | theirs) - (were - (ours & theirs))
    for side, has in ((left, ours), (right, theirs)):
        if has == kept:
            return side
    return tuple(tag for tag in dict.fromkeys([*left, *right]) if tag in kept)


def _metadata(left: NodeAdded, right: NodeAdded, before: NodeAdded | None, newer: NodeAdded) -> dict[str, Any]:
    were = {} if before is None else before.metadata
    merged: dict[str, Any] = {}
    for key in dict.fromkeys([*left.metadata, *right.metadata]):
        one, other = left.metadata.get(key, _MISSING), right.metadata.get(key, _MISSING)
        was = were.get(key, _MISSING)
        if one is _MISSING or other is _MISSING:
            value = one if other is _MISSING else other
            if was is _MISSING or value != was:
                merged[key] = value
        else:
            merged[key] = _field(one, other, was, newer.metadata[key])
    return merged


_MISSING: Final[Any] = object()


def _strength(edge: EdgeState) -> float:
    return edge.weight * edge.confidence


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) if isinstance(one, EdgeState) else not _changes(one, other)


def _base_of(left: Engine, right: Engine) -> _Side | None:
    """Return what both graphs had at their last common position; None if they share no history."""
    if left.memory_id != right.memory_id:
        return None
    low, high = 0, min(engine.ask(Describe()).position for engine in (left, right))
    while low < high:  # records up to low are the same; those from high + 1 on are not
        middle = (low + high + 1) // 2
        if _mark(left, middle) == _mark(right, middle):
            low = middle
        else:
            high = middle - 1
    return _side_at(left, low) if low else None


def _side_at(engine: Engine, position: int) -> _Side:
    nodes, edges = engine.at(position).ask(InSight(sight=WHOLE, asked=Everything())).value
    return _side_from(nodes, edges)


def _last_sync(target: Engine, source: Engine) -> _Side | None:
    """Return the source as it was when the target was last brought in line with it; None if it never was.

    All that the source had then was taken into account, so whatever is otherwise now was changed since.
    """
    found = 0
    for committed in target.read(1):
        memory_id, _, rest = committed.provenance.get(SYNCED, "").partition(" ")
        position, _, command_id = rest.partition(" ")
        if memory_id == source.memory_id and position.isascii() and position.isdigit():
            mark = _mark(source, int(position)) if int(position) <= source.ask(Describe()).position else ()
            found = int(position) if mark and mark[0][0] == command_id else found
    return _side_at(source, found) if found else None


def _synced(source: Engine) -> dict[str, str]:
    """Return what the records of a sync say: up to where the source was looked at."""
    position = source.ask(Describe()).position
    mark = _mark(source, position)
    return {SYNCED: f"{source.memory_id} {position} {mark[0][0]}"} if mark else {}


def _saying(graph: MemoryGraph, said: Mapping[str, str]) -> MemoryGraph:
    """Return the same graph, whose records say something more of where they come from."""
    home = graph._home
    author = home.author.but(None, said)
    twin = Home(
        home.engine,
        author=author,
        limits=home.limits,
        embedders=home.embedders,
        clock=home.clock,
        ids=home.ids,
        listeners=home.listeners,
    )
    return MemoryGraph(graph.embedding_dim, graph.name, home=twin)


def _mark(engine: Engine, position: int) -> tuple[Any, ...]:
    """What tells a record from another one at the same position; of one whose hash alone is kept, nothing does."""
    found: list[Committed] = list(engine.read(position, position))
    return tuple((one.command_id, one.time_us) for one in found if one.events is not None)


def _changed_us(graph: MemoryGraph, ids: list[str]) -> dict[str, int]:
    """Return when nodes were changed last, in microseconds."""
    if not ids:
        return {}
    engine = graph._home.engine
    states = engine.ask(InSight(sight=WHOLE, asked=GetNodes(ids=ids, vectors=False))).value
    versions = {state.id: state.version for state in states if state is not None}
    times = {at: one.time_us for at in set(versions.values()) for one in engine.read(at, at)}
    return {node_id: times.get(version, 0) for node_id, version in versions.items()}


def _side_of(contents: Contents) -> _Side:
    return _side_from(contents.nodes, contents.edges)


def _side_from(nodes: Iterable[NodeAdded], edges: EdgesAdded) -> _Side:
    keyed: dict[EdgeKey, EdgeState] = {}
    for state in edge_states(edges):
        key = _key(state)
        while key in keyed:
            key = key._replace(number=key.number + 1)
        keyed[key] = state
    return _Side({node.id: replace(node, space=0) for node in nodes}, keyed)


def _key(state: EdgeState) -> EdgeKey:
    ends = (state.source_id, state.target_id)
    source, target = ends if state.directed else sorted(ends)
    return EdgeKey(source, target, EdgeType.from_code(state.edge_type).value, state.directed)


def _columns(side: _Side) -> EdgesAdded:
    return columns_of(list(side.edges.values()))


def _diff(left: _Side, right: _Side) -> GraphDiff:
    both = [node_id for node_id in left.nodes if node_id in right.nodes]
    changed = {node_id: _changes(left.nodes[node_id], right.nodes[node_id]) for node_id in both}
    joined = {key: _edge_changes(left.edges[key], right.edges[key]) for key in left.edges if key in right.edges}
    return GraphDiff(
        added_nodes=tuple(node_id for node_id in right.nodes if node_id not in left.nodes),
        removed_nodes=tuple(node_id for node_id in left.nodes if node_id not in right.nodes),
        changed_nodes={node_id: fields for node_id, fields in changed.items() if fields},
        added_edges=tuple(key for key in right.edges if key not in left.edges),
        removed_edges=tuple(key for key in left.edges if key not in right.edges),
        changed_edges={key: fields for key, fields in joined.items() if fields},
    )


def _changes(one: NodeAdded, other: NodeAdded) -> dict[str, tuple[Any, Any]]:
    return {
        name: (getattr(one, name), getattr(other, name))
        for name in one.__struct_fields__
        if name not in _USAGE and getattr(one, name) != getattr(other, name)
    }


def _edge_changes(one: EdgeState, other: EdgeState) -> dict[str, tuple[Any, Any]]:
    mine, theirs = asdict(one), asdict(other)
    names = ("weight", "confidence", "metadata")
    return {name: (mine[name], theirs[name]) for name in names if mine[name] != theirs[name]}
