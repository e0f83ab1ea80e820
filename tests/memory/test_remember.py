import inspect
import time
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from memorygraph import AgentMemory, EdgeType, HashingEmbedder, MemoryType
from memorygraph.core.types import ImportanceLevel, NodeNotFoundError
from memorygraph.embeddings import cosine
from tests.memory.helpers import SteppedClock, clocked


def defaults(method):
    return {
        name: parameter.default
        for name, parameter in inspect.signature(method).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


def test_documented_defaults():
    assert {
        "embedder": None,
        "embedding_dim": 256,
        "name": "agent_memory",
        "auto_associate": True,
        "associate_k": 5,
        "associate_threshold": 0.35,
        "decay_rate": 168.0,
        "language": "en",
        "read_only": False,
        "path": None,
    }.items() <= defaults(AgentMemory).items()
    remember = defaults(AgentMemory.remember)
    assert list(inspect.signature(AgentMemory.remember).parameters)[1:8] == [
        "content",
        "importance",
        "tags",
        "memory_type",
        "metadata",
        "emotional_valence",
        "embedding",
    ]
    assert (remember["importance"], remember["tags"], remember["memory_type"]) == (0.5, None, MemoryType.EPISODIC)
    assert (remember["emotional_valence"], remember["confidence"]) == (0.0, 1.0)
    recall = defaults(AgentMemory.recall)
    assert (recall["k"], recall["threshold"], recall["reinforce"]) == (5, 0.0, True)
    assert (recall["memory_type"], recall["tags"]) == (None, None)
    assert {"hops": 2, "k": 10, "seed_k": 3}.items() <= defaults(AgentMemory.reason).items()
    link = defaults(AgentMemory.link)
    assert (link["edge_type"], link["weight"], link["directed"]) == (EdgeType.ASSOCIATION, 0.8, True)
    assert defaults(AgentMemory.forget)["retention_threshold"] == 0.05
    changing = ("remember", "remember_many", "remember_messages", "revise", "revise_many", "forget", "link")
    for name in (*changing, "link_many", "unlink", "unlink_many"):
        assert "command_id" in inspect.signature(getattr(AgentMemory, name)).parameters, name


def test_a_new_memory_is_empty_and_true(memory):
    assert len(memory) == 0
    assert memory
    assert memory.position == 1
    assert (memory.name, memory.language, memory.path) == ("agent_memory", "en", None)
    assert isinstance(memory.embedder, HashingEmbedder)
    assert memory.embedder.dim == 256
    assert memory.recall("anything") == []
    assert len(bytes.fromhex(memory.memory_id)) == 16


def test_plain_remember(memory):
    before = time.time()
    node = memory.remember("The kettle is in the blue cupboard")
    assert (node.content, node.importance, node.memory_type) == (
        "The kettle is in the blue cupboard",
        0.5,
        MemoryType.EPISODIC,
    )
    assert (node.tags, node.metadata, node.emotional_valence, node.confidence) == ([], {}, 0.0, 1.0)
    assert (node.speaker, node.session, node.source) == (None, None, None)
    assert before - 0.001 <= node.created_at <= time.time()
    assert node.occurred_at == node.created_at
    assert (node.decay_rate, node.access_count) == (168.0, 0)
    assert node.position == node.version == memory.position == 2
    assert len(node.id) == 15
    assert node.id in memory
    assert np.array_equal(node.embedding, memory.embedder(node.content))


def test_every_argument_is_kept(store):
    vector = np.arange(3, dtype=np.float32) + 1
    expected = {
        "content": "Ada: the mast is oak",
        "importance": 0.7,
        "tags": ["boat", "wood"],
        "memory_type": MemoryType.SEMANTIC,
        "metadata": {"page": 3, "deep": {"list": [1, 2.5, None, True, "x"]}},
        "emotional_valence": -0.3,
        "confidence": 0.9,
        "speaker": "Ada",
        "session": 7,
        "source": "log.md#mast",
    }
    with AgentMemory(store, embedding_dim=3) as memory:
        node = memory.remember(
            **expected, embedding=vector, occurred_at="1:56 pm on 8 May, 2023", node_id="mast", command_id="c1"
        )
        assert node.id == "mast"
    with AgentMemory(store) as memory:
        node = memory.get("mast")
        assert {name: getattr(node, name) for name in expected} == expected
        assert node.occurred_at == datetime(2023, 5, 8, 13, 56, tzinfo=UTC).timestamp()
        assert np.array_equal(node.embedding, vector)
        assert [change.command_id for change in memory.history("mast")] == ["c1"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"importance": 7}, {"importance": 1.0}),
        ({"importance": -1}, {"importance": 0.0}),
        ({"importance": float("inf")}, {"importance": 1.0}),
        ({"importance": ImportanceLevel.CRITICAL}, {"importance": 0.9}),
        ({"emotional_valence": -3}, {"emotional_valence": -1.0}),
        ({"emotional_valence": 3}, {"emotional_valence": 1.0}),
        ({"confidence": 2}, {"confidence": 1.0}),
        ({"tags": ("b", "a", "b")}, {"tags": ["b", "a"]}),
        ({"memory_type": "procedural"}, {"memory_type": MemoryType.PROCEDURAL}),
        ({"memory_type": "SEMANTIC"}, {"memory_type": MemoryType.SEMANTIC}),
        ({"session": "s-1"}, {"session": "s-1"}),
        ({"session": 0}, {"session": 0}),
        ({"speaker": "राम\u200cकृष्ण"}, {"speaker": "राम\u200cकृष्ण"}),
        ({"occurred_at": 1.5}, {"occurred_at": 1.5}),
        ({"occurred_at": datetime(1970, 1, 1, 0, 0, 9)}, {"occurred_at": 9.0}),  # noqa: DTZ001 - naive is UTC
        (
            {"occurred_at": datetime(1970, 1, 1, 3, tzinfo=timezone(timedelta(hours=2)))},
            {"occurred_at": 3600.0},
        ),
    ],
)
def test_values_are_clipped_and_read(memory, given, kept):
    node = memory.remember("Something", **given)
    assert {name: getattr(node, name) for name in kept} == kept


