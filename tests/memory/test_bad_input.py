"""Bad input: exactly the named error, one clear line, and nothing half written."""

import math
from datetime import UTC, date, datetime

import numpy as np
import pytest

from memorygraph import (
    AgentMemory,
    ArchivePolicy,
    Limits,
    MemoryArchiver,
    MemoryEdge,
    MemoryGraphError,
    MemoryNode,
)
from memorygraph.core.types import (
    BatchTooLarge,
    ContentTooLongError,
    DuplicateIdError,
    EdgeNotFoundError,
    EmbeddingDimensionError,
    InputError,
    InvalidVectorError,
    NodeNotFoundError,
    TimeFormatError,
)
from tests.memory.helpers import fingerprint

DEEP = {}
for _ in range(5000):
    DEEP = {"d": DEEP}

REMEMBER = [
    # content
    ({"content": ""}, InputError, "content is empty"),
    ({"content": " \n "}, InputError, "content is empty"),
    ({"content": 5}, InputError, "content must be text, not int"),
    ({"content": None}, InputError, "content must be text, not NoneType"),
    ({"content": b"x"}, InputError, "content must be text, not bytes"),
    ({"content": "a\ud800b"}, InputError, "lone surrogate at 1"),
    ({"content": "x" * (2**20 + 1)}, ContentTooLongError, "1048577 bytes, more than 1048576; split it"),
    ({"content": "é" * 2**19 + "x"}, ContentTooLongError, "1048577 bytes"),
    # tags
    ({"tags": "one"}, InputError, r"write tags=\['one'\]"),
    ({"tags": 5}, InputError, "tags must be a list, not 5"),
    ({"tags": [""]}, InputError, "non-empty texts"),
    ({"tags": [5]}, InputError, "non-empty texts"),
    ({"tags": [["x"]]}, InputError, "non-empty texts"),
    ({"tags": ["\ud800"]}, InputError, "non-empty texts"),
    ({"tags": [str(number) for number in range(65)]}, ContentTooLongError, "65 tags are more than 64"),
    # metadata
    ({"metadata": {"a": object()}}, InputError, "metadata must map texts"),
    ({"metadata": {1: 2}}, InputError, "metadata must map texts"),
    ({"metadata": {"a": {1: 2}}}, InputError, "the key 1 is not a text"),
    ({"metadata": {"a": [math.nan]}}, InputError, "nan is not finite"),
    ({"metadata": {"a": b"x"}}, InputError, "is not one of these"),
    ({"metadata": {"a": 2**70}}, InputError, "metadata must map texts"),
    ({"metadata": {"a": "\ud800"}}, InputError, "metadata must map texts"),
    ({"metadata": {"a": datetime(2020, 1, 1, tzinfo=UTC)}}, InputError, "metadata must map texts"),
    ({"metadata": DEEP}, InputError, "metadata must map texts"),
    ({"metadata": 5}, InputError, "metadata must map texts"),
    ({"metadata": "text"}, InputError, "metadata must map texts"),
    ({"metadata": {"a": "x" * 2**16}}, ContentTooLongError, "metadata takes 65544 bytes, more than 65536"),
    # numbers
    ({"importance": math.nan}, InputError, "importance is not a number"),
    ({"importance": "high"}, InputError, "importance must be a number, not 'high'"),
    ({"importance": None}, InputError, "importance must be a number, not None"),
    ({"importance": 10**400}, InputError, "importance must be a number"),
    ({"importance": np.zeros((3, 3))}, InputError, "importance must be a number"),
    ({"emotional_valence": []}, InputError, "emotional_valence must be a number"),
    ({"confidence": math.nan}, InputError, "confidence is not a number"),
    # enums
    ({"memory_type": "happy"}, InputError, "no MemoryType; use one of: episodic, semantic"),
    ({"memory_type": 1}, InputError, "no MemoryType"),
    # vectors
    ({"embedding": [1.0] * 255}, EmbeddingDimensionError, "has 255 dimensions; this memory holds vectors of 256"),
    ({"embedding": [math.nan] * 256}, InvalidVectorError, "holds nan at place 0"),
    ({"embedding": [1.0] * 255 + [math.inf]}, InvalidVectorError, "holds inf at place 255"),
    ({"embedding": [1e300] * 256}, InvalidVectorError, "holds inf at place 0"),
    ({"embedding": []}, InvalidVectorError, r"shape \(0,\)"),
    ({"embedding": 3.0}, InvalidVectorError, r"shape \(\)"),
    ({"embedding": np.ones((1, 256))}, InvalidVectorError, r"shape \(1, 256\)"),
    ({"embedding": [[1], [1, 2]]}, InvalidVectorError, "list or array of numbers"),
    ({"embedding": "text"}, InvalidVectorError, "list or array of numbers"),
    ({"embedding": ["1"] * 256}, InvalidVectorError, "list or array of numbers"),
    ({"embedding": np.ones(256) * 1j}, InvalidVectorError, "list or array of numbers"),
    ({"embedding": [None] * 256}, InvalidVectorError, "list or array of numbers"),
    ({"embedding": {"a": 1}}, InvalidVectorError, "list or array of numbers"),
    # times
    ({"occurred_at": "soon"}, TimeFormatError, "'soon' cannot be read as a time; give a datetime"),
    ({"occurred_at": ""}, TimeFormatError, "cannot be read as a time"),
    ({"occurred_at": math.nan}, TimeFormatError, "cannot be read as a time"),
    ({"occurred_at": 1e12}, TimeFormatError, "cannot be read as a time"),
    ({"occurred_at": -(10**5000)}, TimeFormatError, "cannot be read as a time"),
    ({"occurred_at": True}, TimeFormatError, "cannot be read as a time"),
    ({"occurred_at": [2020, 1, 1]}, TimeFormatError, "cannot be read as a time"),
    ({"occurred_at": "9999-12-31T23:59:59-12:00"}, TimeFormatError, "cannot be read as a time"),
    # names
    ({"speaker": ""}, InputError, "speaker must be a text of 1 to 512 printable characters"),
    ({"speaker": "a\nb"}, InputError, "speaker must be a text"),
    ({"speaker": "x" * 513}, InputError, "speaker must be a text"),
    ({"speaker": 5}, InputError, "speaker must be a text"),
    ({"session": []}, InputError, "session must be a text"),
    ({"session": 1.5}, InputError, "session must be a text"),
    ({"session": 2**63}, InputError, "session must be a text"),
    ({"session": True}, InputError, "session must be a text"),
    ({"source": "\ud800"}, InputError, "source must be a text"),
    ({"node_id": ""}, InputError, "node_id must be a text"),
    ({"node_id": 5}, InputError, "node_id must be a text"),
    ({"node_id": "a"}, DuplicateIdError, "already has a node 'a'; revise it, or leave the id out"),
    ({"command_id": 5}, InputError, "command_id must be a text"),
    ({"command_id": "x\0"}, InputError, "command_id must be a text"),
]

