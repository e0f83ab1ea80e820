"""``AgentMemory.connect``: the same methods, and a handle that travels."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from memorygraph import AgentMemory, AsyncAgentMemory, SharedMemoryPool
from memorygraph.events.errors import ClosedError, InputError, StoreNotFound, StoreReadOnly
from tests.fleet.local_fleet import LocalFleet


def travelled(handle: Any) -> Any:
    """A handle as another process gets it."""
    return pickle.loads(pickle.dumps(handle))  # noqa: S301 - our own bytes


@pytest.fixture
def fleet(tmp_path):
    fleet = LocalFleet(tmp_path / "fleet")
    yield fleet
    fleet.stop()


@pytest.fixture
def memory(fleet):
    with AgentMemory.connect("team", transport=fleet.transport, principal="ann", associate_k=1) as memory:
        yield memory


def test_two_handles_are_one_memory(fleet, memory) -> None:
    node = memory.remember("Leyla lives in Istanbul", tags=["city"])
    other = AgentMemory.connect("team", transport=fleet.transport)
    assert other.get(node.id).content == "Leyla lives in Istanbul"
    assert other.recall("Where does Leyla live?", k=1)[0].content == node.content
    assert (other.name, other.memory_id) == ("team", memory.memory_id)
    other.revise(node.id, content="Leyla lives in Ankara")
    assert memory.get(node.id).content == "Leyla lives in Ankara"
    other.close()
    with pytest.raises(ClosedError):
        other.remember("x")
    assert memory.remember("y").content == "y"


def test_a_memory_that_is_not_there(fleet) -> None:
    with pytest.raises(StoreNotFound, match="no memory 'nobody' in this fleet"):
        AgentMemory.connect("nobody", transport=fleet.transport, create=False)
    with pytest.raises(InputError, match="a-z, 0-9"):
        AgentMemory.connect("../etc", transport=fleet.transport)


def test_read_only(fleet, memory) -> None:
    memory.remember("x")
    reader = AgentMemory.connect("team", transport=fleet.transport, read_only=True)
    assert len(reader) == 1
    with pytest.raises(StoreReadOnly):
        reader.remember("y")


def test_a_handle_travels(memory) -> None:
    node = memory.remember("one")
    twin = travelled(memory)
    twin.remember("two")
    assert [found.content for found in memory.graph.nodes()] == ["one", "two"]
    assert (twin._policy, twin.embedder.dim) == (memory._policy, memory.embedder.dim)
    assert [entry.principal for entry in memory.audit()][-1] == "ann"
    past = travelled(memory.at(memory.position - 1))
    assert [found.id for found in past.graph.nodes()] == [node.id]


def test_a_pool_and_its_agents_travel(memory) -> None:
    pool = SharedMemoryPool(memory=memory)
    bob = pool.agent("bob")
    bob.remember("the key is under the mat")
    twin = travelled(bob)
    twin.remember("and the door is red")
    assert len(bob.memories()) == len(twin.memories()) == 2
    assert pool.agent("eve").memories() == []


def test_what_lives_here_does_not_travel(tmp_path, memory) -> None:
    for embedded in (AgentMemory(), AgentMemory(tmp_path / "store")):
        with pytest.raises(InputError, match="cannot be pickled"):
            pickle.dumps(embedded)
        embedded.close()
    with memory.transaction(), pytest.raises(InputError, match="in a transaction"):
        pickle.dumps(memory)


async def test_async(fleet) -> None:
    memory = await AsyncAgentMemory.connect("team", transport=fleet.transport)
    await memory.remember("one")
    twin = travelled(memory)
    assert [node.content for node in await twin.find()] == ["one"]
    await memory.close()
    await twin.close()