def test_similar_memories_are_linked(memory):
    first = memory.remember("the red canoe lies on the shore")
    other = memory.remember("interest rates rose by half a point")
    second = memory.remember("the red canoe lies in the boathouse")
    (edge,) = memory.edges(second.id)
    assert (edge.edge_type, edge.directed) == (EdgeType.SIMILARITY, False)
    assert {edge.source_id, edge.target_id} == {first.id, second.id}
    assert edge.weight == pytest.approx(cosine(first.embedding, second.embedding), abs=1e-6)
    assert edge.weight >= 0.35
    assert memory.edges(other.id) == []


def test_association_threshold_and_k():
    same = ["red canoe"] * 4
    with AgentMemory(associate_k=2) as memory:
        nodes = [memory.remember(text) for text in same]
        assert [edge.source_id for edge in memory.edges(nodes[3].id)] == [nodes[3].id] * 2
    with AgentMemory(associate_threshold=0.99) as memory:
        memory.remember("the red canoe lies on the shore")
        assert memory.edges(memory.remember("the red canoe lies in the boathouse").id) == []
        assert len(memory.edges(memory.remember("The red canoe lies on the shore!").id)) == 1
    for switched_off in ({"auto_associate": False}, {"associate_k": 0}):
        with AgentMemory(**switched_off) as memory:
            nodes = [memory.remember(text) for text in same]
            assert memory.stats().num_edges == 0


def test_association_goes_to_the_most_similar(memory):
    memory = AgentMemory(associate_k=1, embedding_dim=2)
    memory.remember("a", embedding=[1, 0])
    near = memory.remember("b", embedding=[0.6, 0.8])
    (edge,) = memory.edges(memory.remember("c", embedding=[0, 1]).id)
    assert edge.target_id == near.id
    assert edge.weight == pytest.approx(0.8)


def test_the_same_command_is_done_once(memory):
    node = memory.remember("once", command_id="c")
    again = memory.remember("once", command_id="c")
    assert again == node
    assert memory.position == 2
    memory.forget(ids=[node.id])
    with pytest.raises(NodeNotFoundError, match=node.id):
        memory.remember("once", command_id="c")


