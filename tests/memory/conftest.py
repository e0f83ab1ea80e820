import pytest

from memorygraph import AgentMemory


@pytest.fixture
def memory():
    with AgentMemory() as memory:
        yield memory


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def durable(store):
    with AgentMemory(store) as memory:
        yield memory
