"""What every backend must do. Inherit it, and say how a backend is made and where it saves."""

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph import (
    AgentMemory,
    EdgeType,
    GraphStorageManager,
    MemoryEdge,
    MemoryGraph,
    MemoryNode,
    SpacedRepetitionScheduler,
)
from memorygraph.actors.commands import AllEdges, Describe, FindNodes
from memorygraph.actors.review_queries import GetReviews
from memorygraph.core.types import InputError
from tests.memory.helpers import vector_of

ODD_IDS = [
    "a b",
    "x'; DROP TABLE nodes; --",
    "é\u0301",
    "日本",
    "🙂",
    '"quoted"',
    "%s",
    "7",
    "0x1",
    "null",
    "\\N",
    "-1.5",
]
ODD_TEXTS = ["", "line\nline\r\n\ttab", "nul \x00 inside", "'\"\\`$;", "日本語 🙂", "\ufeffbom", "NaN", " spaces "]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text('a"\n é', max_size=3)
PLAIN = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2),
    max_leaves=6,
)
METADATA = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), PLAIN, max_size=3)
NUMBERS = st.tuples(st.floats(0, 1), st.floats(-1, 1), st.floats(0, 1), st.floats(1e-6, 1e6))
TAGS = st.lists(st.text("abc,'\"é", min_size=1, max_size=3), unique=True, max_size=3)
VECTORS = st.none() | st.lists(st.floats(-1e9, 1e9, width=32), min_size=3, max_size=3)
SESSIONS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.just("s")


def contents(graph):
    """Every field of every node and edge, but what tells of the log."""
    engine = graph._home.engine
    nodes = [msgspec.structs.asdict(state) for state in engine.ask(FindNodes(vectors=True)).value]
    edges = [msgspec.structs.asdict(state) for state in engine.ask(AllEdges()).value]
    cards = engine.ask(GetReviews(ids=[node["id"] for node in nodes])).value
    for node, card in zip(nodes, cards, strict=True):
        del node["birth"], node["version"]
        node["review"] = card
    for edge in edges:
        position, _, ordinal = edge["id"].partition(".")
        edge["id"] = "" if position.isdigit() and ordinal.isdigit() else edge["id"]
    about = engine.ask(Describe()).value
    return about.name, about.language, about.space, graph.embedding_dim, nodes, edges


def full_memory():
    """A memory in which every field of nodes and edges has a value somewhere."""
    memory = AgentMemory(embedding_dim=8, name="ünï", language="de", associate_threshold=0.2)
    node = MemoryNode(
        "The mast is oak",
        "procedural",
        vector_of("mast"),
        0.123456789012345,
        ["boat", "wood", "a,b", '"'],
        -0.3,
        0.9,
        "consolidated",
        "power_law",
        24.5,
        {
            "page": 3,
            "deep": [1, 2.5, None, True, False, "é", {"a": [{}]}],
            "big": 2**63,
            "small": -(2**63),
            "x": 1e-300,
        },
        "mast",
        occurred_at=1000.000001,
        speaker="Ada",
        session="s1",
        source="log.md#mast",
    )
    memory.graph.add_node(node)
    memory.graph.add_node(MemoryNode("", node_id="empty", session=-(2**63)))
    memory.remember(
        "the moon has no air", node_id="moon", embedding=vector_of("moon"), session=0, expires_at="2999-01-01"
    )
    memory.remember("the moon has no water", node_id="dry", embedding=vector_of("dry"), importance=1 / 3)
    for name, text in itertools.zip_longest(ODD_IDS, ODD_TEXTS, fillvalue="text"):
        memory.graph.add_node(MemoryNode(text, node_id=name))
    for number, kind in enumerate(EdgeType):
        memory.graph.add_edge(MemoryEdge("mast", ODD_IDS[number], kind, 0.1 + number / 30, directed=number % 2 == 0))
    memory.graph.add_edge(MemoryEdge("mast", "moon", "causal", 0.3, 0.7, metadata={"n": [1]}, edge_id="chosen 🙂"))
    memory.graph.add_edge(MemoryEdge("mast", "moon", "causal", 0.3))  # parallel
    memory.get("moon").reinforce()
    for _ in range(3):
        memory.recall("moon air")
    scheduler = SpacedRepetitionScheduler("fsrs6", memory=memory)
    scheduler.register_node("moon", 0.6, at=2000.000001)
    scheduler.record_review("moon", 0.1, at=9e5)
    gone = memory.remember("gone", embedding=vector_of("gone"))
    memory.forget(ids=[gone.id])
    memory.flush()
    return memory


