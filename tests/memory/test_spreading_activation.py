"""``SpreadingActivation`` as users call it; the modes themselves are tested in ``tests/projections``."""

import pytest

from memorygraph import AgentMemory, EdgeType, MemoryEdge, MemoryGraph, MemoryNode, SpreadingActivation, SpreadingConfig
from memorygraph.core.types import InputError, NodeNotFoundError
from memorygraph.lazy import LazyList


@pytest.fixture
def graph():
    """a -> b -> c -> d, a -> e, x -> c; every node settled and important."""
    graph = MemoryGraph()
    graph.add_nodes(
        [
            MemoryNode("", node_id=name, importance=1.0, consolidation_state="consolidated", decay_function="no_decay")
            for name in "abcdex"
        ]
    )
    graph.add_edges(
        [
            MemoryEdge("a", "b", EdgeType.CAUSAL, 0.9),
            MemoryEdge("b", "c", EdgeType.CAUSAL, 0.8),
            MemoryEdge("c", "d", EdgeType.TEMPORAL, 0.7),
            MemoryEdge("a", "e", EdgeType.TEMPORAL, 0.5),
            MemoryEdge("x", "c", EdgeType.SIMILARITY, 0.4),
        ]
    )
    return graph


def spreading(graph, **config) -> SpreadingActivation:
    return SpreadingActivation(graph, SpreadingConfig(use_temporal_boost=False, **config))


def test_results_have_their_way(graph):
    found = spreading(graph).spread(["a"])
    assert [result.node_id for result in found] == ["b", "e", "c", "d"]
    assert found[0].activation == pytest.approx(0.54)
    assert (found[3].depth, found[3].path, found[3].source_id) == (3, ["a", "b", "c", "d"], "a")
    assert (found[0].depth, found[0].path) == (1, ["a", "b"])


def test_sources_are_left_out_and_may_start_weaker(graph):
    found = {result.node_id: result for result in spreading(graph).spread(["a", "x", "b"], {"b": 0.1, "a": 0.5})}
    assert set(found) == {"c", "d", "e"}
    assert (found["c"].source_id, found["c"].path) == ("x", ["x", "c"])
    assert found["e"].activation == pytest.approx(0.15)
    assert list(spreading(graph).spread([])) == []


def test_order_and_number_of_results(graph):
    assert [result.node_id for result in spreading(graph, sort_by="depth").spread(["a"])] == ["b", "e", "c", "d"]
    graph.revise_edge(graph.get_edges_between("a", "e")[0], weight=0.15)
    assert [result.node_id for result in spreading(graph).spread(["a"])] == ["b", "c", "d", "e"]
    assert [result.node_id for result in spreading(graph, sort_by="depth").spread(["a"])] == ["b", "e", "c", "d"]
    assert [result.node_id for result in spreading(graph, sort_by="combined").spread(["a"])] == ["b", "c", "e", "d"]
    assert [result.node_id for result in spreading(graph, return_top_k=2).spread(["a"])] == ["b", "c"]
    shown = spreading(graph, return_top_k=1, sort_by="combined").spread(["a"])
    assert [result.path for result in shown] == [["a", "b"]]


def test_types_and_directions(graph):
    def ids(**config):
        return [result.node_id for result in spreading(graph, **config).spread(["c"])]

    assert ids() == ["d"]
    assert ids(direction="in") == ["b", "a", "x"]
    assert ids(direction="both") == ["b", "d", "a", "x", "e"]
    assert ids(direction="both", exclude_types=[EdgeType.CAUSAL]) == ["d", "x"]
    assert ids(direction="both", include_types=["similarity"]) == ["x"]
    assert ids(feedback_iterations=1) == ["d"]
    assert [result.node_id for result in spreading(graph, feedback_iterations=1).spread(["b"])] == ["c", "d", "x"]


@pytest.mark.parametrize("mode", ["max", "sum", "ppr", "reference"])
def test_every_mode_is_deterministic_and_finds_the_same_nodes(graph, mode):
    found = spreading(graph, mode=mode).spread(["a"])
    assert {result.node_id for result in found} == {"b", "c", "d", "e"}
    assert found == spreading(graph, mode=mode).spread(["a"])
    assert [result.path for result in found if result.node_id == "c"] == [["a", "b", "c"]]