CALLS = [
    # unknown ids
    (lambda m: m.get("nobody"), NodeNotFoundError, "there is no node 'nobody'"),
    (lambda m: m.edges("nobody"), NodeNotFoundError, "there is no node 'nobody'"),
    (lambda m: m.revise("nobody", content="x"), NodeNotFoundError, "there is no node 'nobody'"),
    (lambda m: m.revise_many([{"id": "a", "content": "x"}, {"id": "nobody", "content": "x"}]), NodeNotFoundError, ""),
    (lambda m: m.forget(ids=["a", "nobody"]), NodeNotFoundError, "there is no node 'nobody'"),
    (lambda m: m.link("a", "nobody"), NodeNotFoundError, "there is no node 'nobody'"),
    (lambda m: m.link("nobody", "a"), NodeNotFoundError, "there is no node 'nobody'"),
    (lambda m: m.link_many([("a", "b"), ("a", "nobody")]), NodeNotFoundError, "there is no node 'nobody'"),
    (lambda m: m.link_many([{"source": "a", "target": "nobody"}]), NodeNotFoundError, ""),
    (lambda m: m.unlink("9.9"), EdgeNotFoundError, "there is no edge '9.9'"),
    (lambda m: m.unlink("nothing"), EdgeNotFoundError, "there is no edge 'nothing'"),
    (lambda m: m.unlink_many(["edge", "9.9"]), EdgeNotFoundError, "there is no edge '9.9'"),
    (lambda m: m.reason(MemoryNode("x", node_id="nobody")), NodeNotFoundError, "there is no node 'nobody'"),
    (lambda m: m.graph.get_node("nobody"), NodeNotFoundError, "there is no node 'nobody'"),
    (lambda m: m.graph.get_edge("9.9"), EdgeNotFoundError, "there is no edge '9.9'"),
    (lambda m: m.graph.remove_node("nobody"), NodeNotFoundError, "there is no node 'nobody'"),
    (lambda m: m.graph.remove_edge("9.9"), EdgeNotFoundError, "there is no edge '9.9'"),
    (lambda m: m.graph.neighbors("nobody"), NodeNotFoundError, "there is no node 'nobody'"),
    (lambda m: m.graph.update_node_embedding("nobody", [1.0] * 256), NodeNotFoundError, "there is no node"),
    (lambda m: m.graph.add_edge(MemoryEdge("a", "nobody")), NodeNotFoundError, "there is no node 'nobody'"),
    # what is no id
    (lambda m: m.get(5), InputError, "id must be a text"),
    (lambda m: m.get([]), InputError, "id must be a text"),
    (lambda m: m.get(""), InputError, "id must be a text"),
    (lambda m: m.edges(None), InputError, "id must be a text"),
    (lambda m: m.history(5), InputError, "id must be a text"),
    (lambda m: m.revise(["a"], content="x"), InputError, "id must be a text"),
    (lambda m: m.forget(ids=[["a"]]), InputError, "id must be a text"),
    (lambda m: m.forget(ids="ab"), InputError, "ids must be a list, not 'ab'"),
    (lambda m: m.forget(["a"]), InputError, "retention_threshold must be a number"),
    (lambda m: m.unlink(5), InputError, "edge must be a text"),
    (lambda m: m.unlink_many("edge"), InputError, "edges must be a list"),
    (lambda m: m.link(None, "a"), InputError, "source_id must be a text"),
    (lambda m: m.graph.edges_of("a", "up"), InputError, "direction must be one of both, out, in"),
    # links
    (lambda m: m.link("a", "a"), InputError, "cannot be linked to itself"),
    (lambda m: m.link_many([("a", "a")]), InputError, "cannot be linked to itself"),
    (lambda m: m.link("a", "b", "loves"), InputError, "no EdgeType; use one of: association"),
    (lambda m: m.link("a", "b", weight="strong"), InputError, "weight must be a number"),
    (lambda m: m.link("a", "b", weight=math.nan), InputError, "weight is not a number"),
    (lambda m: m.link("a", "b", metadata={"x": object()}), InputError, "metadata must map texts"),
    (lambda m: m.link_many([("a",)]), InputError, "a link is a tuple or dict of source, target"),
    (lambda m: m.link_many([("a", "b", "causal", 1, True, None, 7)]), InputError, "a link is a tuple or dict"),
    (lambda m: m.link_many([{"source": "a"}]), InputError, "a link is a tuple or dict"),
    (lambda m: m.link_many([{"source": "a", "target": "b", "size": 1}]), InputError, "a link is a tuple or dict"),
    (lambda m: m.link_many(["ab"]), InputError, "a link is a tuple or dict"),
    (lambda m: m.link_many([5]), InputError, "a link is a tuple or dict"),
    (lambda m: m.link_many("ab"), InputError, "links must be a list"),
    (lambda m: m.graph.add_edge(MemoryEdge("a", "b", edge_id="9.0")), InputError, "choose another"),
    (lambda m: m.graph.add_edge(MemoryEdge("a", "b", edge_id="edge")), DuplicateIdError, "already has an edge 'edge'"),
    # many
    (lambda m: m.remember_many("text"), InputError, "items must be a list, not 'text'"),
    (lambda m: m.remember_many({"content": "x"}), InputError, "items must be a list"),
    (lambda m: m.remember_many(5), InputError, "items must be a list"),
    (lambda m: m.remember_many(["x", 5]), InputError, "a text or a dict of remember's arguments, not 5"),
    (lambda m: m.remember_many(["x", {"text": "y"}]), InputError, "unknown field 'text'; fields are"),
    (lambda m: m.remember_many(["x", {"tags": []}]), InputError, "has no content"),
    (lambda m: m.remember_many(["x", {"content": "y", 5: 6}]), InputError, "unknown field 5"),
    (lambda m: m.remember_many([{"content": "x", "node_id": "n"}] * 2), DuplicateIdError, "already has a node 'n'"),
    (lambda m: m.remember_many(["x", {"content": "y", "embedding": [1.0]}]), EmbeddingDimensionError, "1 dimensions"),
    (lambda m: m.remember_messages([{"role": "user"}]), InputError, "a message needs 'role' and 'content'"),
    (lambda m: m.remember_messages([{"content": "x"}]), InputError, "a message needs"),
    (lambda m: m.remember_messages(["x"]), InputError, "a message needs"),
    (lambda m: m.remember_messages({"role": "user", "content": "x"}), InputError, "messages must be a list"),
    (lambda m: m.revise_many([{"content": "x"}]), InputError, "a change needs 'id'"),
    (lambda m: m.revise_many([5]), InputError, "a change needs 'id'"),
    (lambda m: m.revise_many([{"id": "a"}]), InputError, "at least one field"),
    (lambda m: m.revise_many({"id": "a", "content": "x"}), InputError, "changes must be a list"),
    (lambda m: m.revise_many([{"id": "a", "content": ""}]), InputError, "content is empty"),
    (lambda m: m.graph.add_nodes([MemoryNode("x") for _ in range(4097)]), BatchTooLarge, "more than 4096; split it"),
    (lambda m: m.graph.add_nodes([MemoryNode("x" * 2**20) for _ in range(9)]), BatchTooLarge, "split it"),
    # revising and forgetting
    (lambda m: m.revise("a"), InputError, "at least one field to change"),
    (lambda m: m.revise("a", contents="x"), InputError, "no field 'contents' to revise; it has confidence, "),
    (lambda m: m.revise("a", content="x", expected=0), InputError, "expected must be a whole number"),
    (lambda m: m.revise("a", content="x", expected="2"), InputError, "expected must be a whole number"),
    (lambda m: m.revise("a", content=None), InputError, "content must be text"),
    (lambda m: m.revise("a", decay_rate=0), InputError, "positive number of hours"),
    (lambda m: m.revise("a", decay_function="x"), InputError, "no DecayFunction"),
    (lambda m: m.revise("a", consolidation_state=3), InputError, "no ConsolidationState"),
    (lambda m: m.revise("a", embedding=[1.0]), EmbeddingDimensionError, "has 1 dimensions"),
    (lambda m: m.get("a").add_tag(""), InputError, "non-empty texts"),
    (lambda m: m.get("a").set_meta("x", object()), InputError, "metadata must map texts"),
    (lambda m: m.get("a").set_meta("x", "y" * 2**16), ContentTooLongError, "metadata takes"),
    (lambda m: m.get("a").reinforce(math.nan), InputError, "delta is not a number"),
    (lambda m: m.forget(50), InputError, "retention_threshold must be from 0 to 1, not 50"),
    (lambda m: m.forget(-0.1), InputError, "retention_threshold must be from 0 to 1, not -0.1"),
    (lambda m: m.graph.prune_forgotten(1.01), InputError, "retention_threshold must be from 0 to 1"),
    (lambda m: m.graph.merge_similar_nodes(-2), InputError, "similarity_threshold must be from -1 to 1"),
    (lambda m: m.query().similar_to("a", threshold=80), InputError, "threshold must be from -1 to 1"),
    (lambda _: AgentMemory(associate_threshold=35), InputError, "associate_threshold must be from -1 to 1"),
    (
        lambda m: MemoryArchiver(m).run(ArchivePolicy(max_retention=25)),
        InputError,
        "max_retention must be from 0 to 1",
    ),
    (lambda m: m.at("2020-01-01"), InputError, "neither a position .* nor a datetime with a time zone"),
    (lambda m: m.at(date(2020, 1, 1)), InputError, "neither a position .* nor a datetime with a time zone"),
    (lambda m: m.recall("a", as_of=True), InputError, "neither a position"),
    (lambda m: m.forget("much"), InputError, "retention_threshold must be a number"),
    (lambda m: m.forget(ids=["a"], reason=5), InputError, "reason must be a text"),
    (lambda m: m.forget(ids=["a"], reason="x" * 5000), InputError, "reason must be a text of up to 4096"),
    (lambda m: m.unlink("edge", reason="\ud800"), InputError, "reason must be a text"),
    # questions
    (lambda m: m.recall(""), InputError, "the question is empty; ask with a text or a vector"),
    (lambda m: m.recall("  "), InputError, "the question is empty"),
    (lambda m: m.recall(None), InputError, "there is no question; ask with a text or a vector"),
    (lambda m: m.recall(5), InvalidVectorError, r"shape \(\)"),
    (lambda m: m.recall("x" * (2**20 + 1)), ContentTooLongError, "1048577 bytes"),
    (lambda m: m.recall("x", k=0), InputError, "k must be a whole number from 1 to 10000, not 0"),
    (lambda m: m.recall("x", k=10_001), InputError, "k must be a whole number"),
    (lambda m: m.recall("x", k=2.0), InputError, "k must be a whole number"),
    (lambda m: m.recall("x", k=True), InputError, "k must be a whole number"),
    (lambda m: m.recall("x", k="3"), InputError, "k must be a whole number"),
    (lambda m: m.recall("x", threshold=math.nan), InputError, "threshold is not a number"),
    (lambda m: m.recall("x", memory_type="happy"), InputError, "no MemoryType"),
    (lambda m: m.recall("x", tags="one"), InputError, "tags must be a list"),
    (lambda m: m.recall("x", session=[]), InputError, "session must be a text"),
    (lambda m: m.recall("x", since="soon"), TimeFormatError, "cannot be read as a time"),
    (lambda m: m.recall("x", until=math.nan), TimeFormatError, "cannot be read as a time"),
    (lambda m: m.recall("x", metadata={"a": object()}), InputError, "metadata must map texts"),
    (lambda m: m.recall([1.0] * 3), EmbeddingDimensionError, "3"),
    (lambda m: m.recall([math.nan] * 256), InvalidVectorError, "holds nan"),
    (lambda m: m.recall(np.ones((2, 256))), InvalidVectorError, "shape"),
    (lambda m: m.reason(""), InputError, "the question is empty"),
    (lambda m: m.reason(None), InputError, "there is no question"),
    (lambda m: m.reason("x", hops=9), InputError, "hops must be a whole number from 0 to 8, not 9"),
    (lambda m: m.reason("x", hops=-1), InputError, "hops must be a whole number"),
    (lambda m: m.reason("x", k=0), InputError, "k must be a whole number"),
    (lambda m: m.reason("x", seed_k=0), InputError, "seed_k must be a whole number"),
    (lambda m: m.find(since="soon"), TimeFormatError, "cannot be read as a time"),
    (lambda m: m.find(memory_type="happy"), InputError, "no MemoryType"),
    (lambda m: m.graph.similarity_search(None), InputError, "there is no question"),
    (lambda m: m.graph.similarity_search([1.0]), EmbeddingDimensionError, "1"),
    (lambda m: m.graph.similarity_search([1.0] * 256, k=-1), InputError, "k must be a whole number"),
    (lambda m: m.subscribe(0), InputError, "from_position must be a whole number"),
    (lambda m: list(m.log(0)), InputError, "first must be a whole number"),
    (lambda m: m.at(99), InputError, "position 99 is not in this memory"),
]


