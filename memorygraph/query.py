"""``MemoryQuery``: a chain of conditions on memories, answered where the memory is.

>>> from memorygraph import AgentMemory
>>> memory = AgentMemory()
>>> node = memory.remember("Leyla lives in Istanbul", importance=0.9, tags=["user"])
>>> [found.content for found in memory.query().tag("user").importance(gt=0.7).all()]
['Leyla lives in Istanbul']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal, Self, TypeAlias

from msgspec.structs import replace

from memorygraph import checks
from memorygraph.actors.select import Select
from memorygraph.core.node import MemoryNode
from memorygraph.embeddings import embed_batch
from memorygraph.events.errors import EmbedderMismatch, InputError
from memorygraph.events.types import LIMITS, CodedEnum, ConsolidationState, MemoryType, Scope
from memorygraph.filtering import TagMode, filters_of
from memorygraph.home import Home
from memorygraph.projections.selecting import COMPUTED, FIELDS, Metadata, OneOf, Order, Range, Text
from memorygraph.times import TimeLike, to_us

ORDER_KEYS: Final = (*FIELDS, *COMPUTED)
_Kind: TypeAlias = type[CodedEnum]
_NOT_GIVEN: Final[Any] = object()
_US: Final = 1_000_000


class MemoryQuery:
    """Conditions that all must hold, an order, and how many; ``memory.query()`` and ``graph.query()`` make one.

    Each method returns a new query, so a query can be kept and gone on from in several ways. Nothing is asked until
    ``all``, ``first``, ``ids``, ``count``, ``exists`` or ``similar_to``. Times are datetimes, Unix seconds or text.

    Raises:
        InputError: by each method, of a value that cannot be used.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._select = Select()
        self._tests: tuple[Callable[[MemoryNode], bool], ...] = ()

    def type(self, *types: MemoryType | str) -> Self:
        """Only of one of these kinds."""
        return self._with_codes("memory_type", MemoryType, types)

    def consolidation(self, *states: ConsolidationState | str) -> Self:
        """Only in one of these states of consolidation."""
        return self._with_codes("consolidation_state", ConsolidationState, states)

    def importance(
        self, *, gt: float | None = None, gte: float | None = None, lt: float | None = None, lte: float | None = None
    ) -> Self:
        """Only of this importance (0..1): above, at least, below, at most."""
        return self._within("importance", gt, gte, lt, lte)

    def effective_importance(
        self, *, gt: float | None = None, gte: float | None = None, lt: float | None = None, lte: float | None = None
    ) -> Self:
        """Only of this effective importance now (0..1), see ``MemoryNode.effective_importance``."""
        return self._within("effective_importance", gt, gte, lt, lte)

    def retention(
        self, *, gt: float | None = None, gte: float | None = None, lt: float | None = None, lte: float | None = None
    ) -> Self:
        """Only those of which so much is left now (0..1)."""
        return self._within("retention", gt, gte, lt, lte)

    def valence(
        self, *, gt: float | None = None, gte: float | None = None, lt: float | None = None, lte: float | None = None
    ) -> Self:
        """Only of this emotional tone (-1..1)."""
        return self._within("valence", gt, gte, lt, lte)

    def confidence(
        self, *, gt: float | None = None, gte: float | None = None, lt: float | None = None, lte: float | None = None
    ) -> Self:
        """Only of this confidence (0..1)."""
        return self._within("confidence", gt, gte, lt, lte)

    def access_count(
        self, *, gt: float | None = None, gte: float | None = None, lt: float | None = None, lte: float | None = None
    ) -> Self:
        """Only those that were recalled so often."""
        return self._within("access_count", gt, gte, lt, lte)

    def tag(self, *tags: str, mode: TagMode = "all") -> Self:
        """Only with all of these tags, or with ``mode="any"`` one of them."""
        return self._filtered(tags=tags, tag_mode=mode)

    def tags(self, tags: Iterable[str], mode: TagMode = "all") -> Self:
        """Only with all of these tags, or with ``mode="any"`` one of them."""
        return self._filtered(tags=tags, tag_mode=mode)

    def metadata(
        self, key: str, value: Any = _NOT_GIVEN, *, contains: Any = _NOT_GIVEN, exists: bool | None = None
    ) -> Self:
        """Only with this value of metadata, with one that contains another, or with any (``exists=False``: none).

        Args:
            key: the name of the value; alone it must be there.
            contains: a part of a text, an item of a list, or a key of a map.
        """
        name = checks.identifier("key", key)
        tests = [Metadata(key=name, value=_plain(value), test="equals")] if value is not _NOT_GIVEN else []
        if contains is not _NOT_GIVEN:
            tests.append(Metadata(key=name, value=_plain(contains), test="contains"))
        if exists or (exists is None and not tests):
            tests.append(Metadata(key=name, test="exists"))
        wanted = self._select.selection
        absent = wanted.absent if exists is not False else (*wanted.absent, name)
        return self._selecting(metadata=(*wanted.metadata, *tests), absent=absent)

    def content_contains(self, part: str, *, case_sensitive: bool = False) -> Self:
        """Only with this text in the content."""
        if not isinstance(part, str):
            raise InputError(f"part must be a text, not {checks.shown(part)}")
        text = Text(part=part, case_sensitive=bool(case_sensitive))
        return self._selecting(texts=(*self._select.selection.texts, text))

    def created_after(self, time: TimeLike) -> Self:
        """Only recorded at or after a time."""
        return self._in_time("created", gte=to_us(time))

    def created_before(self, time: TimeLike) -> Self:
        """Only recorded before a time."""
        return self._in_time("created", lt=to_us(time))

    def accessed_after(self, time: TimeLike) -> Self:
        """Only recalled at or after a time (never recalled: recorded)."""
        return self._in_time("accessed", gte=to_us(time))

    def accessed_before(self, time: TimeLike) -> Self:
        """Only not recalled since a time."""
        return self._in_time("accessed", lt=to_us(time))

    def occurred_after(self, time: TimeLike) -> Self:
        """Only what happened at or after a time."""
        return self._in_time("occurred", gte=to_us(time))

    def occurred_before(self, time: TimeLike) -> Self:
        """Only what happened before a time."""
        return self._in_time("occurred", lt=to_us(time))

    def older_than(self, seconds: float) -> Self:
        """Only recorded longer ago than so many seconds."""
        age_us = round(checks.number("seconds", seconds, 0.0, 1e12) * _US)
        return self._in_time("created", lt=self._home.clock.now_us() - age_us)

    def speaker(self, name: str) -> Self:
        """Only said by somebody."""
        return self._filtered(speaker=name)

    def session(self, session: str | int) -> Self:
        """Only of a conversation."""
        return self._filtered(session=session)

    def source(self, source: str) -> Self:
        """Only taken from somewhere."""
        return self._filtered(source=source)

    def scope(self, scope: Scope | str) -> Self:
        """Only private, shared or public ones."""
        return self._filtered(scope=scope)

    def owner(self, agent: str) -> Self:
        """Only of an agent, in a memory that agents share."""
        return self._filtered(owner=agent)

    def where(self, test: Callable[[MemoryNode], bool]) -> Self:
        """Only those that a function of yours passes; it is called after all other conditions."""
        if not callable(test):
            raise InputError(f"where needs a function from a memory to true or false, not {checks.shown(test)}")
        query = self._but()
        query._tests = (*self._tests, test)
        return query

    def order_by(self, key: str, descending: bool = False) -> Self:
        """In order of a number; equal ones, and all without this, by age, oldest first.

        Args:
            key: one of ``ORDER_KEYS``: importance, effective_importance, retention, created, accessed, occurred,
                access_count, valence, confidence.
        """
        return self._but(order=Order(checks.one_of("key", key, ORDER_KEYS), bool(descending)))

    def limit(self, count: int) -> Self:
        """Give at most so many."""
        return self._but(limit=checks.count("limit", count, 0, 2**62))

    def offset(self, count: int) -> Self:
        """Leave out the first so many."""
        return self._but(offset=checks.count("offset", count, 0, 2**62))

    def all(self) -> list[MemoryNode]:
        """Return the memories."""
        if not self._tests:
            return self._nodes(self._select)
        found = [node for node in self._nodes(replace(self._select, offset=0, limit=None)) if self._passes(node)]
        limit = self._select.limit
        return found[self._select.offset : None if limit is None else self._select.offset + limit]

    def first(self) -> MemoryNode | None:
        """Return the first memory; None if there is none."""
        limit = self._select.limit
        return next(iter(self.limit(1 if limit is None else min(1, limit)).all()), None)

    def ids(self) -> list[str]:
        """Return the ids of the memories."""
        return [node.id for node in self.all()] if self._tests else self._ask("ids")

    def count(self) -> int:
        """Return how many ``all`` gives."""
        return len(self.all()) if self._tests else self._ask("count")

    def exists(self) -> bool:
        """Whether there is any."""
        return self.first() is not None

    def similar_to(self, query: Any, k: int = 5, *, threshold: float = -1.0) -> list[MemoryNode]:
        """Return the k memories that are most similar to a vector, or to a text, best first.

        Args:
            query: vector, shape (dim,), or a text for the memory's embedder.
            k: how many, 1..10,000.
            threshold: only from this cosine on, -1..1.

        Raises:
            EmbeddingDimensionError: the vector is of another length than those of the memory.
            EmbedderMismatch: it is a text, and the memory has no embedder.
        """
        count = checks.count("k", k, 1, self._home.limits.k_max)
        asked = replace(
            self._select,
            vector=self._vector_of(query),
            threshold=checks.within("threshold", threshold, -1.0, 1.0),
            order=None,
            offset=0,
            limit=None if self._tests else count,
        )
        return [node for node in self._nodes(asked) if self._passes(node)][:count]

    def __iter__(self) -> Iterator[MemoryNode]:
        return iter(self.all())

    def _nodes(self, asked: Select) -> list[MemoryNode]:
        answer = self._home.engine.ask(replace(asked, now_us=self._home.clock.now_us()))
        return [MemoryNode._view(state, self._home, answer.position) for state in answer.value]

    def _ask(self, give: Literal["ids", "count"]) -> Any:
        return self._home.engine.ask(replace(self._select, give=give, now_us=self._home.clock.now_us())).value

    def _passes(self, node: MemoryNode) -> bool:
        return all(test(node) for test in self._tests)

    def _vector_of(self, query: Any) -> bytes:
        if not isinstance(query, str):
            return checks.question(query)
        embedder = self._home.embedders.of(self._home.space)
        if embedder is None:
            raise EmbedderMismatch("this memory has no embedder for a text; ask with a vector")
        return embed_batch(embedder, [checks.content(query, self._home.limits)])[0]

    def _but(self, **changed: Any) -> Self:
        query = object.__new__(type(self))
        query._home, query._tests = self._home, self._tests
        query._select = replace(self._select, **changed)
        return query

    def _selecting(self, **changed: Any) -> Self:
        return self._but(selection=replace(self._select.selection, **changed))

    def _filtered(self, **fields: Any) -> Self:
        filters = filters_of(fields, self._home.limits)  # type: ignore[arg-type] # checked there
        return self._selecting(filters=(*self._select.selection.filters, filters))

    def _with_codes(self, column: str, kind: _Kind, given: tuple[Any, ...]) -> Self:
        if not given:
            raise InputError(f"give at least one {kind.__name__}")
        codes = tuple(kind.of(one).code for one in given)
        return self._selecting(codes=(*self._select.selection.codes, OneOf(column=column, codes=codes)))

    def _within(self, field: str, gt: float | None, gte: float | None, lt: float | None, lte: float | None) -> Self:
        given = {"gt": gt, "gte": gte, "lt": lt, "lte": lte}
        limits = {name: checks.number(name, value, -1e18, 1e18) for name, value in given.items() if value is not None}
        if not limits:
            raise InputError(f"{field}() needs a limit: gt, gte, lt or lte")
        return self._selecting(ranges=(*self._select.selection.ranges, Range(field=field, **limits)))

    def _in_time(self, field: str, **limits: int) -> Self:
        return self._selecting(ranges=(*self._select.selection.ranges, Range(field=field, **limits)))


def _plain(value: Any) -> Any:
    """Return a value of metadata as it would be kept."""
    return checks.metadata({"value": value}, LIMITS)["value"]


class Querying:
    """What has memories to query: ``AgentMemory`` and ``MemoryGraph``."""

    _home: Home

    def query(self) -> MemoryQuery:
        """Return a query for all memories, to be narrowed by conditions; see ``MemoryQuery``."""
        return MemoryQuery(self._home)
