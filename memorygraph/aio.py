"""``AsyncAgentMemory``: an ``AgentMemory`` whose methods are awaited; the event loop is never blocked.

Each call runs in a thread of a pool of its own. Readers do not wait for writers, and what is written at the same time
by many calls is committed together. A call whose task is cancelled is carried out all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from memorygraph.agent import AgentMemory
from memorygraph.core.node import MemoryNode
from memorygraph.embeddings import Embedder
from memorygraph.history import Change
from memorygraph.hits import Hits, MemoryHit
from memorygraph.hooks import Hooks
from memorygraph.query import MemoryQuery

P = ParamSpec("P")
T = TypeVar("T")
THREADS: Final = 8  # calls of one memory that run at the same time
_WAIT_S: Final = 0.2  # how long a thread waits for the next change in one go


def _awaited(
    method: Callable[Concatenate[AgentMemory, P], T],
) -> Callable[Concatenate[AsyncAgentMemory, P], Coroutine[Any, Any, T]]:
    """Return a method of ``AgentMemory`` as one that is awaited; a subclass's own is called."""
    name = method.__name__

    async def call(self: AsyncAgentMemory, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = await self.run(lambda memory: getattr(memory, name)(*args, **kwargs))
        return result

    update_wrapper(call, method)
    return call


class AsyncAgentMemory:
    """The methods of an ``AgentMemory``, to be awaited.

    Args:
        memory: whose; default: a new one. An agent's view of a pool is one, too.
        threads: how many calls run at the same time.
        options: of the new ``AgentMemory``, such as ``path``.
    """

    def __init__(self, memory: AgentMemory | None = None, *, threads: int = THREADS, **options: Any) -> None:
        self.memory = AgentMemory(**options) if memory is None else memory
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="memorygraph")

    remember = _awaited(AgentMemory.remember)
    remember_many = _awaited(AgentMemory.remember_many)
    remember_messages = _awaited(AgentMemory.remember_messages)
    recall = _awaited(AgentMemory.recall)
    recall_many = _awaited(AgentMemory.recall_many)
    reason = _awaited(AgentMemory.reason)
    context = _awaited(AgentMemory.context)
    concepts = _awaited(AgentMemory.concepts)
    link = _awaited(AgentMemory.link)
    link_many = _awaited(AgentMemory.link_many)
    unlink = _awaited(AgentMemory.unlink)
    revise_many = _awaited(AgentMemory.revise_many)
    forget = _awaited(AgentMemory.forget)
    consolidate = _awaited(AgentMemory.consolidate)
    get = _awaited(AgentMemory.get)
    find = _awaited(AgentMemory.find)
    edges = _awaited(AgentMemory.edges)
    history = _awaited(AgentMemory.history)
    stats = _awaited(AgentMemory.stats)
    digest = _awaited(AgentMemory.digest)
    verify = _awaited(AgentMemory.verify)
    flush = _awaited(AgentMemory.flush)
    save = _awaited(AgentMemory.save)
    export = _awaited(AgentMemory.export)
    backup = _awaited(AgentMemory.backup)
    snapshot = _awaited(AgentMemory.snapshot)

    @classmethod
    async def load(cls, path: str | Path, *, embedder: Embedder | None = None) -> Self:
        """Return the memory of a JSON file, as ``AgentMemory.load``."""
        return cls(await asyncio.to_thread(partial(AgentMemory.load, path, embedder=embedder)))

    @classmethod
    async def connect(cls, name: str, **options: Any) -> Self:
        """Return a memory of a fleet, as ``AgentMemory.connect``."""
        return cls(await asyncio.to_thread(partial(AgentMemory.connect, name, **options)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _around, (type(self), self.memory, self._threads._max_workers)

    async def revise(self, id: str | MemoryNode, **fields: Any) -> MemoryNode:
        """Replace fields of a memory and return its new view, as ``AgentMemory.revise``."""
        return await self.run(lambda memory: memory.revise(id, **fields))

    @property
    def hooks(self) -> Hooks:
        """The memory's hooks; ``async`` handlers run in the event loop that they were added in."""
        return self.memory.hooks

    async def run(self, work: Callable[[AgentMemory], T]) -> T:
        """Call a function with the memory, in a thread: for what has no method here, and for transactions.

        >>> def move(memory):
        ...     with memory.transaction():
        ...         memory.link(memory.remember("a"), memory.remember("b"))
        >>> import asyncio
        >>> asyncio.run(AsyncAgentMemory().run(move))
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, self.memory)

    def query(self) -> AsyncMemoryQuery:
        """Return a query for all memories, to be narrowed: ``await memory.query().tag("user").all()``."""
        return AsyncMemoryQuery(self, self.memory.query())

    async def recall_stream(self, query: Any, k: int = 5, **options: Any) -> AsyncIterator[MemoryHit]:
        """Give the hits of ``recall``, best first."""
        for hit in await self.run(lambda memory: memory.recall(query, k, **options)):
            yield hit

    async def reason_stream(self, cue: Any, hops: int = 2, k: int = 10, **options: Any) -> AsyncIterator[MemoryHit]:
        """Give the hits of ``reason``, best first."""
        for hit in await self.run(lambda memory: memory.reason(cue, hops, k, **options)):
            yield hit

    async def changes(self, from_position: int = 1) -> AsyncIterator[Change]:
        """Give the changes from a position on: what is there, then what comes, as ``AgentMemory.subscribe``."""
        with self.memory.subscribe(from_position) as changes:
            while True:
                change = await self.run(lambda _: changes.next(timeout_s=_WAIT_S))
                if change is not None:
                    yield change

    async def close(self) -> None:
        """Flush and release everything."""
        await self.run(lambda memory: memory.close())
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __len__(self) -> int:
        return len(self.memory)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, id: object) -> bool:
        return id in self.memory

    def __repr__(self) -> str:
        return f"AsyncAgentMemory({self.memory!r})"


def _around(cls: type[AsyncAgentMemory], memory: AgentMemory, threads: int) -> AsyncAgentMemory:
    return cls(memory, threads=threads)


def _narrowed(
    method: Callable[Concatenate[MemoryQuery, P], MemoryQuery],
) -> Callable[Concatenate[AsyncMemoryQuery, P], AsyncMemoryQuery]:
    """Return a condition of ``MemoryQuery`` as one of ``AsyncMemoryQuery``; it asks nothing, so it is not awaited."""

    def narrow(self: AsyncMemoryQuery, /, *args: P.args, **kwargs: P.kwargs) -> AsyncMemoryQuery:
        return AsyncMemoryQuery(self._memory, method(self._query, *args, **kwargs))

    update_wrapper(narrow, method)
    return narrow


class AsyncMemoryQuery:
    """The conditions of a ``MemoryQuery``; what gives an answer is awaited. ``AsyncAgentMemory.query()`` makes one.

    Each condition returns a new query. Nothing is asked until ``all``, ``first``, ``ids``, ``count``, ``exists`` or
    ``similar_to`` is awaited, or an ``async for`` begins.
    """

    def __init__(self, memory: AsyncAgentMemory, query: MemoryQuery) -> None:
        self._memory = memory
        self._query = query

    consolidation = _narrowed(MemoryQuery.consolidation)
    importance = _narrowed(MemoryQuery.importance)
    effective_importance = _narrowed(MemoryQuery.effective_importance)
    retention = _narrowed(MemoryQuery.retention)
    valence = _narrowed(MemoryQuery.valence)
    confidence = _narrowed(MemoryQuery.confidence)
    access_count = _narrowed(MemoryQuery.access_count)
    tag = _narrowed(MemoryQuery.tag)
    tags = _narrowed(MemoryQuery.tags)
    metadata = _narrowed(MemoryQuery.metadata)
    content_contains = _narrowed(MemoryQuery.content_contains)
    created_after = _narrowed(MemoryQuery.created_after)
    created_before = _narrowed(MemoryQuery.created_before)
    accessed_after = _narrowed(MemoryQuery.accessed_after)
    accessed_before = _narrowed(MemoryQuery.accessed_before)
    occurred_after = _narrowed(MemoryQuery.occurred_after)
    occurred_before = _narrowed(MemoryQuery.occurred_before)
    older_than = _narrowed(MemoryQuery.older_than)
    speaker = _narrowed(MemoryQuery.speaker)
    session = _narrowed(MemoryQuery.session)
    source = _narrowed(MemoryQuery.source)
    scope = _narrowed(MemoryQuery.scope)
    owner = _narrowed(MemoryQuery.owner)
    where = _narrowed(MemoryQuery.where)
    order_by = _narrowed(MemoryQuery.order_by)
    limit = _narrowed(MemoryQuery.limit)
    offset = _narrowed(MemoryQuery.offset)
    type = _narrowed(MemoryQuery.type)

    async def all(self) -> list[MemoryNode]:
        """Return the memories."""
        return await self._memory.run(lambda _: self._query.all())

    async def first(self) -> MemoryNode | None:
        """Return the first memory; None if there is none."""
        return await self._memory.run(lambda _: self._query.first())

    async def ids(self) -> list[str]:
        """Return the ids of the memories."""
        return await self._memory.run(lambda _: self._query.ids())

    async def count(self) -> int:
        """Return how many ``all`` gives."""
        return await self._memory.run(lambda _: self._query.count())

    async def exists(self) -> bool:
        """Whether there is any."""
        return await self._memory.run(lambda _: self._query.exists())

    async def similar_to(self, query: Any, k: int = 5, *, threshold: float = -1.0) -> list[MemoryNode]:
        """Return the k memories that are most similar to a vector, or to a text, best first."""
        return await self._memory.run(lambda _: self._query.similar_to(query, k, threshold=threshold))

    async def __aiter__(self) -> AsyncIterator[MemoryNode]:
        for node in await self.all():
            yield node


async def gather_recall(memory: AsyncAgentMemory, queries: Iterable[Any], k: int = 5, **options: Any) -> list[Hits]:
    """Recall for several questions at the same time, and return the hits of each, in their order."""
    return await asyncio.gather(
        *(memory.run(lambda plain, query=query: plain.recall(query, k, **options)) for query in queries)  # type: ignore[misc] # the default binds it
    )