@pytest.fixture(scope="module")
def filled():
    memory = AgentMemory()
    memory.remember("red canoe", node_id="a")
    memory.remember("blue moon", node_id="b")
    memory.graph.add_edge(MemoryEdge("a", "b", edge_id="edge"))
    return memory


def refused(memory, call, error, message):
    before = fingerprint(memory)
    with pytest.raises(MemoryGraphError, match=message or None) as caught:
        call(memory)
    assert type(caught.value) is error
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    assert fingerprint(memory) == before
    return caught.value


@pytest.mark.parametrize(("arguments", "error", "message"), REMEMBER)
def test_remember_refuses(filled, arguments, error, message):
    refused(filled, lambda memory: memory.remember(**{"content": "x", **arguments}), error, message)


@pytest.mark.parametrize(("call", "error", "message"), CALLS)
def test_calls_refuse(filled, call, error, message):
    refused(filled, call, error, message)


@pytest.mark.parametrize(("arguments", "error", "message"), [row for row in REMEMBER if "command_id" not in row[0]])
def test_remember_many_refuses_the_whole_chunk(filled, arguments, error, message):
    items = ["one", {"content": "x", **arguments}, "three"]
    refused(filled, lambda memory: memory.remember_many(items), error, message)


def test_a_refused_write_leaves_a_durable_store_as_it_was(durable, store):
    durable.remember("red canoe", node_id="a")
    files = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    for arguments, error, message in REMEMBER:
        refused(durable, lambda memory, given=arguments: memory.remember(**{"content": "x", **given}), error, message)
    assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == files


