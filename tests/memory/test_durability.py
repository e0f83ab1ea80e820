"""What was acknowledged stays: through kill -9, and with several processes writing at once."""

import multiprocessing
import random
import subprocess
import sys

import pytest

from memorygraph import AgentMemory
from tests.memory.workers import write_shared

WRITERS = 4
EACH = 25
STORES = 10
KILLS = 10  # of one store


def test_four_processes_write_one_store(store):
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(WRITERS)
    names = [f"writer{number}" for number in range(WRITERS)]
    processes = [context.Process(target=write_shared, args=(str(store), name, EACH, start)) for name in names]
    with AgentMemory(store) as watcher:
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0] * WRITERS
        with AgentMemory(store) as reopened, AgentMemory(store, read_only=True) as reader:
            for memory in (watcher, reopened, reader):
                assert len(memory) == 1 + WRITERS * (EACH + 50)
                for name in names:
                    contents = [node.content for node in memory.find(tags=[name])]
                    expected = [f"{name} {number}" for number in range(EACH)]
                    expected += [f"{name} batch {number}" for number in range(50)]
                    assert contents == expected  # each once, in the order of its writer
                links = [edge for edge in memory.edges("common") if edge.edge_type.value == "association"]
                assert len(links) == WRITERS * EACH
                assert memory.get("common").importance == pytest.approx(1 - 0.5 * 0.99 ** (WRITERS * EACH))
            assert watcher.digest() == reopened.digest() == reader.digest() == watcher.replay()
            assert watcher.head() == reopened.head() == reader.head()
            assert reopened.verify().whole


def killed(store, kills, seed, mode=""):
    """Kill writers of a store with -9, one after the other, and return the ids that were acknowledged to them."""
    random_source = random.Random(seed)
    orders = "".join(f"{random_source.randint(0, 6)} w{number}\n" for number in range(kills))
    command = [sys.executable, "-m", "tests.memory.workers", str(store), mode]
    answer = subprocess.run(command, input=orders, capture_output=True, text=True, check=True, timeout=120)
    rounds = answer.stdout.split("\n")[:-1]
    assert len(rounds) == kills
    return [name for line in rounds for name in line.split()]


def lost(store, acknowledged):
    """The checker: acknowledged ids that a reopened store does not have."""
    with AgentMemory(store) as memory:
        assert memory.verify().whole
        assert memory.replay() == memory.digest()
        return [name for name in acknowledged if name not in memory]


@pytest.mark.faults
def test_a_hundred_kills_lose_nothing_acknowledged(tmp_path):
    acknowledged = 0
    for number in range(STORES):
        store = tmp_path / f"store{number}"
        ids = killed(store, KILLS, seed=number)
        assert lost(store, ids) == []
        with AgentMemory(store) as memory:
            extra = len(memory) - len(ids)
            assert 0 <= extra <= KILLS  # at most the one that was under way at each kill
            assert [node.content.replace(" ", "-") for node in memory] == [node.id for node in memory]
        acknowledged += len(ids)
    assert acknowledged > STORES * KILLS


@pytest.mark.faults
def test_a_writer_that_acknowledges_too_early_is_found(tmp_path):
    """The mutant: were records written after their acknowledgement, the checker above would say so."""
    store = tmp_path / "store"
    ids = killed(store, KILLS, seed=1, mode="late")
    assert len(lost(store, ids)) > 0
