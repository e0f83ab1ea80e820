"""The specification's Visualization, as written; the server of its last lines has tests of its own."""

import sys

from memorygraph import AgentMemory


def test_visualization(tmp_path, monkeypatch):
    program = tmp_path / "dot"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.stdout.write(sys.stdin.read())\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    mem = AgentMemory()
    for text in ("Leyla lives in Istanbul", "Leyla lives in Istanbul, near the sea"):
        mem.remember(text)

    from memorygraph.viz import render_graphviz, to_dot, to_networkx

    G = to_networkx(mem.graph)  # noqa: N806 - the specification's name
    dot = to_dot(mem.graph)  # "Graphviz DOT string (no dependencies)"
    render_graphviz(mem.graph, "graph", fmt="png")  # "PNG/SVG/PDF (needs graphviz)"

    import networkx as nx

    assert isinstance(G, nx.DiGraph)  # "networkx.DiGraph for centrality, communities, etc."
    assert sorted(nx.degree_centrality(G)) == sorted(node.id for node in mem)
    assert dot.startswith("digraph")
    assert (tmp_path / "graph.png").read_text().strip() == dot.strip()
