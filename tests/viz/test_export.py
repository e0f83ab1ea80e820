"""Graphs in the forms of other programs."""

import json
import os
import stat
import sys
import warnings

import networkx as nx
import pydot
import pytest

from memorygraph import AgentMemory, MemoryEdge, MemoryGraph, MemoryNode
from memorygraph.core.types import InputError, StoreError
from memorygraph.viz import from_networkx, render_graphviz, to_cytoscape, to_d3, to_dot, to_networkx

AWKWARD = {
    "a\\": "ends in a backslash \\",
    'say "hi"': 'a "quoted" word; a \\"backslash\\" before one',
    "<b>": "<b>no markup</b> & so on",
    "node": "a keyword as an id",
    "1.5": "a number as an id",
    "日本 🙂": "line one\nline two\r\nthree\ttab",
    "-> { } ; [x=1]": "// comment /* and */ # this",
    "nul": "a \x00 and \x1b[0m",
    "empty": "",
    "long": "word " * 50,
    "\\N": "\\N \\G \\n",
}


def awkward_graph():
    graph = MemoryGraph(3, 'a "graph" \\')
    for name, text in AWKWARD.items():
        graph.add_node(MemoryNode(text, node_id=name))
    for name in AWKWARD:
        if name != "empty":
            graph.add_edge(MemoryEdge("empty", name, weight=0.25, directed=name != "node"))
    return graph


def rich_graph():
    memory = AgentMemory(embedding_dim=8, auto_associate=False)
    memory.remember("the moon", node_id="moon", importance=0.9, tags=["sky", "night"], metadata={"n": [1]}, session=5)
    memory.remember("the sea", node_id="sea", memory_type="procedural", expires_at="2999-01-01", speaker="Ada")
    memory.graph.add_node(MemoryNode("no vector", node_id="none", occurred_at=1000.5, decay_function="power_law"))
    memory.graph.add_edge(MemoryEdge("moon", "sea", "causal", 0.5, 0.5, metadata={"x": 1}, edge_id="chosen"))
    memory.graph.add_edge(MemoryEdge("moon", "sea", "temporal", 0.75))
    memory.graph.add_edge(MemoryEdge("sea", "none", "similarity", 0.3, directed=False))
    gone = memory.remember("gone")
    memory.forget(ids=[gone.id])
    memory.recall("moon", k=1)
    memory.flush()
    return memory.graph


def plain(graph):
    """All that must come back through NetworkX."""
    nodes = {node.id: node.to_dict() for node in graph}
    edges = []
    for edge in graph.edges():
        values = edge.to_dict()
        values["id"] = values["id"] if values["id"] == "chosen" else ""
        edges.append(values)
    for node in nodes.values():
        del node["version"]
    return nodes, sorted(edges, key=repr)


def test_to_networkx():
    graph = rich_graph()
    made = to_networkx(graph)
    assert type(made) is nx.DiGraph
    assert made.name == graph.name
    assert set(made.nodes) == {"moon", "sea", "none"}
    moon = made.nodes["moon"]
    assert (moon["content"], moon["importance"], moon["memory_type"]) == ("the moon", 0.9, "episodic")
    assert (moon["tags"], moon["metadata"], moon["session"], moon["access_count"]) == (
        ["sky", "night"],
        {"n": [1]},
        5,
        1,
    )
    assert 0 <= moon["effective_importance"] <= moon["retention"] <= 1
    assert "embedding" not in moon
    assert len(to_networkx(graph, embeddings=True).nodes["moon"]["embedding"]) == 8


def test_of_parallel_edges_a_digraph_has_the_strongest():
    made = to_networkx(rich_graph())
    edge = made.edges["moon", "sea"]
    assert (edge["edge_type"], edge["weight"], edge["effective_weight"], edge["parallel"]) == (
        "temporal",
        0.75,
        0.75,
        2,
    )
    assert made.edges["sea", "none"]["parallel"] == 1
    assert made.number_of_edges() == 3  # the undirected one both ways


def test_a_multidigraph_has_all_edges():
    made = to_networkx(rich_graph(), multi=True)
    assert type(made) is nx.MultiDiGraph
    assert made.number_of_edges() == 4
    assert made.edges["moon", "sea", "chosen"]["metadata"] == {"x": 1}


def test_algorithms_run_on_it():
    made = to_networkx(rich_graph())
    assert nx.shortest_path(made, "moon", "none") == ["moon", "sea", "none"]
    assert set(nx.pagerank(made, weight="effective_weight")) == {"moon", "sea", "none"}


