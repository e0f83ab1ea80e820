"""Answering over several shards: one gathers what the others look up, and does the rest on its own topology.

Every question to the other shards is one message to each that keeps something of what is seen, all at one moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from memorygraph.actors import commands as cmd
from memorygraph.actors import graph_queries
from memorygraph.actors.recall_many import RecallMany
from memorygraph.actors.select import Select
from memorygraph.actors.shard import ANSWERS, OF_GRAPH
from memorygraph.actors.sharding import parts
from memorygraph.actors.sharding.peers import Moment
from memorygraph.actors.timeline_queries import Timeline
from memorygraph.events.errors import ShardMismatch
from memorygraph.events.records import EdgesAdded, NodeAdded
from memorygraph.projections.contents import edges_in
from memorygraph.projections.digest import total_of
from memorygraph.projections.filters import OPEN, Filters
from memorygraph.projections.frame import Frame, NodeState
from memorygraph.projections.hit import Hit
from memorygraph.projections.hit_columns import HitColumns, columns_of
from memorygraph.projections.lexical import LexicalMatches, LexicalStatistics, Postings, scored, shared_terms
from memorygraph.projections.partial import LentTexts, with_texts
from memorygraph.projections.seen import Seen
from memorygraph.projections.selecting import Selection, ordered, selected
from memorygraph.projections.similarity import top, unit_of
from memorygraph.projections.source import Found, Looked

if TYPE_CHECKING:
    from memorygraph.actors.sharding.member import Member

T = TypeVar("T")
TOGETHER: Final = 16  # questions: each holds some arrays as long as the memory
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


class Gathering:
    """One question at one moment, on the shard that gathers.

    Args:
        frame: what is seen at the moment.
    """

    def __init__(self, member: Member, frame: Frame, moment: Moment) -> None:
        self.member = member
        self.frame = frame
        self.filters: Filters = OPEN
        self._codes: dict[str, NDArray[np.int32]] = {}
        self._looked: dict[str, Looked] = {}  # of the filters' one view
        self.moment = moment

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """The shard of each node, shape (node rows,)."""
        return self.member.owners(self.frame)

    def ask(self, asked: Mapping[int, cmd.Query]) -> dict[int, Any]:
        """Return the parts of an answer by shard, the own one among them if it is asked for."""
        own = self.member.number
        others = {number: query for number, query in asked.items() if number != own}
        found = self.member.peers.ask_each(self.moment, others) if others else {}
        if own in asked:
            found[own] = self.member.part_of(self.frame, asked[own])
        return dict(sorted(found.items()))

    def ask_holders(self, query: cmd.Query, nodes: Mask | None = None) -> dict[int, Any]:
        """Ask every shard that keeps one of some nodes, or anything that is seen."""
        return self.ask(dict.fromkeys(self.member.holders(self.frame, nodes), query))

    def ask_all(self, query: cmd.Query) -> dict[int, Any]:
        """Ask every shard of the memory."""
        return self.ask(dict.fromkeys(sorted(set(self.member.placement.shards)), query))

    def ask_by_id(self, ids: Iterable[str], query: Callable[[list[str]], cmd.Query]) -> dict[str, Any]:
        """Ask the shard of each of some nodes for something, one item per node; return the items by id."""
        names = self._by_owner(ids)
        found = self.ask({number: query(some) for number, some in names.items()})
        return {name: item for number, items in found.items() for name, item in zip(names[number], items, strict=True)}

    def _by_owner(self, ids: Iterable[str]) -> dict[int, list[str]]:
        """Return some nodes, each once, by the shard that keeps them."""
        names: dict[int, list[str]] = {}
        for name in dict.fromkeys(ids):
            names.setdefault(int(self.owners[self.frame.interner.rows[name]]), []).append(name)
        return names

    def rows_of(self, shard: int, seen: Seen, of: parts.Places) -> Rows:
        """Return the node rows that a shard's places mean.

        Raises:
            ShardMismatch: it speaks of other memories than we know of.
        """
        known = self.member.ordered(seen, shard)
        if known.of != of:
            raise ShardMismatch(
                f"shards {self.member.number} and {shard} do not have the same memories at position "
                f"{self.moment.position}; build shard {shard} anew from the log",
                shard=shard,
                position=self.moment.position,
            )
        return known.rows

    # -- a recall's source ---------------------------------------------------------------------------------------

    def legs(self, seen: Seen, words: str | None, vector: NDArray[np.float32] | None) -> Looked:
        """Look up words and vector on all shards that keep something of what is seen; words alone are kept."""
        if vector is not None or words is None:
            return self.legs_each(seen, [(words, vector)])[0]
        if words not in self._looked:
            self._looked[words] = self.legs_each(seen, [(words, None)])[0]
        return self._looked[words]

    def legs_each(self, seen: Seen, asked: Sequence[tuple[str | None, NDArray[np.float32] | None]]) -> list[Looked]:
        """Look up the words and vectors of several questions."""
        frame = self.frame
        for _, vector in asked:
            if vector is not None and frame.space is not None:
                unit_of(frame, vector)  # refuses another dimension, also where there is nobody to ask
        packed = [
            parts.Asked(words, b"" if vector is None else vector.astype("<f4").tobytes()) for words, vector in asked
        ]
        found = self.ask_holders(parts.LegsOf(asked=packed, filters=self.filters), seen.nodes)
        rows_of = {shard: self.rows_of(shard, seen, legs[0].of) for shard, legs in found.items()}
        looked: list[Looked] = []
        for place, (words, vector) in enumerate(asked):
            of_one = {shard: legs[place] for shard, legs in found.items()}
            dense = None if vector is None else self._dense(of_one, rows_of)
            looked.append((None if words is None else self._matches(words, of_one, rows_of), dense))
        return looked

    def _dense(self, found: Mapping[int, parts.Legs], rows_of: Mapping[int, Rows]) -> NDArray[np.float64]:
        """Return the cosines that the shards found, shape (node rows,)."""
        dense = np.zeros(self.frame.nodes.count)
        for shard, legs in found.items():
            dense[rows_of[shard]] = np.frombuffer(legs.dense, "<f4")
        return dense

    def _matches(self, words: str, found: Mapping[int, parts.Legs], rows_of: Mapping[int, Rows]) -> LexicalMatches:
        """Score the postings of all shards by statistics over all."""
        text_row = self.frame.nodes.column("text_row")
        analyzer = self.member.index(self.frame).lexical.analyzer
        columns = [
            (
                text_row[rows_of[shard][np.frombuffer(legs.places, "<i4")]],
                np.frombuffer(legs.terms, "<i4"),
                np.frombuffer(legs.frequencies, "<u2"),
                np.frombuffer(legs.lengths, "<i4"),
            )
            for shard, legs in found.items()
        ]
        none = np.zeros(0, np.int32)
        rows, terms, frequencies, lengths = (
            np.concatenate([none, *(column[place] for column in columns)]) for place in range(4)
        )
        order = np.argsort(terms, kind="stable")
        postings = Postings(
            rows[order].astype(np.int64),
            terms[order].astype(np.intp),
            frequencies[order].astype(np.float64),
            lengths[order].astype(np.int32),
        )
        statistics = LexicalStatistics(
            sum(legs.rows for legs in found.values()), sum(legs.all_terms for legs in found.values())
        )
        return scored(analyzer.words(words), postings, statistics)

    def shared(self, text_rows: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the share of terms that each two of some text rows have in common."""
        ids = self.names(self.frame.texts.take("node", text_rows))
        self.fetch_codes(ids)
        lists = [self._codes[name] for name in ids]
        sizes = np.array([len(each) for each in lists], dtype=np.int64)
        return shared_terms(np.concatenate([np.zeros(0, np.int32), *lists]), sizes)

    def fetch_codes(self, ids: Iterable[str]) -> None:
        """Ask for the codes of the terms of some memories' texts, as far as they are not here."""
        names = self._by_owner(name for name in ids if name not in self._codes)
        found = self.ask({shard: parts.CodesOf(ids=some) for shard, some in names.items()})
        for shard, (packed, packed_sizes) in found.items():
            sizes = np.frombuffer(packed_sizes, "<i8")
            cut = np.split(np.frombuffer(packed, "<i4"), np.cumsum(sizes)[:-1])
            self._codes |= dict(zip(names[shard], cut, strict=True))

    def contents(self, seen: Seen, text_rows: NDArray[np.int32]) -> list[str]:
        """Return some texts."""
        ids = self.names(seen.frame.texts.take("node", text_rows))
        found = self.ask_by_id(ids, lambda some: parts.TextsOf(ids=some))
        return [found[name] for name in ids]

    # -- texts and states that are kept elsewhere ----------------------------------------------------------------

    def with_texts(self, work: Callable[[Frame], T]) -> T:
        """Return what a pure function makes of the Frame with the texts that it reads.

        It is done again when it read texts that were not here; these were fetched in the meantime.
        """
        lent: dict[int, str] = {}
        while True:
            texts = LentTexts(self.frame.texts, lent)
            value = work(with_texts(self.frame, texts))
            if not texts.missing:
                return value
            rows = sorted(texts.missing)
            ids = self.names(self.frame.texts.take("node", np.array(rows)))
            found = self.ask_by_id(ids, lambda some: parts.TextsOf(ids=some))
            lent |= {row: found[name] for row, name in zip(rows, ids, strict=True)}

    def completed(self, states: Sequence[NodeState | None], *, vectors: bool = False) -> list[NodeState | None]:
        """Return nodes with their texts and vectors."""
        own = self.member.number
        row_of = self.frame.interner.rows
        foreign = [state.id for state in states if state is not None and self.owners[row_of[state.id]] != own]
        found = self.ask_by_id(foreign, lambda some: cmd.GetNodes(ids=some, vectors=vectors))
        return [state if state is None else found.get(state.id, state) for state in states]

    def names(self, rows: NDArray[Any]) -> list[str]:
        """Return the ids of some node rows."""
        return [self.frame.interner.ids[row] for row in rows.tolist()]