def test_long_results_are_made_when_they_are_looked_at(monkeypatch):
    graph = MemoryGraph()
    hub = graph.add_node(MemoryNode("", node_id="hub"))
    graph.add_nodes([MemoryNode("", node_id=f"n{at}", importance=1.0) for at in range(1000)])
    graph.add_edges([(hub, f"n{at}", EdgeType.ASSOCIATION, 1.0) for at in range(1000)])
    made = []
    original = LazyList._item
    monkeypatch.setattr(LazyList, "_item", lambda self, place: made.append(place) or original(self, place))
    found = SpreadingActivation(graph).spread(["hub"])
    assert (len(found), made) == (1000, [])
    assert (found[0].node_id, found[-1].node_id) == ("n0", "n999")
    assert made == [0, 999]
    assert len(found[10:20]) == 10
    assert len(list(found)) == 1000
    with pytest.raises(IndexError):
        found[1000]


def test_priming_makes_what_follows_more_accessible(graph):
    primed = spreading(graph).priming_search(prime_ids=["a"], query_id="x")
    alone = {result.node_id: result.activation for result in spreading(graph).spread(["x"])}
    raised = {result.node_id: result.activation for result in primed}
    by_prime = {result.node_id: result.activation for result in spreading(graph).spread(["a"])}
    assert set(raised) == set(alone) == {"c", "d"}
    for name, value in alone.items():
        assert raised[name] == pytest.approx(value * (1 + by_prime[name]))
    assert spreading(graph).priming_search(["d"], "x", top_k=1) == [spreading(graph).spread(["x"])[0]]


def test_priming_says_whether_the_query_itself_is_reached(graph):
    found = {result.node_id: result for result in spreading(graph).priming_search(["a"], "b")}
    assert found["b"].path == ["a", "b"]
    assert found["b"].activation == pytest.approx(0.54)
    assert found["c"].path == ["b", "c"]
    assert "x" not in {result.node_id for result in spreading(graph).priming_search(["a"], "x")}


def test_a_concept_chain_is_the_strongest(graph):
    spreader = spreading(graph)
    assert spreader.concept_chain(start_id="e", end_id="x") == ["e", "a", "b", "c", "x"]
    assert spreader.concept_chain("e", "x", max_chain_length=3) is None
    assert spreader.concept_chain("e", "e") == ["e"]
    assert spreading(graph, include_types=["temporal"]).concept_chain("a", "d") is None
    graph.add_edge(MemoryEdge("e", "x", weight=0.01))
    assert spreader.concept_chain("e", "x") == ["e", "a", "b", "c", "x"]  # 0.6^4 * 0.5 * 0.9 * 0.8 * 0.4 > 0.6 * 0.01
    graph.revise_edge(graph.get_edges_between("e", "x")[0], weight=0.1)
    assert spreader.concept_chain("e", "x") == ["e", "x"]


def test_what_was_recalled_lately_gets_a_boost():
    memory = AgentMemory(auto_associate=False)
    for name in "abc":
        memory.remember(f"note {name}", node_id=name, importance=1.0)
    memory.link("a", "b", weight=1.0)
    memory.link("a", "c", weight=1.0)
    boosted = SpreadingActivation(memory.graph).spread(source_ids=["a"])
    plain = spreading(memory.graph).spread(["a"])
    assert boosted[0].activation == pytest.approx(1.5 * plain[0].activation, rel=0.01)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"mode": "best"}, "mode must be one of max, sum, ppr, reference"),
        ({"sort_by": "name"}, "sort_by must be one of activation, depth, combined"),
        ({"aggregate_edges": "min"}, "aggregate_edges must be one of max, sum, mean"),
        ({"max_depth": -1}, "max_depth must be a whole number"),
        ({"mode": "ppr", "feedback_iterations": 1}, "feedback_iterations is not for mode 'ppr'"),
        ({"include_types": "causal"}, "include_types must be a list"),
        ({"exclude_types": ["friend"]}, "'friend' is no EdgeType"),
        ({"direction": "up"}, "direction must be one of both, out, in"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_named(graph, config, says):
    with pytest.raises(InputError, match=says):
        spreading(graph, **config).spread(["a"])


def test_nodes_that_are_not_there_are_named(graph):
    for call in (
        lambda spreader: spreader.spread(["nobody"]),
        lambda spreader: spreader.priming_search(["a"], "nobody"),
        lambda spreader: spreader.concept_chain("a", "nobody"),
    ):
        with pytest.raises(NodeNotFoundError, match="there is no node 'nobody'"):
            call(spreading(graph))
    with pytest.raises(InputError, match="source_ids must be a list"):
        spreading(graph).spread("a")
