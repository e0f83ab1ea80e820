"""The specification's "Async & streaming", as written; the comments say which outcome the text states."""

from __future__ import annotations


async def test_async_and_streaming() -> None:
    from memorygraph import AsyncAgentMemory, gather_recall

    mem = AsyncAgentMemory()
    await mem.remember("Leyla lives in Istanbul")
    hits = await mem.recall("where does Leyla live")  # non-blocking (threadpool)

    streamed = []
    async for hit in mem.recall_stream("Leyla", k=5):  # streamed results
        streamed.append(hit.content)  # noqa: PERF401 - as the text has it

    batches = await gather_recall(mem, ["a", "b", "c"])  # concurrent recalls

    assert hits[0].content == "Leyla lives in Istanbul"
    assert streamed == ["Leyla lives in Istanbul"]
    assert len(batches) == 3