def _packed(vector: NDArray[np.float32] | None) -> bytes:
    return b"" if vector is None else vector.astype("<f4").tobytes()


def _recall(g: Gathering, query: cmd.Recall) -> list[Hit]:
    g.filters = query.filters
    return _settled(g, g.member.recalled(g.frame, query, g), query)


def _reason(g: Gathering, query: cmd.Reason) -> list[Hit]:
    g.filters = query.filters
    return _settled(g, g.member.reasoned(g.frame, query, g), query)


def _recall_many(g: Gathering, query: RecallMany) -> HitColumns:
    """Take so many questions together through each hop."""
    g.filters, questions = query.filters, query.questions()
    g.member.require_space(g.frame, query.space)
    hits: list[list[Hit]] = []
    for first in range(0, len(questions), TOGETHER):
        hits += _recall_some(g, questions[first : first + TOGETHER])
    return columns_of(hits)


def _recall_some(g: Gathering, questions: Sequence[cmd.Recall]) -> list[list[Hit]]:
    index = g.member.index(g.frame)
    seen = index.seen_at(g.frame, g.filters)
    vectors = [np.frombuffer(each.vector, "<f4") if each.vector else None for each in questions]
    words = [None if each.text is None else index.words_asked(seen, each.text, each.window, g) for each in questions]
    looked = g.legs_each(seen, list(zip(words, vectors, strict=True)))
    pools = [
        index.pool(
            g.frame,
            each.text,
            vector,
            k=each.k,
            filters=each.filters,
            window=each.window,
            profile=each.profile,
            now_us=each.now_us,
            source=Found(g, asked, found),
        )
        for each, vector, asked, found in zip(questions, vectors, words, looked, strict=True)
    ]
    compared = [pool.compared() for each, pool in zip(questions, pools, strict=True) if each.text is not None]
    g.fetch_codes(g.names(np.concatenate([np.zeros(0, np.int32), *compared])))
    hits = []
    for each, pool in zip(questions, pools, strict=True):
        source, date_words = (None if each.text is None else g), "" if each.window is None else each.window.text
        hits.append(index.hits_of(pool, each.k, each.threshold, source, date_words))

    def told(frame: Frame) -> list[list[Hit]]:
        return [_told(g, frame, some, each) for each, some in zip(questions, hits, strict=True)]

    return g.with_texts(told)


