"""A graph's present, at one position, in the forms of other programs; and from NetworkX back.

Where a graph is asked for, the ``AgentMemory`` that has it does.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from memorygraph import checks
from memorygraph.actors.commands import AllEdges, FindNodes
from memorygraph.core.edge import MemoryEdge
from memorygraph.core.graph import HasGraph, MemoryGraph, graph_in
from memorygraph.core.node import MemoryNode
from memorygraph.drafts import chunks_of, size_bytes
from memorygraph.events.errors import InputError, StoreError
from memorygraph.replacing import replacing

RANKDIRS: Final = ("LR", "TB", "RL", "BT")
FORMATS: Final = ("png", "svg", "pdf")
LABEL_CHARS: Final = 40
_COLOURS: Final = {
    "episodic": "#8ecae6",
    "semantic": "#b7e4c7",
    "working": "#ffd166",
    "procedural": "#cdb4db",
    "sensory": "#f4a6a0",
    "prospective": "#a8dadc",
}
_OTHER: Final = "#d0d0d0"
_CONTROL: Final = re.compile("[\0-\x08\x0b-\x1f\x7f]")
_EDGES_AT_ONCE: Final = 1000


class _Present(NamedTuple):
    """Nodes and edges at one position."""

    nodes: list[MemoryNode]
    edges: list[MemoryEdge]


def to_networkx(graph: MemoryGraph | HasGraph, *, multi: bool = False, embeddings: bool = False) -> Any:
    """Return a graph as ``networkx.DiGraph``, with all fields of nodes and edges as attributes.

    An undirected edge is there in both directions, with ``directed`` False and one ``id``. A DiGraph has one edge from
    a node to another: of several, the one with the highest effective weight, and ``parallel`` says how many there are.

    Args:
        multi: a ``MultiDiGraph``, which has all of them, by their ids as keys.
        embeddings: with the vectors, as lists.

    Raises:
        ImportError: NetworkX is not installed.
    """
    networkx = _networkx()
    graph = graph_in(graph)
    made = networkx.MultiDiGraph(name=graph.name) if multi else networkx.DiGraph(name=graph.name)
    present = _present(graph, vectors=embeddings)
    for node in present.nodes:
        fields = _fields(node)
        if not embeddings:
            del fields["embedding"]
        made.add_node(node.id, **fields)
    count = Counter(arc for edge in present.edges for arc in _arcs(edge))
    for edge in sorted(present.edges, key=lambda edge: edge.effective_weight):  # the highest comes last, and stays
        values = edge.to_dict() | {"effective_weight": edge.effective_weight}
        for source, target in _arcs(edge):
            if multi:
                made.add_edge(source, target, key=edge.id, **values)
            else:
                made.add_edge(source, target, parallel=count[source, target], **values)
    return made


def from_networkx(given: Any, name: str = "from_networkx") -> MemoryGraph:
    """Return a graph in memory of a NetworkX graph, of any kind.

    Node keys become ids, as texts. Attributes that a node or edge has (``MemoryNode.from_dict``) are taken over, others
    are not; content is the key where there is none. Edges of an undirected graph are undirected.

    Raises:
        InputError: a value cannot be used, two keys have the same text, or an edge leads from a node to itself.
    """
    networkx = _networkx()
    if not isinstance(given, networkx.Graph):
        raise InputError(f"expected a NetworkX graph, not {checks.shown(given)}")
    nodes = [
        MemoryNode.from_dict({"content": str(key), **attributes, "id": str(key)})
        for key, attributes in given.nodes(data=True)
    ]
    vector = next((node.embedding for node in nodes if node.embedding is not None), None)
    graph = MemoryGraph(name=name) if vector is None else MemoryGraph(len(vector), name)
    for some in chunks_of(nodes, lambda node: size_bytes(node._state)):
        graph.add_nodes(some)
    edges = list(_edges_from(given))
    for first in range(0, len(edges), _EDGES_AT_ONCE):
        graph.add_edges(edges[first : first + _EDGES_AT_ONCE])
    return graph


def to_dot(graph: MemoryGraph | HasGraph, rankdir: str = "LR") -> str:
    """Return a graph in Graphviz's language; nodes are coloured by type and sized by importance, edges by weight.

    Args:
        rankdir: which way edges lead: "LR", "TB", "RL" or "BT".
    """
    checks.one_of("rankdir", rankdir, RANKDIRS)
    graph = graph_in(graph)
    present = _present(graph)
    lines = [
        f"digraph {_quoted(graph.name)} {{",
        f"  rankdir={rankdir};",
        '  node [shape=box, style="filled,rounded", fontname="Helvetica"];',
        '  edge [color="#7a869a", fontname="Helvetica", fontsize=9];',
    ]
    for node in present.nodes:
        values = {
            "label": _label(node),
            "tooltip": node.content or node.id,
            "fillcolor": _colour(node),
            "width": f"{0.4 + node.importance:.2f}",
        }
        lines.append(f"  {_quoted(node.id)} {_attributes(values)};")
    for edge in present.edges:
        values = {"label": edge.edge_type.value, "penwidth": f"{0.5 + 3.0 * edge.weight:.2f}"}
        if not edge.directed:
            values["dir"] = "none"
        lines.append(f"  {_quoted(edge.source_id)} -> {_quoted(edge.target_id)} {_attributes(values)};")
    return "\n".join([*lines, "}", ""])


def render_graphviz(
    graph: MemoryGraph | HasGraph, path: str | Path = "memory_graph", fmt: str = "png", rankdir: str = "LR"
) -> str:
    """Draw a graph with Graphviz and return the path of the picture, ``<path>.<fmt>``; it is written whole or not.

    Args:
        fmt: "png", "svg" or "pdf".

    Raises:
        ImportError: the package graphviz, or Graphviz's program ``dot``, is not installed.
        StoreError: ``dot`` failed, or the file cannot be written.
    """
    checks.one_of("fmt", fmt, FORMATS)
    target = checks.path("path", path)
    if target.suffix != f".{fmt}":
        target = target.with_name(f"{target.name}.{fmt}")
    try:
        import graphviz
    except ModuleNotFoundError as error:
        raise ImportError("render_graphviz needs graphviz: pip install 'memorygraph[viz]'") from error
    try:
        picture = graphviz.Source(to_dot(graph, rankdir)).pipe(format=fmt)
    except graphviz.ExecutableNotFound as error:
        raise ImportError(
            "render_graphviz needs Graphviz's program dot on the PATH; install Graphviz (graphviz.org), or give "
            "to_dot's text to another program"
        ) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else str(error.stderr)
        raise StoreError(f"{target}: Graphviz's dot could not draw it: {checks.one_line(said)}") from error
    with replacing(target) as file:
        file.write(picture)
    return str(target)


def to_cytoscape(graph: MemoryGraph | HasGraph) -> dict[str, Any]:
    """Return a graph as Cytoscape.js takes it: ``{"elements": [{"data": {...}}, ...]}``, nodes first."""
    present = _present(graph)
    taken = {node.id for node in present.nodes}
    elements = [{"data": _shown(node)} for node in present.nodes]
    for edge in present.edges:
        name = edge.id
        while name in taken:  # nodes and edges share their ids there
            name = f"edge {name}"
        taken.add(name)
        elements.append({"data": {**_link(edge), "id": name}})
    return {"elements": elements}


def to_d3(graph: MemoryGraph | HasGraph) -> dict[str, Any]:
    """Return a graph for D3's force layout: ``{"nodes": [...], "links": [...]}``."""
    present = _present(graph)
    degree = Counter(end for edge in present.edges for end in (edge.source_id, edge.target_id))
    return {
        "nodes": [{**_shown(node), "degree": degree[node.id]} for node in present.nodes],
        "links": [_link(edge) for edge in present.edges],
    }


