"""The shard: the projections of a memory and the answers they give. Plain Python and NumPy, no transport inside."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np

from memorygraph.actors import commands as cmd
from memorygraph.actors import graph_queries, review_queries, spread_queries
from memorygraph.actors.index_queries import CatchUp
from memorygraph.actors.pace import Pace
from memorygraph.actors.recall_many import RecallMany
from memorygraph.actors.select import Select
from memorygraph.actors.sight_queries import Census, InSight, MovedAway, Whereabouts
from memorygraph.actors.spaces import foreign_vectors, missing_vectors, same_space
from memorygraph.actors.timeline_queries import Histogram, Timeline, histogram_of, timeline_of
from memorygraph.events.errors import DamagedSnapshot, NodeNotFoundError
from memorygraph.events.log import no_rest
from memorygraph.events.records import EdgesAdded, Event, NodeAdded, SpaceDeclared
from memorygraph.events.types import ConsolidationState, Partition
from memorygraph.projections.contents import edges_in, nodes_in
from memorygraph.projections.contradictions import VERSION as STATEMENTS_VERSION
from memorygraph.projections.contradictions import StatementIndex, marked, settled, superseded
from memorygraph.projections.digest import DigestCache
from memorygraph.projections.faiss_index import FaissIndex
from memorygraph.projections.filters import OPEN, Filters, visible_nodes
from memorygraph.projections.frame import ALIVE, ORDINAL_BITS, EdgeState, Frame, NodeState
from memorygraph.projections.graph import GraphState
from memorygraph.projections.hit import Concept, Hit
from memorygraph.projections.hit_columns import HitColumns, columns_of
from memorygraph.projections.places import census, moved_away, whereabouts
from memorygraph.projections.recall import RecallIndex
from memorygraph.projections.selecting import ordered, selected
from memorygraph.projections.sharing import sharing
from memorygraph.projections.sight import PRESENT, WHOLE, Sight, seen
from memorygraph.projections.similarity import Norms, nearest, nearest_each
from memorygraph.projections.snapshot_format import Part
from memorygraph.projections.source import Found, Source

_SETTLED_MAX: Final = 200  # hits whose words are compared; those further down are only marked, by links
_SETTLED: Final = (ConsolidationState.CONSOLIDATED.code, ConsolidationState.LONG_TERM.code)


# Gives the blobs that a snapshot kept of a part, if it kept any of that version; may raise ``DamagedSnapshot``.
Stored = Callable[[str, str], Mapping[str, bytes] | None]


class Shard:
    """State and indexes of one memory: one thread applies, any number asks at the Frames it published."""

    indexes_vectors = True  # False: it is asked too rarely for vectors to be kept a second time

    def __init__(self, state: GraphState | None = None, stored: Stored | None = None) -> None:
        self._state = GraphState() if state is None else state
        self._stored = stored
        self._index: RecallIndex | None = None
        self._lender: Shard | None = None  # whose index serves this state too
        self._making_index = threading.Lock()
        self._statements: StatementIndex | None = None
        self._faiss: FaissIndex | None = None
        self._digests = DigestCache()
        self._digesting = threading.Lock()
        self.frame = self._state.publish()

    @property
    def position(self) -> int:
        """The position of the last applied record, published or not."""
        return self._state.position

    def apply(self, position: int, time_us: int, events: Sequence[Event] | None) -> None:
        """Apply a record (None: only its hash is kept); readers see it after ``publish``."""
        self._state.apply(position, time_us, events)

    def notes(self) -> tuple[str, ...]:
        """What there is to say of the state as one of the past: that records of it were replaced later."""
        replaced, told, _ = self.frame.replaced
        if replaced <= told:
            return ()
        note = (
            f"of {replaced} records up to position {self.frame.position} only the hash is kept: memories that were "
            "forgotten later, and recalls, may be missing from this view"
        )
        return (note,)

    def publish(self) -> Frame:
        """Let readers see what was applied."""
        self.frame = self._state.publish()
        return self.frame

    def settle(self, live: Shard) -> None:
        """Become a view of the past: nothing is applied any more, and what a later state has too is shared with it."""
        self.frame, is_index_shared = sharing(self.frame, live.frame)
        self._state = GraphState()
        self.indexes_vectors = False
        self._lender = live if is_index_shared else None

    def index_bytes(self) -> int:
        """Return the bytes of indexes of its own."""
        return sum(index.size_bytes() for index in (self._index, self._statements, self._faiss) if index is not None)

    def catch_up(self, frame: Frame, rows_max: int) -> bool:
        """Take so many of the Frame's texts into the indexes that lack them; return if these have all."""
        has_all = self.index(frame).catch_up(frame, rows_max)
        return self._said().catch_up(frame, rows_max) and has_all

    def _catch_up(self, frame: Frame, query: CatchUp) -> tuple[int, int]:
        has_all = self.catch_up(frame, query.rows_max)
        if has_all and 0.0 < query.faiss < 1.0 and self.indexes_vectors:
            self._by_faiss().grow(frame, self.index(frame).norms)
        return min(self.index(frame).count, self._said().count, frame.texts.count), frame.texts.count

    def parts(self, frame: Frame) -> dict[str, Part]:
        """Return what a snapshot keeps of the indexes, which have all of the Frame's texts."""
        return {"index": self.index(frame).part(frame), "statements": self._said().part(frame)}

    def index(self, frame: Frame) -> RecallIndex:
        """Return the recall index, made in the memory's language when first needed."""
        if self._lender is not None:
            return self._lender.index(frame)
        index = self._index
        if (
            index is None or index.language != frame.language
        ):  # a follower may have seen the memory before its first record
            with self._making_index:
                index = self._index
                if index is None or index.language != frame.language:
                    index = self._index = self._made_index(frame.language)
        return index

    def _made_index(self, language: str) -> RecallIndex:
        index = RecallIndex(language)
        self._restore("index", index.version, index.restore)
        return index

    def _said(self) -> StatementIndex:
        """Return the index of statements, made when first needed."""
        if self._lender is not None:
            return self._lender._said()
        if self._statements is None:
            with self._making_index:
                if self._statements is None:
                    statements = StatementIndex()
                    self._restore("statements", STATEMENTS_VERSION, statements.restore)
                    self._statements = statements
        return self._statements

    def _restore(self, part: str, version: str, restore: Callable[[Mapping[str, bytes]], None]) -> None:
        """Fill an index from the snapshot; what cannot be read is made anew from the texts."""
        if self._stored is not None:
            with suppress(DamagedSnapshot, ValueError):
                restore(self._stored(part, version) or {})

    def ask(self, frame: Frame, query: cmd.Query) -> Any:
        """Answer a query at a Frame.

        Raises:
            InputError: the query does not fit the memory.
        """
        sight, query = sight_of(query)
        seeing = seen(frame, sight)
        if isinstance(query, cmd.Digest) and sight.partitions is not None:
            return DigestCache().digest(seeing)  # of what is seen; others keep theirs for the whole
        of_graph = OF_GRAPH.get(type(query))
        return ANSWERS[type(query)](self, seeing, query) if of_graph is None else of_graph(seeing, query)

    def states(self, frame: Frame, query: cmd.GetNodes) -> list[NodeState | None]:
        """Return the nodes of some ids."""
        rows = frame.rows(query.ids)
        return [None if row is None else frame.node(row, vector=query.vectors) for row in rows]

    def _find_nodes(self, frame: Frame, query: cmd.FindNodes) -> list[NodeState]:
        rows = np.flatnonzero(visible_nodes(frame, query.filters, self.index(frame).labels))
        rows = rows[np.argsort(frame.nodes.column("birth")[rows], kind="stable")]
        stop = None if query.limit is None else query.offset + query.limit
        return [frame.node(row, vector=query.vectors) for row in rows[query.offset : stop].tolist()]

    def _get_edges(self, frame: Frame, query: cmd.GetEdges) -> list[EdgeState | None]:
        rows = [frame.edge_row(name) for name in query.ids]
        return [None if row is None else frame.edge(row) for row in rows]

    def _node_edges(self, frame: Frame, query: cmd.NodeEdges) -> list[EdgeState]:
        row = frame.row(query.id)
        if row is None:
            raise NodeNotFoundError(f"there is no node {query.id!r} in this memory", id=query.id)
        rows = frame.adjacency.incident(frame.edges, np.array([row], dtype=np.int32))
        edges = [frame.edge(edge) for edge in rows.tolist()]
        if query.direction == "both":
            return edges
        end = "source_id" if query.direction == "out" else "target_id"
        return [edge for edge in edges if not edge.directed or getattr(edge, end) == query.id]

    def _all_edges(self, frame: Frame, query: cmd.AllEdges) -> list[EdgeState]:
        rows = np.flatnonzero(frame.edges.column("flags") & ALIVE)
        stop = None if query.limit is None else query.offset + query.limit
        return [frame.edge(row) for row in rows[query.offset : stop].tolist()]

    def _everything(self, frame: Frame, _: cmd.Everything) -> tuple[list[NodeAdded], EdgesAdded]:
        return nodes_in(frame), edges_in(frame)

    def missing(self, frame: Frame, query: cmd.MissingVectors) -> cmd.Missing:
        """Return which nodes lack a vector."""
        rows = missing_vectors(frame, query.space)
        names, version = frame.interner.ids, frame.nodes.value
        return cmd.Missing(
            len(rows), [(names[row], version("version", row), frame.content(row)) for row in rows[: query.limit]]
        )

    def _born_up_to(self, frame: Frame, query: cmd.BornUpTo) -> list[str]:
        births = frame.nodes.column("birth")
        rows = np.flatnonzero(frame.live_rows() & (births >> ORDINAL_BITS <= query.position))
        return [frame.interner.ids[row] for row in rows[np.argsort(births[rows], kind="stable")].tolist()]

    def _recall(self, frame: Frame, query: cmd.Recall) -> list[Hit]:
        return self.settled(frame, self.recalled(frame, query), query.k, query.filters)

    def require_space(self, frame: Frame, space: SpaceDeclared | None) -> None:
        """Refuse a question of another embedder than the memory's.

        Raises:
            EmbedderMismatch: it is one.
        """
        if space is not None and frame.space is not None and not same_space(space, frame.space):
            raise foreign_vectors(space, frame.space)

    def recalled(self, frame: Frame, query: cmd.Recall, source: Source | None = None) -> list[Hit]:
        """Return what a question finds, before what is current is put first; ``source``: see ``RecallIndex``."""
        self.require_space(frame, query.space)
        return self.index(frame).recall(
            frame,
            query.text,
            _vector(query.vector),
            k=query.k,
            threshold=query.threshold,
            filters=query.filters,
            window=query.window,
            profile=query.profile,
            now_us=query.now_us,
            source=source,
        )

    def _recall_many(self, frame: Frame, query: RecallMany) -> HitColumns:
        index, questions = self.index(frame), query.questions()
        index.catch_up(frame)
        seen = index.seen_at(frame, query.filters)
        vectors = [vector for each in questions if (vector := _vector(each.vector)) is not None]
        dense = index.dense_each(seen, vectors)
        hits = []
        for each in questions:
            words = None if each.text is None else index.words_asked(seen, each.text, each.window, index)
            looked = index.legs(seen, words, None)[0], next(dense) if each.vector else None
            found = self.recalled(frame, each, Found(index, words, looked))
            hits.append(self.settled(frame, found, query.k, query.filters))
        return columns_of(hits)

    def _concepts(self, frame: Frame, query: cmd.Concepts) -> list[Concept]:
        return self.index(frame).concepts(frame, query.text, query.limit)

    def _reason(self, frame: Frame, query: cmd.Reason) -> list[Hit]:
        return self.settled(frame, self.reasoned(frame, query), query.k, query.filters)

    def reasoned(self, frame: Frame, query: cmd.Reason, source: Source | None = None) -> list[Hit]:
        """Return what a cue leads to, before what is current is put first; ``source``: see ``RecallIndex``."""
        self.require_space(frame, query.space)
        row = None
        if query.node_id is not None:
            row = frame.row(query.node_id)
            if row is None:
                raise NodeNotFoundError(f"there is no node {query.node_id!r} in this memory", id=query.node_id)
        return self.index(frame).reason(
            frame,
            query.text,
            _vector(query.vector),
            k=query.k,
            hops=query.hops,
            seed_k=query.seed_k,
            row=row,
            filters=query.filters,
            window=query.window,
            source=source,
        )

    def settled(self, frame: Frame, hits: list[Hit], k: int, filters: Filters) -> list[Hit]:
        """Put what is current before what it supersedes."""
        labels = self.index(frame).labels
        visible = visible_nodes(frame, Filters(scope=filters.scope), labels)
        rest = hits[_SETTLED_MAX:]
        if rest:
            first = self.settled(frame, hits[:_SETTLED_MAX], 2 * _SETTLED_MAX, filters)
            known = {hit.node.id for hit in first}
            others = [hit for hit in rest if hit.node.id not in known]
            return [*first, *marked(frame, others, visible)][:k]
        passing = visible_nodes(frame, filters, labels)
        return settled(frame, self._said(), hits, k=k, visible=visible, passing=passing)

    def superseded(self, frame: Frame, query: cmd.Superseded) -> dict[str, str]:
        """Return which of some nodes are not current, each with the one that is."""
        rows = [row for row in frame.rows(query.ids) if row is not None]
        name = frame.interner.ids
        found = superseded(frame, self._said(), rows, frame.live_rows())
        return {name[row]: name[current] for row, current in found.items()}

    def _similar(self, frame: Frame, query: cmd.Similar) -> list[tuple[str, float]]:
        vector = _vector(query.vector)
        if vector is None:
            return []
        index = self.index(frame)
        visible = None if query.filters == OPEN else visible_nodes(frame, query.filters, index.labels)
        found = self.near(frame, index.norms, vector, query, visible)
        return [(frame.interner.ids[row], score) for row, score in found]

    def near(
        self, frame: Frame, norms: Norms, vector: Any, query: cmd.Similar, visible: Any
    ) -> list[tuple[int, float]]:
        """Return the nearest visible node rows of a vector, by the index of faiss if that is asked for."""
        asked: dict[str, Any] = {"threshold": query.threshold, "visible": visible}
        if not (query.faiss and self.indexes_vectors):
            return nearest(frame, norms, vector, query.k, **asked)
        found = self._by_faiss().nearest(frame, norms, vector, query.k, recall=query.faiss, **asked)
        if query.faiss < 1.0 and self._by_faiss().due(frame):
            with suppress(RuntimeError):  # no more threads can be had; the scan goes on
                threading.Thread(target=self._by_faiss().grow, args=(frame, norms)).start()
        return found

    def _similar_each(self, frame: Frame, query: graph_queries.SimilarEach) -> list[list[tuple[str, float]]]:
        if not query.vectors:
            return []
        index = self.index(frame)
        visible = None if query.filters == OPEN else visible_nodes(frame, query.filters, index.labels)
        asked = np.stack([np.frombuffer(vector, dtype="<f4") for vector in query.vectors])
        found = nearest_each(frame, index.norms, asked, query.k, query.threshold, visible=visible)
        return [[(frame.interner.ids[row], score) for row, score in nodes] for nodes in found]

    def _by_faiss(self) -> FaissIndex:
        """Return the index of faiss, made when first needed."""
        if self._faiss is None:
            with self._making_index:
                self._faiss = self._faiss or FaissIndex()
        return self._faiss

    def _describe(self, frame: Frame, _: cmd.Describe) -> cmd.Description:
        return cmd.Description(
            name=frame.name,
            language=frame.language,
            nodes=frame.live_nodes,
            edges=frame.live_edges,
            space=frame.space,
            pending=None if frame.pending is None else frame.pending.space,
        )

    def _summary(self, frame: Frame, query: cmd.Summary) -> cmd.Overview:
        live = frame.live_rows()
        nodes, edges = frame.nodes, frame.edges
        live_edges = (edges.column("flags") & ALIVE).astype(np.bool_)
        states = nodes.column("consolidation_state")[live]
        return cmd.Overview(
            about=self._describe(frame, cmd.Describe()),
            importance_sum=float(nodes.column("importance")[live].sum()),
            consolidated=int(np.isin(states, _SETTLED).sum()),
            types=dict(Counter(nodes.column("memory_type")[live].tolist())),
            edge_types=dict(Counter(edges.column("edge_type")[live_edges].tolist())),
            accesses=int(nodes.column("access_count")[live].sum()),
            oldest_us=int(nodes.column("created_us")[live].min(initial=np.iinfo(np.int64).max)) if live.any() else 0,
            bytes_by_part=self.bytes_by_part(frame) if query.bytes_too else {},
        )

    def bytes_by_part(self, frame: Frame) -> dict[str, int]:
        """Return the bytes of what is kept of a Frame, by what it is."""
        edge_columns = [name for name in frame.edges.chunks if name != "birth"]
        return {
            "vectors": sum(part.size_bytes() for part in (frame.vectors, frame.pending) if part is not None),
            "columns": frame.nodes.size_bytes()
            + frame.labels.size_bytes()
            + frame.times_us.itemsize * len(frame.times_us),
            "ids": frame.interner.size_bytes() + frame.edges.size_bytes(["birth"]),
            "adjacency": frame.edges.size_bytes(edge_columns) + frame.adjacency.size_bytes(),
            "text": _text_bytes(frame) + frame.texts.size_bytes(),
            "index": (self._lender or self).index_bytes(),
        }

    def _digest(self, frame: Frame, query: cmd.Digest) -> str:
        with self._digesting:
            return self._digests.digest(frame.recorded, Pace() if query.gently else no_rest)

    def _select(self, frame: Frame, query: Select) -> Any:
        mask = selected(frame, query.selection, self.index(frame).labels, query.now_us)
        if query.vector:
            found = self._nearest(frame, query, mask)
        else:
            found = ordered(frame, mask, query.order, query.now_us).tolist()
        rows = found[query.offset : None if query.limit is None else query.offset + query.limit]
        if query.give == "count":
            return len(rows)
        return [frame.interner.ids[row] if query.give == "ids" else frame.node(row, vector=False) for row in rows]

    def _nearest(self, frame: Frame, query: Select, mask: Any) -> list[int]:
        k = frame.nodes.count if query.limit is None else query.offset + query.limit
        vector, norms = _vector(query.vector), self.index(frame).norms
        found = nearest(frame, norms, vector, k, threshold=query.threshold, visible=mask)
        return [row for row, _ in found]

    def _census(self, frame: Frame, _: Census) -> list[tuple[Partition, str | None, int]]:
        return census(frame, self.index(frame).labels)

    def _position_at(self, frame: Frame, query: cmd.PositionAt) -> int:
        return frame.position_at(query.time_us)