class BackendContract:
    """One test class per backend inherits this."""

    backend = ""

    @pytest.fixture
    def manager(self):
        return GraphStorageManager(self.make())

    @pytest.fixture
    def address(self, tmp_path):
        return str(tmp_path / "graph")

    def make(self):
        return self.backend

    def through(self, graph, address):
        """Save, and load with another manager."""
        GraphStorageManager(self.make()).save(graph, address)
        return GraphStorageManager(self.make()).load(address)

    def test_nothing_is_lost(self, address):
        memory = full_memory()
        graph = memory.graph
        loaded = self.through(graph, address)
        assert contents(loaded) == contents(graph)
        node = loaded.get_node("moon")
        assert (node.access_count, len(node.temporal.access_times)) == (4, 4)  # three recalls and a review
        assert node.temporal == memory.get("moon").temporal
        assert node.expires_at == memory.get("moon").expires_at
        assert [type(each.session) for each in (loaded.get_node("mast"), node)] == [str, int]
        assert loaded.get_edge("chosen 🙂").metadata == {"n": [1]}

    def test_what_was_forgotten_stays_forgotten(self, address):
        memory = full_memory()
        memory.forget(ids=["moon"])
        loaded = self.through(memory.graph, address)
        assert "moon" not in loaded
        assert "chosen 🙂" not in loaded
        assert contents(loaded) == contents(memory.graph)

    def test_saved_again_what_was_removed_is_gone(self, address):
        graph = full_memory().graph
        self.through(graph, address)
        graph.remove_node("mast")
        graph.add_node(MemoryNode("new", node_id="new"))
        loaded = self.through(graph, address)
        assert contents(loaded) == contents(graph)
        assert "mast" not in loaded

    def test_a_loaded_graph_goes_on(self, address):
        loaded = self.through(full_memory().graph, address)
        loaded.add_node(MemoryNode("more", embedding=vector_of("more"), node_id="more"))
        loaded.add_edge(MemoryEdge("more", "mast"))
        assert loaded.similarity_search(vector_of("more"), k=1)[0].node_id == "more"
        again = self.through(loaded, address)
        assert contents(again) == contents(loaded)

    @pytest.mark.parametrize("dim", [5, 768])
    def test_an_empty_graph(self, address, dim):
        graph = MemoryGraph(dim, "nothing")
        loaded = self.through(graph, address)
        assert (len(loaded), loaded.name, loaded.embedding_dim) == (0, "nothing", dim)
        assert contents(loaded) == contents(graph)

    def test_many(self, address):
        graph = MemoryGraph(16)
        dice = np.random.default_rng(0)
        nodes = [
            MemoryNode(f"note {number}", embedding=dice.normal(size=16), node_id=f"n{number}") for number in range(2500)
        ]
        for first in range(0, 2500, 500):
            graph.add_nodes(nodes[first : first + 500])
        links = []
        ends = dice.integers(0, 2500, (4000, 2))
        for one, other in ends[ends[:, 0] != ends[:, 1]].reshape(-1, 2).tolist():
            links.append((f"n{one}", f"n{other}", EdgeType.CAUSAL, dice.random()))
        graph.add_edges(links)
        assert contents(self.through(graph, address)) == contents(graph)

    def test_inside_a_transaction_what_it_sees_is_saved(self, address):
        graph = full_memory().graph
        with graph.transaction():
            graph.add_node(MemoryNode("inside", node_id="inside"))
            graph.remove_node("mast")
            loaded = self.through(graph, address)
        assert "inside" in loaded
        assert "mast" not in loaded

    def test_what_has_expired_is_left_out(self, address):
        memory = full_memory()
        memory.revise(
            "moon", expires_at=memory._home.clock.now_us() / 1e6 + 30
        )  # within the minute that loading may take
        loaded = self.through(memory.graph, address)
        assert "moon" not in loaded
        assert len(loaded) == len(memory) - 1

    def test_any_value_comes_back(self, address):
        @settings(max_examples=60, deadline=None)
        @given(content=TEXTS, metadata=METADATA, numbers=NUMBERS, tags=TAGS, vector=VECTORS, session=SESSIONS)
        def holds(content, metadata, numbers, tags, vector, session):
            importance, valence, confidence, rate = numbers
            fields = {"importance": importance, "emotional_valence": valence, "confidence": confidence}
            graph = MemoryGraph(3)
            node = MemoryNode(content, tags=tags, metadata=metadata, session=session, node_id="a", **fields)
            node.embedding, node.decay_rate = vector, rate
            graph.add_nodes([node, MemoryNode(node_id="b")])
            graph.add_edge(MemoryEdge("a", "b", weight=importance, confidence=confidence, metadata=metadata))
            loaded = self.through(graph, address)
            assert repr(contents(loaded)) == repr(contents(graph))  # repr: 1 is not True, 0.0 is not -0.0

        holds()

    def test_the_manager_remembers_what_it_saved_and_loaded(self, manager, address, tmp_path):
        with pytest.raises(InputError, match="saved and loaded no graph yet"):
            manager.checkpoint(directory=tmp_path)
        graph = full_memory().graph
        manager.save(graph, address)
        assert manager._graph is graph
        assert manager.load(address) is manager._graph is not graph

    def test_what_is_no_graph_is_refused(self, manager, address):
        for wrong in (None, {}, "graph"):
            with pytest.raises(InputError, match="expected a MemoryGraph"):
                manager.save(wrong, address)
