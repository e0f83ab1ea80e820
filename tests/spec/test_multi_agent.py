"""The specification's "Multi-Agent Memory Sharing", as written; the comments say which outcome the text states."""

from __future__ import annotations


def test_multi_agent_memory_sharing() -> None:
    from memorygraph import Scope, SharedMemoryPool

    pool = SharedMemoryPool()
    researcher = pool.agent("researcher", room="growth-team")
    analyst = pool.agent("analyst", room="growth-team")
    intern = pool.agent("intern", room="other-team")

    researcher.remember("Market grew 30% in 2025", scope=Scope.SHARED)
    researcher.remember("Confidential source …", scope=Scope.PRIVATE)
    researcher.remember("Company IPOs in Q3", scope=Scope.PUBLIC)
    node_id = researcher.recall("confidential", k=1)[0].node_id

    # sees SHARED + PUBLIC, not the private note
    seen = {hit.content for hit in analyst.recall("market growth")}
    assert seen == {"Market grew 30% in 2025", "Company IPOs in Q3"}

    # other room -> only PUBLIC
    assert [hit.content for hit in intern.recall("company")] == ["Company IPOs in Q3"]

    researcher.share(node_id, Scope.SHARED)  # promote a private memory later
    assert node_id in {hit.node_id for hit in analyst.recall("market growth")}
    assert node_id not in {hit.node_id for hit in intern.recall("company")}