def test_through_networkx_and_back_nothing_is_lost():
    graph = rich_graph()
    back = from_networkx(to_networkx(graph, multi=True, embeddings=True), name=graph.name)
    assert plain(back) == plain(graph)
    assert (back.name, back.embedding_dim) == (graph.name, 8)
    once = from_networkx(to_networkx(graph))
    assert len(list(once.edges())) == 2  # of the parallel ones, one


def test_from_any_networkx_graph():
    given = nx.karate_club_graph()
    graph = from_networkx(given)
    assert len(graph) == 34
    assert graph.get_node("0").content == "0"
    assert graph.edge_count == given.number_of_edges()
    assert not any(edge.directed for edge in graph.edges())
    arrows = from_networkx(nx.DiGraph([("a", "b"), ("b", "a")]))
    assert [(edge.source_id, edge.target_id, edge.directed) for edge in arrows.edges()] == [
        ("a", "b", True),
        ("b", "a", True),
    ]
    many = from_networkx(nx.path_graph(2500))
    assert (len(many), many.edge_count) == (2500, 2499)
    assert len(from_networkx(nx.Graph())) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (nx.Graph([(1, "1")]), "'1'"),
        (nx.Graph([("a", "a")]), "two different nodes"),
        ({}, "expected a NetworkX graph"),
    ],
)
def test_what_networkx_has_and_we_have_not_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        from_networkx(given)


def test_values_that_cannot_be_used_are_refused():
    for attributes in ({"memory_type": "nonsense"}, {"importance": "high"}, {"content": 5}):
        given = nx.Graph()
        given.add_node("a", **attributes)
        with pytest.raises(InputError):
            from_networkx(given)
    given = nx.DiGraph()
    given.add_edge("a", "b", edge_type="nonsense")
    with pytest.raises(InputError):
        from_networkx(given)


