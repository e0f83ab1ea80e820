"""``AsyncAgentMemory``: the same results, and a loop that goes on meanwhile."""

from __future__ import annotations

import asyncio
import inspect
import threading
from pathlib import Path
from typing import Any

import pytest

from memorygraph import AgentMemory, AsyncAgentMemory, Scope, SharedMemoryPool, gather_recall
from memorygraph.aio import AsyncMemoryQuery
from memorygraph.events.errors import NodeNotFoundError
from memorygraph.query import MemoryQuery


async def test_methods_give_what_those_of_the_memory_give(tmp_path: Path) -> None:
    async with AsyncAgentMemory() as memory:
        leyla = await memory.remember("Leyla lives in Istanbul", importance=0.9)
        await memory.remember_many(["Leyla likes tea", "It rained"])
        plain = memory.memory
        assert [hit.content for hit in await memory.recall("where does Leyla live", k=1)] == [leyla.content]
        assert [hit.node_id for hit in await memory.reason("Leyla")] == [hit.node_id for hit in plain.reason("Leyla")]
        edge = await memory.link(leyla, (await memory.find())[2])
        assert edge in await memory.edges(leyla.id)
        assert (await memory.get(leyla.id)) == plain.get(leyla.id)
        assert await memory.query().importance(gt=0.8).ids() == [leyla.id]
        await memory.save(tmp_path / "memory.json")
        await memory.remember("It rained")
        assert await memory.consolidate(similarity_threshold=0.95) == 1
        assert len(await memory.forget(ids=[leyla.id])) == 1
        with pytest.raises(NodeNotFoundError):
            await memory.get(leyla.id)
        assert (await memory.stats()).num_nodes == len(memory) == 2
    loaded = await AsyncAgentMemory.load(tmp_path / "memory.json")
    assert leyla.id in loaded
    await loaded.close()


async def test_hits_are_streamed_and_questions_asked_together() -> None:
    memory = AsyncAgentMemory(AgentMemory())
    await asyncio.gather(*(memory.remember(f"note {n} on the harbour") for n in range(20)))
    assert len(memory) == 20
    streamed = [hit.node_id async for hit in memory.recall_stream("harbour", k=5)]
    assert streamed == [hit.node_id for hit in await memory.recall("harbour", 5)]
    assert [hit.node_id async for hit in memory.reason_stream("harbour", k=3)]
    batches = await gather_recall(memory, ["note 1", "note 2"], k=3)
    assert [[hit.node_id for hit in hits] for hits in batches] == [
        [hit.node_id for hit in await memory.recall(question, 3)] for question in ("note 1", "note 2")
    ]
    await memory.close()


async def test_a_query_is_narrowed_and_its_answer_awaited() -> None:
    async with AsyncAgentMemory() as memory:
        leyla = await memory.remember("Leyla likes tea", tags=["user"])
        await memory.remember("It rained", tags=["weather"])
        asked = memory.query().tag("user")
        assert await asked.all() == [leyla] == [node async for node in asked]
        assert await asked.first() == leyla
        assert (await asked.ids(), await asked.count(), await memory.query().count()) == ([leyla.id], 1, 2)
        assert (await asked.exists(), await memory.query().tag("nobody").exists()) == (True, False)
        assert (await memory.query().limit(1).similar_to("tea", k=1)) == [leyla]
        assert await memory.query().where(lambda node: "rain" in node.content).count() == 1
    names = {name for name in vars(MemoryQuery) if not name.startswith("_")}
    assert names == {name for name in vars(AsyncMemoryQuery) if not name.startswith("_")}


async def test_the_loop_goes_on_while_a_memory_works() -> None:
    memory, started, may_end = AsyncAgentMemory(), threading.Event(), threading.Event()

    def work(_: AgentMemory) -> str:
        started.set()
        may_end.wait(10)
        return "done"

    task = asyncio.create_task(memory.run(work))
    await asyncio.to_thread(started.wait)
    may_end.set()  # the loop came to here while the thread was waiting
    assert await task == "done"
    await memory.close()


async def test_transactions_and_views_work_in_a_thread() -> None:
    memory = AsyncAgentMemory()

    def both(plain: AgentMemory) -> None:
        with plain.transaction():
            plain.remember("a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await memory.run(both)
    assert len(memory) == 0
    pool = SharedMemoryPool(memory.memory)
    ann, bob = AsyncAgentMemory(pool.agent("ann")), AsyncAgentMemory(pool.agent("bob"))
    await ann.remember("public", scope=Scope.PUBLIC)
    await ann.remember("private")
    assert [hit.content for hit in await bob.recall("private")] == ["public"]


async def test_changes_come_as_they_are_made() -> None:
    memory = AsyncAgentMemory()
    changes = memory.changes()
    assert (await anext(changes)).kind == "created"
    task = asyncio.ensure_future(anext(changes))
    await memory.remember("new")
    assert (await task).position == 2
    await changes.aclose()  # type: ignore[attr-defined] # a generator has it


def test_every_method_is_documented_and_has_the_same_arguments() -> None:
    for name, value in vars(AsyncAgentMemory).items():
        own = getattr(AgentMemory, name, None)
        if inspect.iscoroutinefunction(value) and own is not None and hasattr(value, "__wrapped__"):
            wrapped: Any = value
            assert wrapped.__doc__ == own.__doc__