def _settled(g: Gathering, hits: list[Hit], query: cmd.Recall | cmd.Reason) -> list[Hit]:
    return g.with_texts(lambda frame: _told(g, frame, hits, query))


def _told(g: Gathering, frame: Frame, hits: list[Hit], query: cmd.Recall | cmd.Reason) -> list[Hit]:
    """Put what is current first, which their texts tell, and give hits their texts."""
    first = g.member.settled(frame, hits, query.k, query.filters)
    rows = frame.rows(hit.node.id for hit in first)
    texts = [frame.content(row) for row in rows if row is not None]
    return [replace(hit, node=replace(hit.node, content=text)) for hit, text in zip(first, texts, strict=True)]


def _similar(g: Gathering, query: cmd.Similar) -> list[tuple[str, float]]:
    if not query.vector:
        return []
    asked = parts.NearestOf(
        vectors=[query.vector], k=query.k, threshold=query.threshold, filters=query.filters, faiss=query.faiss
    )
    return _merged(g, asked)[0]


def _similar_each(g: Gathering, query: graph_queries.SimilarEach) -> list[list[tuple[str, float]]]:
    if not query.vectors:
        return []
    asked = parts.NearestOf(vectors=query.vectors, k=query.k, threshold=query.threshold, filters=query.filters)
    return _merged(g, asked)


def _merged(g: Gathering, asked: parts.NearestOf) -> list[list[tuple[str, float]]]:
    """Return the nearest of each vector among all shards, best first, ties by birth."""
    found = list(g.ask_holders(asked).values())
    merged = []
    for each in range(len(asked.vectors)):
        pool = [hit for answer in found for hit in answer[each]]
        scores = np.array([cosine for _, _, cosine in pool])
        order = top(scores.round(6), np.array([birth for birth, _, _ in pool], dtype=np.int64), asked.k)
        merged.append([(pool[place][1], pool[place][2]) for place in order.tolist()])
    return merged


