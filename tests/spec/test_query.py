"""The specification's "Fluent query / filter API", as written; the comments say which outcome the text states."""

from __future__ import annotations

from memorygraph import AgentMemory


def test_fluent_query() -> None:
    mem = AgentMemory()
    mem.remember("Leyla likes tea", importance=0.8, tags=["user"])
    mem.remember("Leyla lives in Istanbul", importance=0.95, tags=["user"])
    mem.remember("It rained", importance=0.9)
    mem.remember("A fact", importance=0.9, tags=["user"], memory_type="semantic")
    mem.remember("Small talk", importance=0.1, tags=["user"])
    assert mem.embedder is not None
    vec = mem.embedder("where in Istanbul")

    from memorygraph import MemoryType

    results = (
        mem.query()
        .type(MemoryType.EPISODIC)
        .importance(gt=0.7)
        .tag("user")
        .retention(gte=0.3)
        .order_by("importance", descending=True)
        .limit(10)
        .all()
    )
    hits = mem.query().tag("user").similar_to(vec, k=5)  # hybrid: filter + semantic

    assert [node.content for node in results] == ["Leyla lives in Istanbul", "Leyla likes tea"]
    assert hits[0].content == "Leyla lives in Istanbul"
    assert "It rained" not in {node.content for node in hits}