def _present(graph: MemoryGraph | HasGraph, *, vectors: bool = False) -> _Present:
    graph = graph_in(graph)
    pinned = graph._home.engine.pinned()
    found, links = pinned.ask(FindNodes(vectors=vectors)), pinned.ask(AllEdges())
    states = found.value if vectors else [replace(state, vector=b"") for state in found.value]
    return _Present(
        [MemoryNode._view(state, graph._home, found.position) for state in states],
        [MemoryEdge._view(state, graph._home, links.position) for state in links.value],
    )


def _networkx() -> Any:
    try:
        import networkx as nx
    except ModuleNotFoundError as error:
        raise ImportError("NetworkX is not installed: pip install 'memorygraph[viz]'") from error
    return nx


def _arcs(edge: MemoryEdge) -> list[tuple[str, str]]:
    there = (edge.source_id, edge.target_id)
    return [there] if edge.directed else [there, there[::-1]]


def _edges_from(given: Any) -> Iterator[MemoryEdge]:
    """Give the edges of a NetworkX graph; an undirected one that ``to_networkx`` wrote twice comes once."""
    seen: set[str] = set()
    for source, target, attributes in given.edges(data=True):
        values = {**attributes, "directed": given.is_directed() and attributes.get("directed", True)}
        name = values.get("id")
        if not values["directed"] and isinstance(name, str):
            if name in seen:
                continue
            seen.add(name)
        ends = {"source_id": str(source), "target_id": str(target)}
        if {values.get("source_id"), values.get("target_id")} == set(ends.values()):
            ends = {}  # as it was written, whichever of its two directions came first
        yield MemoryEdge.from_dict({**values, **ends})


def _fields(node: MemoryNode) -> dict[str, Any]:
    """All fields but the id, which is the key, and what is computed of them."""
    fields = {name: value for name, value in node.to_dict().items() if name != "id"}
    computed = {"retention": node.retention(), "effective_importance": node.effective_importance()}
    return {**fields, **computed, "label": _label(node), "color": _colour(node)}


def _shown(node: MemoryNode) -> dict[str, Any]:
    """What a picture shows of a node."""
    return {
        "id": node.id,
        "label": _label(node),
        "content": node.content,
        "type": node.memory_type.value,
        "importance": node.importance,
        "effective_importance": node.effective_importance(),
        "retention": node.retention(),
        "tags": node.tags,
        "color": _colour(node),
    }


def _link(edge: MemoryEdge) -> dict[str, Any]:
    """What a picture shows of an edge."""
    return {
        "id": edge.id,
        "source": edge.source_id,
        "target": edge.target_id,
        "weight": edge.weight,
        "type": edge.edge_type.value,
        "directed": edge.directed,
    }


def _label(node: MemoryNode) -> str:
    """The beginning of a node's text on one line; the id where it has none."""
    line = " ".join(node.content.split()) or node.id
    return line if len(line) <= LABEL_CHARS else f"{line[: LABEL_CHARS - 1].rstrip()}…"


def _colour(node: MemoryNode) -> str:
    return _COLOURS.get(node.memory_type.value, _OTHER)


def _attributes(values: dict[str, str]) -> str:
    return "[" + ", ".join(f"{name}={_quoted(value)}" for name, value in values.items()) + "]"


def _quoted(text: str) -> str:
    """Return a text in quotes: what a backslash, a quote or a line's end would mean in there is taken from it."""
    plain = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", " ")
    return f'"{escaped}"'