def read(dot):
    """The graph that a DOT parser finds in a text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # between the parser and its own library
        (parsed,) = pydot.graph_from_dot_data(dot)
    return parsed


def meant(quoted):
    """What Graphviz takes a quoted string for, as a label."""
    assert quoted.startswith('"')
    assert quoted.endswith('"')
    return quoted[1:-1].replace("\\\\", "\0").replace('\\"', '"').replace("\\n", "\n").replace("\0", "\\")


def test_to_dot_says_what_is_there():
    parsed = read(to_dot(rich_graph(), rankdir="TB"))
    assert parsed.get_rankdir() == "TB"
    nodes = {meant(node.get_name()): node for node in parsed.get_nodes() if node.get_name().startswith('"')}
    assert set(nodes) == {"moon", "sea", "none"}
    assert meant(nodes["moon"].get_label()) == "the moon"
    edges = sorted(
        (meant(edge.get_source()), meant(edge.get_destination()), meant(edge.get_label()), edge.get_dir())
        for edge in parsed.get_edges()
    )
    assert edges == [
        ("moon", "sea", "causal", None),
        ("moon", "sea", "temporal", None),
        ("sea", "none", "similarity", '"none"'),
    ]


def test_any_text_stays_within_its_quotes():
    parsed = read(to_dot(awkward_graph()))
    nodes = {meant(node.get_name()): node for node in parsed.get_nodes() if node.get_name().startswith('"')}
    assert set(nodes) == set(AWKWARD)
    assert meant(nodes["a\\"].get_tooltip()) == AWKWARD["a\\"]
    assert meant(nodes['say "hi"'].get_label()) == 'a "quoted" word; a \\"backslash\\" before…'
    assert meant(nodes["日本 🙂"].get_tooltip()) == "line one\nline two\nthree tab"
    assert meant(nodes["nul"].get_label()) == "a \N{REPLACEMENT CHARACTER} and \N{REPLACEMENT CHARACTER}[0m"
    assert meant(nodes["empty"].get_label()) == "empty"
    assert len(meant(nodes["long"].get_label())) <= 40
    ends = {meant(edge.get_destination()) for edge in parsed.get_edges()}
    assert ends == set(AWKWARD) - {"empty"}


def test_without_quoting_the_same_graph_is_not_read(monkeypatch):
    """The mutant that the test above kills."""
    monkeypatch.setattr("memorygraph.viz.export._quoted", lambda text: f'"{text}"')
    with pytest.raises((AssertionError, TypeError, ValueError, AttributeError, KeyError)):
        test_any_text_stays_within_its_quotes()


def test_an_empty_graph_is_drawn():
    assert read(to_dot(MemoryGraph(3))).get_nodes()[0].get_name() == "node"
    assert to_cytoscape(MemoryGraph(3)) == {"elements": []}
    assert to_d3(MemoryGraph(3)) == {"nodes": [], "links": []}


def test_to_cytoscape():
    graph = rich_graph()
    elements = json.loads(json.dumps(to_cytoscape(graph)))["elements"]
    data = {element["data"]["id"]: element["data"] for element in elements}
    assert len(data) == len(elements) == 6
    assert data["moon"]["content"] == "the moon"
    assert (data["chosen"]["source"], data["chosen"]["target"], data["chosen"]["type"]) == ("moon", "sea", "causal")


def test_in_cytoscape_an_edge_does_not_take_a_nodes_id():
    graph = MemoryGraph(3)
    graph.add_nodes([MemoryNode("a", node_id="same"), MemoryNode("b", node_id="edge same")])
    graph.add_edge(MemoryEdge("same", "edge same", edge_id="same"))
    assert [element["data"]["id"] for element in to_cytoscape(graph)["elements"]] == [
        "same",
        "edge same",
        "edge edge same",
    ]


def test_to_d3():
    found = json.loads(json.dumps(to_d3(rich_graph())))
    assert {node["id"]: node["degree"] for node in found["nodes"]} == {"moon": 2, "sea": 3, "none": 1}
    assert [(link["source"], link["target"], link["directed"]) for link in found["links"]] == [
        ("moon", "sea", True),
        ("moon", "sea", True),
        ("sea", "none", False),
    ]
    assert {node["tags"][0] for node in found["nodes"] if node["tags"]} == {"sky"}


@pytest.fixture
def dot(tmp_path, monkeypatch):
    """A program ``dot`` that draws nothing: it says what it was asked for."""

    def install(body):
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "dot"
        program.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return install


@pytest.mark.parametrize("fmt", ["png", "svg", "pdf"])
def test_render_graphviz(tmp_path, dot, monkeypatch, fmt):
    dot("sys.stdout.write(' '.join(sys.argv[1:]) + chr(10) + sys.stdin.read())")
    monkeypatch.chdir(tmp_path)
    graph = rich_graph()
    (tmp_path / "graph").write_text("mine")
    assert render_graphviz(graph, "graph", fmt=fmt) == f"graph.{fmt}"
    asked, _, text = (tmp_path / f"graph.{fmt}").read_text().partition("\n")
    assert f"-T{fmt}" in asked
    assert text.strip() == to_dot(graph).strip()
    assert (tmp_path / "graph").read_text() == "mine"
    assert render_graphviz(graph, tmp_path / f"other.{fmt}", fmt) == str(tmp_path / f"other.{fmt}")


def test_a_drawing_that_fails_leaves_what_was_there(tmp_path, dot):
    dot("sys.stderr.write('syntax error' + chr(10) + 'in line 1'); sys.exit(1)")
    (tmp_path / "graph.png").write_text("before")
    with pytest.raises(StoreError, match=r"graph\.png: Graphviz's dot could not draw it: syntax error in line 1"):
        render_graphviz(rich_graph(), tmp_path / "graph")
    assert (tmp_path / "graph.png").read_text() == "before"


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    graph = rich_graph()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImportError, match="needs Graphviz's program dot on the PATH"):
        render_graphviz(graph, tmp_path / "graph")
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(ImportError, match=r"pip install 'memorygraph\[viz\]'"):
        render_graphviz(graph, tmp_path / "graph")
    monkeypatch.setitem(sys.modules, "networkx", None)
    for call in (to_networkx, from_networkx):
        with pytest.raises(ImportError, match=r"pip install 'memorygraph\[viz\]'"):
            call(graph)
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments_are_named(tmp_path):
    graph = rich_graph()
    with pytest.raises(InputError, match="fmt must be one of png, svg, pdf"):
        render_graphviz(graph, tmp_path / "graph", fmt="doc")
    with pytest.raises(InputError, match="rankdir must be one of"):
        to_dot(graph, rankdir="up; x")
    for call in (to_networkx, to_dot, to_cytoscape, to_d3):
        with pytest.raises(InputError, match="expected a MemoryGraph"):
            call("graph")
