import threading
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest

from memorygraph import (
    AgentMemory,
    ConsolidationState,
    DecayFunction,
    EdgeType,
    MemoryEdge,
    MemoryNode,
    MemoryType,
)
from memorygraph.actors.commands import ForgetFaded
from memorygraph.actors.decide import Proposer
from memorygraph.actors.ledger import Ledger
from memorygraph.core import settling
from memorygraph.core.types import (
    CommandIdReused,
    EdgeNotFoundError,
    ExpectationFailed,
    InputError,
    NodeNotFoundError,
)
from tests.memory.helpers import SteppedClock, clocked

FIELDS = {
    "content": "The hull is larch",
    "importance": 0.25,
    "tags": ["hull"],
    "metadata": {"page": 4},
    "memory_type": MemoryType.PROCEDURAL,
    "emotional_valence": 0.4,
    "confidence": 0.6,
    "consolidation_state": ConsolidationState.CONSOLIDATED,
    "decay_function": DecayFunction.POWER_LAW,
    "decay_rate": 24.0,
    "occurred_at": 1000.5,
    "speaker": "Ben",
    "session": "s2",
    "source": "b.md",
}


@pytest.mark.parametrize("name", FIELDS)
def test_revise_replaces_one_field_and_leaves_the_rest(durable, store, name):
    node = durable.remember("The mast is oak", 0.7, ["boat"], "semantic", {"page": 3}, -0.3, speaker="Ada", session=1)
    before = {field: getattr(node, field) for field in FIELDS}
    revised = durable.revise(node.id, **{name: FIELDS[name]})
    assert {field: getattr(revised, field) for field in FIELDS} == {**before, name: FIELDS[name]}
    assert revised.version == durable.position > node.version
    assert revised.created_at == node.created_at
    assert durable.get(node.id) == revised != node
    with AgentMemory(store, read_only=True) as reopened:
        assert reopened.get(node.id) == revised


def test_revise_all_fields_at_once(memory):
    node = memory.remember("The mast is oak")
    revised = memory.revise(node.id, **FIELDS)
    assert {field: getattr(revised, field) for field in FIELDS} == FIELDS
    assert node.content == "The mast is oak"  # the older view is what it was
    cleared = memory.revise(node.id, tags=None, metadata=None, speaker=None, session=None, source=None)
    assert (cleared.tags, cleared.metadata, cleared.speaker, cleared.session, cleared.source) == (
        [],
        {},
        None,
        None,
        None,
    )
    assert memory.revise(node.id, occurred_at=None).occurred_at == node.created_at


def test_a_revised_content_brings_its_vector(memory):
    node = memory.remember("The mast is oak")
    revised = memory.revise(node.id, content="The moon has no air")
    assert np.array_equal(revised.embedding, memory.embedder("The moon has no air"))
    assert not np.array_equal(revised.embedding, node.embedding)
    own = np.ones(256, dtype=np.float32)
    assert np.array_equal(memory.revise(node.id, content="x", embedding=own).embedding, own)
    assert memory.revise(node.id, embedding=None).embedding is None
    assert memory.revise(node.id, importance=0.1).embedding is None


def test_expected_version(memory):
    node = memory.remember("one")
    second = memory.revise(node.id, content="two", expected=node.version)
    position = memory.position
    with pytest.raises(ExpectationFailed, match="somebody revised it; read it again") as caught:
        memory.revise(node.id, content="three", expected=node.version)
    assert caught.value.about == {"id": node.id, "expected": node.version, "found": second.version}
    assert (memory.get(node.id).content, memory.position) == ("two", position)
    memory.recall("two")
    memory.flush()
    assert memory.revise(node.id, content="three", expected=second.version).content == "three"