def test_limits_can_be_set():
    limits = Limits(content_bytes_max=8, tags_max=1, metadata_bytes_max=16, k_max=5, hops_max=1)
    memory = AgentMemory(limits=limits)
    memory.remember("x" * 8, tags=["a"])
    for call, error in (
        (lambda m: m.remember("x" * 9), ContentTooLongError),
        (lambda m: m.remember("x", tags=["a", "b"]), ContentTooLongError),
        (lambda m: m.remember("x", metadata={"a": "x" * 20}), ContentTooLongError),
        (lambda m: m.revise(m.find()[0].id, content="x" * 9), ContentTooLongError),
        (lambda m: m.recall("x", k=6), InputError),
        (lambda m: m.reason("x", hops=2), InputError),
    ):
        refused(memory, call, error, "")
    wide = AgentMemory(limits=Limits(content_bytes_max=2 << 20))
    assert len(wide.remember("x" * (2 << 20)).content) == 2 << 20


def test_the_largest_input_is_kept(durable, store):
    node = durable.remember(
        "x" * 2**20,
        tags=[str(number) for number in range(64)],
        metadata={"a": "x" * (2**16 - 8)},
        speaker="s" * 512,
    )
    with AgentMemory(store, read_only=True) as reopened:
        assert reopened.get(node.id) == node


def test_errors_of_ids_are_key_errors(memory):
    with pytest.raises(KeyError):
        memory.get("nobody")
    with pytest.raises(ValueError, match="nobody"):
        memory.edges("nobody")
    assert memory.graph.get_node_safe("nobody") is None
    assert 5 not in memory
    assert "nobody" not in memory
    assert "nobody" not in memory.graph
    assert 5 not in memory.graph


@pytest.mark.parametrize(
    "call",
    [
        lambda memory: memory.graph.add_nodes([None]),
        lambda memory: memory.graph.add_nodes(None),
        lambda memory: memory.graph.add_edge(None),
        lambda memory: memory.graph.add_edges({"a": 1}),
        lambda memory: list(memory.log(1, "x")),
        lambda _: AgentMemory(language=[]),
        lambda _: AgentMemory(limits=None),
    ],
)
def test_something_else_altogether_is_named(memory, call):
    with pytest.raises(InputError):
        call(memory)