def sight_of(query: cmd.Query) -> tuple[Sight, cmd.Query]:
    """Return through what sight a query is asked, and what."""
    if isinstance(query, InSight):
        return query.sight, query.asked
    return WHOLE if isinstance(query, _OF_THE_WHOLE) else PRESENT, query


OF_GRAPH: Final = graph_queries.ANSWERS | spread_queries.ANSWERS | review_queries.ANSWERS
ANSWERS: Final[dict[type[cmd.Query], Callable[[Shard, Frame, Any], Any]]] = {
    cmd.GetNodes: Shard.states,
    cmd.FindNodes: Shard._find_nodes,
    cmd.GetEdges: Shard._get_edges,
    cmd.NodeEdges: Shard._node_edges,
    cmd.AllEdges: Shard._all_edges,
    cmd.Everything: Shard._everything,
    cmd.Recall: Shard._recall,
    RecallMany: Shard._recall_many,
    cmd.Concepts: Shard._concepts,
    cmd.Reason: Shard._reason,
    cmd.Superseded: Shard.superseded,
    CatchUp: Shard._catch_up,
    cmd.Similar: Shard._similar,
    graph_queries.SimilarEach: Shard._similar_each,
    cmd.MissingVectors: Shard.missing,
    cmd.BornUpTo: Shard._born_up_to,
    cmd.Describe: Shard._describe,
    cmd.Summary: Shard._summary,
    cmd.Digest: Shard._digest,
    cmd.PositionAt: Shard._position_at,
    Whereabouts: lambda _, frame, query: whereabouts(frame, query.ids),
    MovedAway: lambda _, frame, query: moved_away(frame, query.partitions),
    Census: Shard._census,
    Select: Shard._select,
    Timeline: lambda _, frame, query: timeline_of(frame, query),
    Histogram: lambda _, frame, query: histogram_of(frame, query),
}
# What is done for the memory as a whole is done for what was put away, too.
_OF_THE_WHOLE: Final = (
    cmd.Digest,
    cmd.PositionAt,
    cmd.Everything,
    cmd.MissingVectors,
    cmd.BornUpTo,
    Whereabouts,
    MovedAway,
)


def _text_bytes(frame: Frame) -> int:
    return sum(sys.getsizeof(content) for _, content in frame.texts.objects("content"))


def _vector(data: bytes) -> Any:
    return np.frombuffer(data, dtype="<f4") if data else None
