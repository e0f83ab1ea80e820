"""``MemoryGraph`` against plain dictionaries, over any calls; replay of the log comes to the same digest."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from memorygraph import EdgeType, MemoryEdge, MemoryGraph, MemoryNode, MemoryType
from memorygraph.actors.commands import Digest
from memorygraph.actors.replay import rebuilt_digest
from memorygraph.core.types import DuplicateIdError, EdgeNotFoundError, NodeNotFoundError
from memorygraph.projections.graph import GraphState

NAMES = [f"n{number}" for number in range(6)]
names = st.sampled_from(NAMES)
weights = st.sampled_from([0.25, 0.5, 1.0])
kinds = st.sampled_from([EdgeType.CAUSAL, EdgeType.SIMILARITY])
NEXT = {
    "labile": "consolidating", "consolidating": "consolidated", "consolidated": "long_term",
    "long_term": "reconsolidating", "reconsolidating": "labile",
}  # fmt: skip


@dataclass
class Node:
    content: str
    memory_type: MemoryType
    importance: float
    vector: tuple[float, ...] | None
    state: str = "labile"
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Edge:
    source: str
    target: str
    edge_type: EdgeType
    weight: float
    directed: bool
    metadata: dict[str, Any]


def clip(value: float) -> float:
    return min(1.0, max(0.0, value))


class GraphMachine(RuleBasedStateMachine):
    """Calls that change the graph, and the same done to dictionaries."""

    @initialize(links=st.lists(st.tuples(names, names, st.booleans()), min_size=3, max_size=10))
    def begin(self, links) -> None:
        self.graph = MemoryGraph(embedding_dim=2)
        self.nodes: dict[str, Node] = {}
        self.edges: dict[str, Edge] = {}
        for number, name in enumerate(NAMES[:-1]):
            self.add_node(name, MemoryType.SEMANTIC, 0.5, [None, (1.0, 0.0), (0.6, 0.8)][number % 3])
        for source, end, directed in links:
            self.add_edge(source, end, EdgeType.CAUSAL, 0.5, directed, 0)

    @rule(
        name=names,
        kind=st.sampled_from([MemoryType.SEMANTIC, MemoryType.EPISODIC]),
        importance=st.sampled_from([0.2, 0.5, 0.9]),
        vector=st.sampled_from([None, (1.0, 0.0), (0.6, 0.8), (0.0, 1.0)]),
    )
    def add_node(self, name, kind, importance, vector) -> None:
        node = MemoryNode(f"text of {name}", kind, vector, importance, node_id=name)
        if name in self.nodes:
            with pytest.raises(DuplicateIdError):
                self.graph.add_node(node)
            return
        assert self.graph.add_node(node) == name
        self.nodes[name] = Node(f"text of {name}", kind, importance, vector)

    @rule(source=names, end=names, kind=kinds, weight=weights, directed=st.booleans(), note=st.integers(0, 1))
    def add_edge(self, source, end, kind, weight, directed, note) -> None:
        if source == end:
            return
        metadata = {"note": note} if note else {}
        edge = MemoryEdge(source, end, kind, weight, directed=directed, metadata=metadata)
        if source in self.nodes and end in self.nodes:
            name = self.graph.add_edge(edge)
            self.edges[name] = Edge(source, end, kind, weight, directed, metadata)
        else:
            with pytest.raises(NodeNotFoundError):
                self.graph.add_edge(edge)

    @rule(name=names)
    def remove_node(self, name) -> None:
        if name not in self.nodes:
            with pytest.raises(NodeNotFoundError):
                self.graph.remove_node(name)
            return
        self.graph.remove_node(name)
        self._forget(name)

    @precondition(lambda self: self.edges)
    @rule(data=st.data())
    def remove_edge(self, data) -> None:
        name = data.draw(st.sampled_from(sorted(self.edges)))
        self.graph.remove_edge(name)
        del self.edges[name]
        with pytest.raises(EdgeNotFoundError):
            self.graph.get_edge(name)

    @precondition(lambda self: self.edges)
    @rule(data=st.data(), weight=weights, kind=kinds)
    def revise_edge(self, data, weight, kind) -> None:
        name = data.draw(st.sampled_from(sorted(self.edges)))
        assert self.graph.revise_edge(name, weight=weight, edge_type=kind).weight == weight
        self.edges[name].weight, self.edges[name].edge_type = weight, kind

    @precondition(lambda self: self.edges)
    @rule(data=st.data())
    def strengthen_edge(self, data) -> None:
        name = data.draw(st.sampled_from(sorted(self.edges)))
        view = self.graph.get_edge(name).hebbian_update(delta=0.5, decay=0.25)
        before = self.edges[name].weight
        self.edges[name].weight = view.weight
        assert view.weight == pytest.approx(clip(before + 0.5 * (1 - before) - 0.25 * before))

    @precondition(lambda self: self.nodes)
    @rule(data=st.data(), tag=st.sampled_from(["x", "y"]), value=st.integers(0, 2))
    def revise_node(self, data, tag, value) -> None:
        name = data.draw(st.sampled_from(sorted(self.nodes)))
        node = self.nodes[name]
        view = self.graph.get_node(name)
        view = view.remove_tag(tag) if tag in node.tags else view.add_tag(tag)
        node.tags = [kept for kept in node.tags if kept != tag] if tag in node.tags else [*node.tags, tag]
        node.metadata["value"] = value
        assert view.set_meta("value", value).tags == node.tags

    @precondition(lambda self: self.nodes)
    @rule(data=st.data(), vector=st.sampled_from([(1.0, 0.0), (-1.0, 0.0)]))
    def revise_vector(self, data, vector) -> None:
        name = data.draw(st.sampled_from(sorted(self.nodes)))
        self.graph.update_node_embedding(name, vector)
        self.nodes[name].vector = vector

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def reinforce(self, data) -> None:
        name = data.draw(st.sampled_from(sorted(self.nodes)))
        node = self.nodes[name]
        node.importance = clip(node.importance + 0.1 * (1 - node.importance))
        assert self.graph.get_node(name).reinforce().importance == pytest.approx(node.importance)

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def advance(self, data) -> None:
        name = data.draw(st.sampled_from(sorted(self.nodes)))
        self.nodes[name].state = NEXT[self.nodes[name].state]
        assert self.graph.advance_consolidation(name).value == self.nodes[name].state

    @rule(data=st.data(), fails=st.booleans(), name=names)
    def transaction(self, data, fails, name) -> None:
        """A node, edges to all others, and one node less, as one; or nothing."""
        others = [other for other in self.nodes if other != name]
        position = self.graph.stats().position
        with contextlib.suppress(ZeroDivisionError), self.graph.transaction():
            if name in self.nodes:
                self.graph.remove_node(name)
            self.graph.add_node(MemoryNode("made anew", node_id=name))
            made = [self.graph.add_edge(MemoryEdge(name, other)) for other in others]
            gone = data.draw(st.sampled_from(sorted(others))) if others else None
            if gone:
                self.graph.remove_node(gone)
                assert gone not in self.graph.neighbors(name)
            if fails:
                raise ZeroDivisionError
        if fails:
            assert self.graph.stats().position == position
            return
        assert self.graph.stats().position == position + 1
        self._forget(name)
        self.nodes[name] = Node("made anew", MemoryType.SEMANTIC, 0.5, None)
        for edge, other in zip(made, others, strict=True):
            self.edges[edge] = Edge(name, other, EdgeType.ASSOCIATION, 1.0, directed=True, metadata={})
        if gone:
            self._forget(gone)

    def _forget(self, name: str) -> None:
        self.nodes.pop(name, None)
        self.edges = {key: edge for key, edge in self.edges.items() if name not in (edge.source, edge.target)}

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert {node.id: _node(node) for node in self.graph} == {name: _said(node) for name, node in self.nodes.items()}
        assert {edge.id: _edge(edge) for edge in self.graph.edges()} == self.edges
        assert (len(self.graph), self.graph.node_count) == (len(self.nodes), len(self.nodes))
        assert self.graph.edge_count == len(self.edges)
        stats = self.graph.stats()
        assert stats.type_distribution == Counter(node.memory_type.value for node in self.nodes.values())
        assert stats.edge_type_distribution == Counter(edge.edge_type.value for edge in self.edges.values())
        assert stats.avg_degree == 2 * len(self.edges) / max(len(self.nodes), 1)

    @invariant()
    def is_linked_as_the_model_is(self) -> None:
        peer = self._peer()
        for name in NAMES:
            if name not in self.nodes:
                assert name not in self.graph
                continue
            assert set(self.graph.successors(name)) == set(peer.successors(name))
            assert set(self.graph.predecessors(name)) == set(peer.predecessors(name))
            touching = [edge for edge in self.edges.values() if name in (edge.source, edge.target)]
            assert self.graph.degree(name) == len(touching)
            near = nx.single_source_shortest_path_length(peer, name, 2)
            found = self.graph.bfs(name, 2, direction="out")
            assert dict(zip(found.ids, found.depths, strict=True)) == near
        assert set(map(frozenset, self.graph.strongly_connected_components())) == set(
            map(frozenset, nx.strongly_connected_components(peer))
        )

    @invariant()
    def finds_what_is_similar(self) -> None:
        query = np.array([1.0, 0.5])
        cosines = {
            name: float(query @ node.vector / np.linalg.norm(query) / np.linalg.norm(node.vector))
            for name, node in self.nodes.items()
            if node.vector
        }
        found = {result.node_id: result.score for result in self.graph.similarity_search(query, threshold=-1.0)}
        assert found == pytest.approx(cosines, abs=1e-6)

    def _peer(self) -> nx.MultiDiGraph:
        peer = nx.MultiDiGraph()
        peer.add_nodes_from(self.nodes)
        for edge in self.edges.values():
            peer.add_edge(edge.source, edge.target)
            if not edge.directed:
                peer.add_edge(edge.target, edge.source)
        return peer

    def teardown(self) -> None:
        if not hasattr(self, "graph"):
            return
        engine = self.graph._home.engine
        assert rebuilt_digest(engine) == engine.ask(Digest()).value
        copy = MemoryGraph.from_dict(self.graph.to_dict())
        assert {node.id: _node(node) for node in copy} == {name: _said(node) for name, node in self.nodes.items()}
        assert Counter(map(repr, map(_edge, copy.edges()))) == Counter(map(repr, self.edges.values()))


def _node(node: MemoryNode) -> tuple:
    vector = None if node.embedding is None else tuple(node.embedding.astype(np.float64).round(6).tolist())
    return (
        node.content, node.memory_type, round(node.importance, 9), vector, node.consolidation_state.value, node.tags,
        node.metadata,
    )  # fmt: skip


def _said(node: Node) -> tuple:
    return (
        node.content, node.memory_type, round(node.importance, 9), node.vector, node.state, node.tags, node.metadata,
    )  # fmt: skip


def _edge(edge: MemoryEdge) -> Edge:
    return Edge(edge.source_id, edge.target_id, edge.edge_type, edge.weight, edge.directed, edge.metadata)


def run(examples: int, *, shrinks: bool = True) -> None:
    run_state_machine_as_test(
        GraphMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink] if shrinks else [Phase.generate],
        ),
    )


def test_the_graph_is_what_its_model_is() -> None:
    run(25)


def _keep_edges(state: GraphState, event: Any, _: int) -> None:
    """Nodes go without their edges."""
    for name in event.ids:
        row = state.interner.rows[name]
        state.nodes.set("alive", row, value=False)
    state.live_nodes -= len(event.ids)


def _one_way(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda frame, nodes, _, types=None: original(frame, nodes, "both", types)


@pytest.mark.parametrize("mutant", ["edges stay", "directions are ignored", "transactions stay"])
def test_the_machine_finds_broken_graphs(mutant, monkeypatch) -> None:
    if mutant == "edges stay":
        monkeypatch.setattr(GraphState, "_nodes_forgotten", _keep_edges)
    elif mutant == "directions are ignored":
        from memorygraph.actors import graph_queries

        monkeypatch.setattr(graph_queries, "arcs_at", _one_way(graph_queries.arcs_at))
    else:
        monkeypatch.setattr(MemoryGraph, "transaction", contextlib.nullcontext)
    with pytest.raises(Exception):  # noqa: B017, PT011 - however it shows
        run(25, shrinks=False)
