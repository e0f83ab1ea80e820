"""What a memory that is open but not used costs, and who else may write to one that is."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from memorygraph import AgentMemory
from memorygraph.actors.upkeep import OPEN_LOGS_MAX
from memorygraph.core.types import Fenced, InputError, LogLocked

DEADLINE_S = 30.0


def descriptors_of(path: Path) -> list[str]:
    """Name the files below a path that this process has open, where the system lists them (Linux)."""
    if not Path("/proc/self/fd").exists():
        return []
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            found.append(str(link.readlink()))
    return [name for name in found if name.startswith(str(path))]


def wait_until(is_so) -> bool:
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_so() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return is_so()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "memorygraph"]


def test_idle_memories_hold_no_descriptor_and_no_thread(tmp_path):
    memories = [AgentMemory(path=tmp_path / f"{n}") for n in range(5)]
    for memory in memories:
        memory.remember("something")
    assert len(descriptors_of(tmp_path)) >= 5 or not Path("/proc/self/fd").exists()
    assert wait_until(lambda: not descriptors_of(tmp_path) and not threads())
    for memory in memories:  # and go on as if nothing had been
        memory.remember("something else")
        assert len(memory) == 2
        assert memory.verify().whole
    reader = AgentMemory(path=tmp_path / "0", read_only=True)
    assert len(reader) == 2
    assert wait_until(lambda: not descriptors_of(tmp_path) and not threads())
    memories[0].remember("a third")
    assert len(reader) == 3


def test_a_reader_under_way_is_not_disturbed_when_the_memory_rests(tmp_path):
    memory = AgentMemory(path=tmp_path)
    memory.remember_many([f"text {n} " * 50 for n in range(300)], associate=False)
    for _ in range(20):
        memory.remember("more", metadata={"text": "x" * 5000})
    changes = memory.log()
    seen = [next(changes)]
    for change in changes:
        memory._engine._log.release()
        seen.append(change)
    assert len(seen) == sum(1 for _ in memory.log())


def test_release_in_the_midst_of_reading_and_writing(tmp_path):
    memory = AgentMemory(path=tmp_path)
    stop = threading.Event()

    def release() -> None:
        while not stop.is_set():
            memory._engine._log.release()

    thread = threading.Thread(target=release)
    thread.start()
    try:
        for n in range(150):
            memory.remember(f"text {n}", node_id=f"n{n}")
            assert len(memory) == n + 1
    finally:
        stop.set()
        thread.join()
    assert memory.verify().whole
    assert len(AgentMemory(path=tmp_path)) == 150


def test_an_exclusive_memory_keeps_others_out(tmp_path):
    with AgentMemory(path=tmp_path, exclusive=True) as memory:
        memory.remember("mine")
        with pytest.raises(LogLocked, match="exclusively"):
            AgentMemory(path=tmp_path)
        assert len(AgentMemory(path=tmp_path, read_only=True)) == 1
    with AgentMemory(path=tmp_path) as memory:
        assert len(memory) == 1


def test_a_memory_can_be_taken_over(tmp_path):
    old = AgentMemory(path=tmp_path, exclusive=True)
    old.remember("before")
    new = AgentMemory(path=tmp_path, takeover=True)
    new.remember("after")
    with pytest.raises(Fenced, match="open it anew"):
        old.remember("stale")
    assert [node.content for node in old.find()] == ["before", "after"]
    assert [node.content for node in AgentMemory(path=tmp_path).find()] == ["before", "after"]
    assert new.head().epoch == 2


@pytest.mark.parametrize("option", ["exclusive", "takeover"])
def test_only_a_memory_with_a_path_can_be_had_alone(tmp_path, option):
    AgentMemory(path=tmp_path).close()
    for arguments in ({}, {"path": tmp_path, "read_only": True}):
        with pytest.raises(InputError, match="with a path"):
            AgentMemory(**arguments, **{option: True})


def test_many_memories_in_use_at_once_hold_few_descriptors(tmp_path):
    memories = [AgentMemory(path=tmp_path / f"{n}") for n in range(2 * OPEN_LOGS_MAX)]
    for _ in range(2):
        for memory in memories:
            memory.remember("something")
            assert len(descriptors_of(tmp_path)) <= 2 * OPEN_LOGS_MAX + 2
    assert [len(memory) for memory in memories] == [2] * len(memories)
    for memory in memories:
        memory.close()


def test_a_forked_child_rests_too(tmp_path):
    memory = AgentMemory(path=tmp_path)
    memory.remember("before")
    child = os.fork()
    if not child:
        memory.remember("in the child")
        os._exit(0 if wait_until(lambda: not descriptors_of(tmp_path)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(memory) == 2
