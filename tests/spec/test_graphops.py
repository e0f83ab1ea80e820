"""The specification's "Graph merge & diff", as written; the comments say which outcome the text states."""

from __future__ import annotations

from memorygraph import AgentMemory


def test_graph_merge_and_diff() -> None:
    agent_a, agent_b = AgentMemory(), AgentMemory()
    agent_a.remember("only a knows", node_id="a")
    agent_a.remember("both know", importance=0.2, node_id="both")
    agent_b.remember("both know", importance=0.9, node_id="both")
    agent_b.remember("only b knows", node_id="b")

    from memorygraph import MergeStrategy, diff_graphs, merge_graphs, sync_into

    diff = diff_graphs(agent_a.graph, agent_b.graph)  # added/removed/changed
    merged = merge_graphs(agent_a.graph, agent_b.graph, strategy=MergeStrategy.UNION)
    assert (diff.added, diff.removed, diff.changed) == (("b",), ("a",), ("both",))
    assert {node.id for node in merged.nodes()} == {"a", "b", "both"}

    changed = sync_into(agent_a.graph, agent_b.graph)  # in-place sync, returns the diff
    assert changed.added == ("b",)
    assert {node.id for node in agent_a.find()} == {"a", "b", "both"}
    assert len(agent_b) == 2