def _select(g: Gathering, query: Select) -> Any:
    if query.vector:
        k = g.frame.nodes.count if query.limit is None else query.offset + query.limit
        asked = parts.NearestOf(
            vectors=[query.vector], k=k, threshold=query.threshold, selection=query.selection, now_us=query.now_us
        )
        ids = [name for name, _ in _merged(g, asked)[0]]
    else:
        ids = g.names(ordered(g.frame, _passing(g, query.selection, query.now_us), query.order, query.now_us))
    ids = ids[query.offset : None if query.limit is None else query.offset + query.limit]
    if query.give == "count":
        return len(ids)
    if query.give == "ids":
        return ids
    return _get_nodes(g, cmd.GetNodes(ids=ids, vectors=False))


def _passing(g: Gathering, selection: Selection, now_us: int) -> Mask:
    """Return which nodes pass; who keeps a text looks for other texts in it."""
    labels = g.member.index(g.frame).labels
    mask = selected(g.frame, replace(selection, texts=()), labels, now_us)
    if not selection.texts:
        return mask
    seen = g.member.index(g.frame).seen_at(g.frame, OPEN)
    passing = np.zeros(len(mask), dtype=np.bool_)
    for shard, (of, places) in g.ask_holders(parts.PassingOf(selection=selection, now_us=now_us), mask).items():
        passing[g.rows_of(shard, seen, of)[np.frombuffer(places, "<i4")]] = True
    return passing


def _get_nodes(g: Gathering, query: cmd.GetNodes) -> list[NodeState | None]:
    return g.completed(g.member.states(g.frame, query), vectors=query.vectors)


def _states(g: Gathering, query: Any) -> list[NodeState | None]:
    """Nodes whose order follows from what every shard has."""
    return g.completed(_locally(g, query), vectors=getattr(query, "vectors", False))


def _timeline(g: Gathering, query: Timeline) -> list[tuple[NodeState, int, bool]]:
    moments = _locally(g, query)
    found = {state.id: state for state in g.completed([state for state, _, _ in moments]) if state is not None}
    return [(found[state.id], time_us, is_access) for state, time_us, is_access in moments]


def _superseded(g: Gathering, query: cmd.Superseded) -> dict[str, str]:
    return g.with_texts(lambda frame: g.member.superseded(frame, query))


def _missing_vectors(g: Gathering, query: cmd.MissingVectors) -> cmd.Missing:
    found = g.ask_holders(parts.MissingOf(space=query.space, limit=query.limit)).values()
    birth, row_of = g.frame.nodes.value, g.frame.interner.rows
    nodes = sorted((node for part in found for node in part.nodes), key=lambda node: birth("birth", row_of[node[0]]))
    return cmd.Missing(sum(part.count for part in found), nodes[: query.limit])


def _everything(g: Gathering, _: cmd.Everything) -> tuple[list[NodeAdded], EdgesAdded]:
    parts_of = g.ask_holders(parts.AddedOf()).values()
    birth, row_of = g.frame.nodes.value, g.frame.interner.rows
    nodes = sorted((node for part in parts_of for node in part), key=lambda node: birth("birth", row_of[node.id]))
    return nodes, edges_in(g.frame)


def _digest(g: Gathering, _: cmd.Digest) -> str:
    asked = parts.SumOf(whole=g.moment.sight.partitions is None)
    return total_of(int(part, 16) for part in g.ask_all(asked).values())


def _summary(g: Gathering, query: cmd.Summary) -> cmd.Overview:
    overview: cmd.Overview = _locally(g, replace(query, bytes_too=False))
    if not query.bytes_too:
        return overview
    sizes: Counter[str] = Counter()
    for part in g.ask_all(parts.BytesOf()).values():
        sizes.update(part)
    return replace(overview, bytes_by_part=dict(sizes))


def _locally(g: Gathering, query: cmd.Query) -> Any:
    """Answer from the own topology."""
    of_graph = OF_GRAPH.get(type(query))
    return ANSWERS[type(query)](g.member, g.frame, query) if of_graph is None else of_graph(g.frame, query)


GATHERED: Final[dict[type[cmd.Query], Callable[[Gathering, Any], Any]]] = {
    cmd.GetNodes: _get_nodes,
    cmd.FindNodes: _states,
    cmd.Everything: _everything,
    cmd.Recall: _recall,
    RecallMany: _recall_many,
    cmd.Reason: _reason,
    cmd.Superseded: _superseded,
    cmd.Similar: _similar,
    cmd.MissingVectors: _missing_vectors,
    cmd.Summary: _summary,
    cmd.Digest: _digest,
    graph_queries.SimilarEach: _similar_each,
    graph_queries.ByImportance: _states,
    graph_queries.ByTime: _states,
    Select: _select,
    Timeline: _timeline,
}
"""How questions are answered whose answers rest on texts and vectors; the topology, which every shard has, does for the
others."""