def test_of_two_who_expect_the_same_one_wins(memory):
    node = memory.remember("one")
    outcomes = []
    start = threading.Barrier(4)

    def revise(number):
        start.wait()
        try:
            memory.revise(node.id, content=f"by {number}", expected=node.version)
            outcomes.append("won")
        except ExpectationFailed:
            outcomes.append("lost")

    threads = [threading.Thread(target=revise, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost", "lost", "lost", "won"]


def test_revise_many(memory):
    nodes = memory.remember_many([f"note {number}" for number in range(1500)], associate=False)
    done = []
    count = memory.revise_many(
        ({"id": node.id, "content": f"new {place}"} for place, node in enumerate(nodes)),
        command_id="all",
        progress=done.append,
    )
    assert (count, done) == (1500, [1000, 1500])
    assert memory.get(nodes[1499].id).content == "new 1499"
    assert memory.recall("1499", k=1)[0].node_id == nodes[1499].id


def test_link_and_unlink(memory):
    a, b, c = memory.remember_many(["a1", "b2", "c3"])
    edge = memory.link(a, b)
    assert (edge.source_id, edge.target_id, edge.edge_type) == (a.id, b.id, EdgeType.ASSOCIATION)
    assert (edge.weight, edge.directed, edge.confidence, edge.metadata) == (0.8, True, 1.0, {})
    assert edge.id == f"{memory.position}.0"
    both = memory.link(b.id, c.id, "contradicts", 2.0, directed=False, metadata={"why": "x"})
    assert (both.edge_type, both.weight, both.directed, both.metadata) == (
        EdgeType.CONTRADICTS,
        1.0,
        False,
        {"why": "x"},
    )
    assert memory.edges(b.id) == [edge, both]
    assert [memory.graph.successors(node.id) for node in (a, b, c)] == [[b.id], [c.id], [b.id]]
    assert [memory.graph.predecessors(node.id) for node in (a, b, c)] == [[], [a.id, c.id], [b.id]]
    memory.unlink(edge)
    memory.unlink(both.id)
    assert memory.edges(b.id) == []
    with pytest.raises(EdgeNotFoundError, match=edge.id):
        memory.unlink(edge)
    again = memory.link(a, b, command_id="link")
    assert memory.link(a, b, command_id="link") == again
    assert len(memory.edges(a.id)) == 1


@pytest.mark.parametrize("kind", EdgeType)
def test_every_edge_type_can_be_linked(memory, kind):
    memory.remember_many([{"content": "a1", "node_id": "a"}, {"content": "b2", "node_id": "b"}])
    memory.link("a", "b", kind)
    assert memory.stats().edge_type_distribution == {kind.value: 1}


def test_link_many_and_unlink_many(memory):
    ids = [node.id for node in memory.remember_many([f"n{number}" for number in range(1200)], associate=False)]
    links = [(ids[0], other, "causal", 0.5, False, {"n": 1}) for other in ids[1:]]
    links[3] = (ids[0], ids[4])
    links[4] = {"source": ids[0], "target": ids[5], "weight": 0.1}
    done = []
    assert memory.link_many(links, command_id="l", progress=done.append) == 1199
    assert done == [1000, 1199]
    edges = memory.edges(ids[0])
    assert (edges[0].edge_type, edges[0].weight, edges[0].directed, edges[0].metadata) == (
        EdgeType.CAUSAL,
        0.5,
        False,
        {"n": 1},
    )
    assert (edges[3].edge_type, edges[3].weight, edges[3].directed) == (EdgeType.ASSOCIATION, 0.8, True)
    assert edges[4].weight == 0.1
    memory.link_many(links, command_id="l")
    assert len(memory.edges(ids[0])) == 1199
    memory.unlink_many(edges)
    assert memory.stats().num_edges == 0


def test_links_with_much_metadata_fit_into_commands(memory):
    a, b = memory.remember_many(["a1", "b2"])
    assert memory.link_many([(a, b, "causal", 0.5, True, {"long": "y" * 20_000})] * 600) == 600


def test_forget_by_id(durable, store):
    a, b, c = durable.remember_many(["a1", "b2", "c3"])
    durable.link_many([(a, b), (b, c)])
    assert durable.forget(ids=[b.id, b.id], reason="asked to") == [b.id]
    assert (len(durable), durable.stats().num_edges) == (2, 0)
    assert b.id not in durable
    assert [edge.id for edge in durable.edges(a.id)] == []
    with pytest.raises(NodeNotFoundError, match=b.id):
        durable.get(b.id)
    with pytest.raises(NodeNotFoundError):
        durable.forget(ids=[a.id, b.id])
    assert a.id in durable
    assert durable.history(b.id)[-1].event.reason == "asked to"
    assert durable.history(b.id)[0].event.content == "b2"  # forgotten is not erased
    assert durable.forget(ids=[]) == []
    with AgentMemory(store) as reopened:
        assert len(reopened) == 2
        reopened.remember("b again", node_id=b.id)
        assert reopened.get(b.id).content == "b again"
        assert reopened.edges(b.id) == []


def test_forget_what_has_faded():
    clock = SteppedClock()
    memory = clocked(clock)
    memory.remember("plain", node_id="plain")
    memory.remember("old news", node_id="old", occurred_at="1990-01-01")  # its age counts from when it was recorded
    memory.remember("key", 0.95, node_id="important")
    memory.remember("rock", node_id="undecaying")
    memory.remember("bike", node_id="long_term")
    memory.remember("recalled xylophone", node_id="recalled")
    memory.revise("undecaying", decay_function="no_decay")
    memory.revise("long_term", consolidation_state="long_term")
    memory.recall("xylophone", k=1)
    memory.flush()
    clock.forward(168 * 2.9)
    assert memory.forget() == []
    position = memory.position
    clock.forward(168 * 0.2)  # e^-3.1 < 0.05
    assert memory.forget(0.04) == []
    assert memory.forget() == ["plain", "old"]
    assert memory.position == position + 2
    assert {node.id for node in memory} == {"important", "undecaying", "long_term", "recalled"}
    clock.forward(168 * 20)
    assert memory.forget(retention_threshold=1.0, reason="cleaning") == ["recalled"]
    assert memory.history("recalled")[-1].event.reason == "cleaning"


def test_a_fast_decay_is_forgotten_at_once(memory):
    node = memory.remember("gone in a moment")
    memory.revise(node.id, decay_rate=1e-6)
    clock = SteppedClock(memory._home.clock.now_us() + 10**9)
    memory._engine._clock = clock
    assert memory.forget(0.1) == [node.id]


def test_the_default_base_stability_is_a_week(memory):
    node = memory.remember("x")
    assert node.retention(0) == 1
    assert 0.99 < node.retention() <= 1
    assert node.retention(7 * 24 * 3600) == pytest.approx(np.exp(-1))
    assert AgentMemory(decay_rate=1).remember("x").retention(3600) == pytest.approx(np.exp(-1))


def test_a_command_id_belongs_to_one_command(memory):
    memory.remember("a", node_id="a", command_id="c")
    position = memory.position
    for other in (
        lambda: memory.remember("b", command_id="c"),
        lambda: memory.forget(ids=["a"], command_id="c"),
        lambda: memory.revise("a", content="b", command_id="c"),
    ):
        with pytest.raises(CommandIdReused, match="use a new id"):
            other()
    assert memory.position == position


def test_the_checks_are_what_holds(memory, monkeypatch):
    """Mutants: without the command table a command is done twice, without expected versions an edit is lost."""
    node = memory.remember("one")
    memory.revise(node.id, content="two")
    with monkeypatch.context() as patch:
        patch.setattr(Proposer, "_expect", lambda *_: None)
        assert memory.revise(node.id, content="three", expected=node.version).content == "three"
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "find", lambda *_: None)
        memory.remember("once", command_id="c")
        memory.remember("once", command_id="c")
    assert len(memory) == 3


def test_every_command_can_be_sent_twice(memory):
    a, b = (node.id for node in memory.remember_many(["a1", "b2"]))
    edge = memory.link(a, b)
    commands = (
        lambda: memory.revise(a, content="a3", command_id="revise"),
        lambda: memory.revise_many([{"id": a, "tags": ["x"]}], command_id="revise_many"),
        lambda: memory.link_many([(a, b)], command_id="links"),
        lambda: memory.unlink(edge, command_id="unlink"),
        lambda: memory.forget(ids=[b], command_id="forget"),
        lambda: memory.forget(0.0, command_id="faded"),
    )
    for command in commands:
        first = command()
        position = memory.position
        assert command() == first
        assert memory.position == position


def test_history_tells_every_change_of_one_memory(memory):
    a = memory.remember("a1", node_id="a").id
    memory.remember("b2", node_id="b")
    memory.link("a", "b")
    memory.revise("a", content="a3")
    memory.get("a").reinforce()
    memory.recall("a3")
    memory.flush()
    memory.forget(ids=["a"])
    changes = memory.history(a)
    assert [change.kind for change in changes] == ["added", "linked", "revised", "reinforced", "recalled", "forgotten"]
    assert [change.position for change in changes] == sorted(change.position for change in changes)
    assert all(a in change.ids for change in changes)
    assert changes[2].event.content == "a3"
    assert changes[0].to_dict()["event"]["vector"] == "256 numbers"
    assert changes[0].to_dict()["when"].startswith(f"{datetime.fromtimestamp(changes[0].time, UTC):%Y-%m-%dT%H:%M}")
    assert memory.history("nobody") == []


def test_the_log_tells_everything(memory):
    writer = AgentMemory(principal="ada")
    writer.remember_many(["a1", "b2"], command_id="c")
    changes = list(writer.log())
    assert [(change.position, change.index, change.kind) for change in changes] == [
        (1, 0, "created"),
        (2, 0, "space"),
        (2, 1, "added"),
        (2, 2, "added"),
    ]
    assert {(change.principal, change.command_id) for change in changes[1:]} == {("ada", "c/0")}
    assert list(writer.log(2, 2)) == changes[1:]
    assert list(writer.log(3)) == []
    assert next(memory.log(last=1)).kind == "created"


def test_replay_and_verify(durable):
    durable.remember_many(["red canoe", "red boat", "red ship"])
    durable.forget(ids=[durable.find()[0].id])
    assert durable.replay() == durable.digest()
    report = durable.verify()
    assert report.whole
    assert report.head == durable.head()
    assert report.records == durable.position == durable.head().position


def test_an_object_sent_again_with_its_command_id_is_the_same_command(memory):
    node = MemoryNode("built", occurred_at="2023-05-08", node_id="a")
    other = MemoryNode("another", node_id="b")
    edge = MemoryEdge("a", "b", weight=0.3)
    for _ in range(2):
        memory.graph.add_node(node, command_id="node")
        memory.graph.add_nodes([other], command_id="other")
        memory.graph.add_edge(edge, command_id="edge")
    assert (len(memory), memory.stats().num_edges) == (2, 1)


def test_the_order_of_metadata_and_the_settings_of_the_memory_are_not_part_of_a_command(store):
    with AgentMemory(store) as memory:
        memory.remember("once", metadata={"a": 1, "b": 2}, command_id="c")
    with AgentMemory(store, decay_rate=24.0, auto_associate=False) as memory:
        memory.remember("once", metadata={"b": 2, "a": 1}, command_id="c")
        assert len(memory) == 1


def test_messages_sent_again_after_a_turn_was_forgotten(memory):
    messages = [{"role": "user", "content": text} for text in ("one", "two", "three")]
    turns = memory.remember_messages(messages, command_id="c")
    memory.forget(ids=[turns[1].id])
    assert [turn.content for turn in memory.remember_messages(messages, command_id="c")] == ["one", "three"]


def test_messages_are_linked_on_the_second_try_though_a_turn_was_forgotten_meanwhile(memory, monkeypatch):
    messages = [{"role": "user", "content": text} for text in ("one", "two", "three")]
    with monkeypatch.context() as patched:
        patched.setattr(AgentMemory, "_link_many", lambda *_: None)  # as if it had been killed here
        turns = memory.remember_messages(messages, command_id="c")
    memory.forget(ids=[turns[1].id])
    memory.remember_messages(messages, command_id="c")
    assert memory.graph.neighbors(turns[0].id) == [turns[2].id]


def test_a_long_command_id_is_refused_before_anything_is_written(memory):
    before = memory.position
    with pytest.raises(InputError, match="command_id"):
        memory.remember_messages([{"role": "user", "content": "x"}], command_id="c" * 506)
    assert memory.position == before


def test_what_fades_is_forgotten_in_commands_of_bounded_size(memory, monkeypatch):
    monkeypatch.setattr(settling, "ForgetFaded", partial(ForgetFaded, limit=4))
    memory.remember_many([f"memory {number}" for number in range(10)], associate=False)
    before = memory.position
    assert len(memory.forget(1.0, command_id="c")) == 10
    assert (len(memory), memory.position) == (0, before + 3)
    assert len(memory.forget(1.0, command_id="c")) == 10  # the same commands again: their first results


def test_history_tells_of_links_that_went_with_the_other_end(memory):
    here, there = memory.remember("here"), memory.remember("there")
    memory.link(here, there)
    memory.forget(ids=[there])
    assert [change.kind for change in memory.history(here)] == ["added", "linked", "unlinked"]
    assert [change.kind for change in memory.history(there)] == ["added", "linked", "forgotten"]


def test_a_code_that_no_column_holds_is_refused_before_it_is_written(memory):
    with pytest.raises(InputError, match="MemoryType"):
        memory.remember("bad", memory_type=MemoryType.from_code(300))
    assert len(memory) == 0