def test_remember_many_takes_texts_and_dicts_in_chunks(memory):
    done = []
    items = [f"note {number}" for number in range(2100)]
    items[7] = {"content": "note 7", "importance": 0.9, "tags": ["seven"], "node_id": "seven"}
    nodes = memory.remember_many(iter(items), associate=False, progress=done.append)
    assert done == [1000, 2000, 2100]
    assert [node.content for node in nodes] == [f"note {number}" for number in range(2100)]
    assert (nodes[7].id, nodes[7].tags, nodes[7].importance) == ("seven", ["seven"], 0.9)
    assert memory.position == 1 + 3
    assert memory.stats().num_edges == 0
    assert memory.remember_many([]) == []


def test_remember_many_links_like_remember(memory):
    memory.remember("the red canoe lies on the shore")
    nodes = memory.remember_many(["the red canoe lies in the boathouse", "the red canoe is gone"])
    assert len(memory.edges(nodes[1].id)) == 2


@pytest.mark.parametrize(
    ("count", "item", "dim"),
    [
        (600, {"content": "x", "metadata": {"long": "y" * 20_000}}, 8),  # the size is in the metadata
        (1000, {"content": "x"}, 3072),  # in the vectors that the embedder makes
        (13, {"content": "語" * 300_000}, 8),  # in characters of three bytes
    ],
)
def test_chunks_fit_into_commands(count, item, dim):
    memory = AgentMemory(embedding_dim=dim, auto_associate=False)
    assert len(memory.remember_many([item] * count)) == count
    changed = memory.revise_many([{"id": node.id, **item} for node in memory])
    assert changed == count


class BreaksDownError(Exception):
    pass


def test_remember_many_goes_on_where_it_broke_off(durable):
    items = [f"item {number}" for number in range(2500)]

    def broken():
        yield from items[:1700]
        raise BreaksDownError

    with pytest.raises(BreaksDownError):
        durable.remember_many(broken(), command_id="batch", associate=False)
    assert len(durable) == 1000  # whole chunks only
    first = [node.id for node in durable]
    nodes = durable.remember_many(items, command_id="batch", associate=False)
    assert len(nodes) == len(durable) == 2500
    assert [node.id for node in nodes][:1000] == first
    assert sorted(node.content for node in durable) == sorted(items)
    position = durable.position
    assert durable.remember_many(items, command_id="batch", associate=False) == nodes
    assert durable.position == position


def test_remember_messages(memory):
    turns = [
        {"role": "user", "content": "My cat is called Pixel", "name": "Ada", "time": "2024-03-01T10:00:00Z"},
        {"role": "assistant", "content": "What a good name", "time": 1_709_287_260},
        {"role": "user", "content": "She is grey"},
    ]
    nodes = memory.remember_messages(turns, session="chat-1", command_id="talk")
    assert [(node.speaker, node.session, node.content) for node in nodes] == [
        ("Ada", "chat-1", "My cat is called Pixel"),
        ("assistant", "chat-1", "What a good name"),
        ("user", "chat-1", "She is grey"),
    ]
    assert nodes[0].occurred_at == 1_709_287_200
    assert nodes[1].occurred_at == 1_709_287_260
    assert nodes[2].occurred_at == nodes[2].created_at
    steps = [edge for edge in memory.graph.edges() if edge.edge_type is EdgeType.TEMPORAL]
    assert [(edge.source_id, edge.target_id, edge.directed) for edge in steps] == [
        (nodes[0].id, nodes[1].id, True),
        (nodes[1].id, nodes[2].id, True),
    ]
    position = memory.position
    assert memory.remember_messages(turns, session="chat-1", command_id="talk") == nodes
    memory.forget(ids=[nodes[1].id])
    assert memory.remember_messages(turns, session="chat-1", command_id="talk") == [nodes[0], nodes[2]]
    assert memory.position == position + 1
    assert memory.remember_messages([]) == []


def test_times_come_from_the_clock():
    clock = SteppedClock()
    memory = clocked(clock)
    node = memory.remember("now")
    clock.forward(1)
    later = memory.remember("later", occurred_at=0)
    assert node.created_at == 1_700_000_000
    assert (later.created_at, later.occurred_at) == (1_700_003_600, 0)
