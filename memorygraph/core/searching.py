"""``GraphSearches``: the nodes of a ``MemoryGraph`` by vector, kind, label, importance and time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from memorygraph import checks
from memorygraph.actors.commands import FindNodes, Similar
from memorygraph.actors.graph_queries import ByImportance, ByTime, SimilarEach
from memorygraph.core.node import MemoryNode
from memorygraph.core.types import RetrievalStrategy
from memorygraph.events.errors import EmbeddingDimensionError
from memorygraph.events.types import MemoryType
from memorygraph.home import Home
from memorygraph.projections.filters import Filters
from memorygraph.projections.frame import NodeState
from memorygraph.times import TimeLike, to_us

PAGE: Final = 4096
FAISS_RECALL: Final = 0.95  # of the neighbours that there are, found on average
COUNT_MAX: Final = 1 << 31
_TIMES: Final = {"created": "created_us", "occurred": "occurred_us", "accessed": "accessed_us"}


class SearchResult(NamedTuple):
    """A node found by similarity: its id and its cosine with the query."""

    node_id: str
    score: float

    @property
    def strategy(self) -> RetrievalStrategy:
        """How it was found."""
        return RetrievalStrategy.SIMILARITY


class GraphSearches:
    """The part of ``MemoryGraph`` that finds nodes by what they are."""

    _home: Home
    _use_faiss: float

    def similarity_search(
        self,
        query: Any,
        k: int = 10,
        threshold: float = 0.0,
        memory_type: MemoryType | str | None = None,
        tags: Iterable[str] | None = None,
    ) -> list[SearchResult]:
        """Return up to k nodes by cosine with a vector, best first, none below ``threshold``; exact without faiss.

        Filters act inside the search, so k nodes come back whenever k pass them.

        Args:
            query: vector, shape (dim,), finite.
            k: how many, 1..10,000. threshold: a cosine, -1..1.
            tags: all of them must be there.

        Raises:
            InvalidVectorError: the query is no vector, or not finite.
            EmbeddingDimensionError: it is of another length than those of the graph.
        """
        asked = Similar(
            vector=checks.question(query),
            k=checks.count("k", k, 1, self._home.limits.k_max),
            threshold=checks.number("threshold", threshold, -1.0, math.inf),
            filters=self._filters(memory_type, tags),
            faiss=self._use_faiss,
        )
        return [SearchResult(*found) for found in self._home.engine.ask(asked).value]

    def similarity_search_many(
        self,
        queries: Iterable[Any],
        k: int = 10,
        threshold: float = 0.0,
        memory_type: MemoryType | str | None = None,
        tags: Iterable[str] | None = None,
    ) -> list[list[SearchResult]]:
        """Return what ``similarity_search`` gives for each of several vectors, several times as fast, always exact.

        Args:
            queries: vectors, shape (dim,) each, or a matrix with one in each row.

        Raises:
            EmbeddingDimensionError: they differ in length.
        """
        vectors = [checks.question(query) for query in checks.several("queries", queries)]
        lengths = {len(vector) // 4 for vector in vectors}
        if len(lengths) > 1:
            raise EmbeddingDimensionError(f"the queries have different dimensions: {sorted(lengths)}")
        asked = SimilarEach(
            vectors=vectors,
            k=checks.count("k", k, 1, self._home.limits.k_max),
            threshold=checks.number("threshold", threshold, -1.0, math.inf),
            filters=self._filters(memory_type, tags),
        )
        return [[SearchResult(*found) for found in nodes] for nodes in self._home.engine.ask(asked).value]

    def query_by_type(self, memory_type: MemoryType | str) -> list[MemoryNode]:
        """Return the nodes of a kind, oldest first."""
        return list(self._found(Filters(memory_type=MemoryType.of(memory_type).code)))

    def query_by_tag(self, *tags: str) -> list[MemoryNode]:
        """Return the nodes that have all these tags, oldest first; every node, if none is named."""
        return list(self._found(Filters(tags=checks.tags(tags, self._home.limits))))

    def query_by_importance(
        self, min_importance: float = 0.5, top_k: int | None = None, *, effective: bool = False
    ) -> list[MemoryNode]:
        """Return the nodes of at least this importance, most important first.

        Args:
            min_importance: 0..1. top_k: at most so many; None: all.
            effective: by ``effective_importance()``, which counts what is left of a memory and how settled it is.
        """
        asked = ByImportance(
            least=checks.number("min_importance", min_importance, 0.0, 1.0),
            limit=None if top_k is None else checks.count("top_k", top_k, 0, COUNT_MAX),
            effective=effective,
            now_us=self._home.clock.now_us(),
        )
        return self._views(asked)

    def query_temporal(
        self, start_time: TimeLike | None = None, end_time: TimeLike | None = None, sort_by: str = "created"
    ) -> list[MemoryNode]:
        """Return the nodes of a time, newest first; both ends are included, None leaves an end open.

        Args:
            start_time, end_time: aware datetimes, Unix seconds, or text that tells a time.
            sort_by: which time counts: "created" (recorded), "occurred" or "accessed" (last recalled).

        Raises:
            TimeFormatError: a time that cannot be read.
        """
        asked = ByTime(
            since_us=None if start_time is None else to_us(start_time),
            until_us=None if end_time is None else to_us(end_time),
            column=_TIMES[checks.one_of("sort_by", sort_by, tuple(_TIMES))],
        )
        return self._views(asked)

    def _filters(self, memory_type: MemoryType | str | None, tags: Iterable[str] | None) -> Filters:
        code = None if memory_type is None else MemoryType.of(memory_type).code
        return Filters(memory_type=code, tags=checks.tags(tags, self._home.limits))

    def _views(self, asked: ByImportance | ByTime) -> list[MemoryNode]:
        answer = self._home.engine.ask(asked)
        return [MemoryNode._view(state, self._home, answer.position) for state in answer.value]

    def _found(self, filters: Filters) -> Iterator[MemoryNode]:
        pinned = self._home.engine.pinned()
        for offset in pages():
            answer = pinned.ask(FindNodes(filters=filters, offset=offset, limit=PAGE))
            states: list[NodeState] = answer.value
            yield from (MemoryNode._view(state, self._home, answer.position) for state in states)
            if len(states) < PAGE:
                return


def asked_recall(use_faiss: bool | float) -> float:
    """Return the share of neighbours that ``use_faiss`` asks for: 0.95 for True, 0 for False (not used).

    Raises:
        InputError: it is not in 0..1.
    """
    if isinstance(use_faiss, bool):
        return FAISS_RECALL if use_faiss else 0.0
    return checks.within("use_faiss", use_faiss, 0.0, 1.0)


def pages() -> Iterator[int]:
    """Give the places at which the pages of a long list begin."""
    offset = 0
    while True:
        yield offset
        offset += PAGE
