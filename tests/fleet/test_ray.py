"""The fleet on Ray: the same contract, and what only real processes show."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import ray

from memorygraph import AgentMemory
from memorygraph.actors import commands as cmd
from memorygraph.actors.engine import Engine
from memorygraph.actors.fleet import host
from memorygraph.actors.fleet.calls import Founding
from memorygraph.actors.fleet.client import FleetEngine
from memorygraph.actors.fleet.placement import Member, Table
from memorygraph.actors.fleet.ray_shells import ADDRESS
from memorygraph.events import records as ev
from memorygraph.events.errors import HostFailed, InputError
from tests.actors.engine_contract import EngineContract, Home, adding, check_whole, do, names
from tests.fleet.ray_world import FileTicks

pytestmark = pytest.mark.ray
_numbers = itertools.count()


def actors_of(fleet) -> list[Any]:
    return [ray.get_actor(ADDRESS + one.name, namespace=fleet.namespace) for one in fleet.status().hosts]


class RayHome(Home):
    """Opening again wakes the memory anew, at the host that it belongs to."""

    def __init__(self, fleet) -> None:
        self.fleet = fleet
        self.memory = f"m{next(_numbers)}"

    def open(
        self,
        *,
        name: str = "",
        language: str = "en",
        read_only: bool = False,
        clock: Any = None,
        ids: Any = None,
        progress: Any = None,
    ) -> Engine:
        del clock, ids, progress
        ray.get([actor.sleep.remote(self.memory) for actor in actors_of(self.fleet)])
        founding = None if read_only else Founding(name=name, language=language)
        return FleetEngine(self.memory, self.fleet.transport, founding=founding, read_only=read_only)


class PatchedEverywhere:
    """``monkeypatch``, in the hosts too."""

    def __init__(self, fleet, here) -> None:
        self.fleet = fleet
        self.here = here
        self.undoing: list[tuple[Any, str, str, Any]] = []

    def setattr(self, module: Any, name: str, value: Any) -> None:
        self.here.setattr(module, name, value)
        for actor in actors_of(self.fleet):
            before = ray.get(actor.replace.remote(module.__name__, name, value))
            self.undoing.append((actor, module.__name__, name, before))

    def undo(self) -> None:
        ray.get([actor.replace.remote(module, name, before) for actor, module, name, before in self.undoing])


class TestOverRay(EngineContract):
    @pytest.fixture
    def home(self, ray_fleet):
        return RayHome(ray_fleet)

    @pytest.fixture
    def clock(self, home):
        root = Path(home.fleet.stores.root)
        root.mkdir(exist_ok=True)
        return FileTicks(root / f"{home.memory}.ticks")

    @pytest.fixture
    def monkeypatch(self, monkeypatch, ray_fleet):
        everywhere = PatchedEverywhere(ray_fleet, monkeypatch)
        yield everywhere
        everywhere.undo()


@pytest.fixture
def name():
    return f"r{next(_numbers)}"


def test_kill_9_in_the_middle_of_writes_loses_and_doubles_nothing(ray_fleet, name) -> None:
    engine = FleetEngine(name, ray_fleet.transport, founding=Founding(name=name))
    acknowledged: list[list[str]] = [[] for _ in range(4)]
    done = threading.Event()

    def write(number: int) -> None:
        step = 0
        while not done.is_set():
            content = f"{number}-{step}"
            do(engine, cmd.AddNodes(nodes=[ev.NodeAdded(content=content)]))
            acknowledged[number].append(content)
            step += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(2):
        have = sum(map(len, acknowledged))
        while sum(map(len, acknowledged)) < have + 40:
            time.sleep(0.005)
        os.kill(ray_fleet.pid(owner_of(ray_fleet, name)), signal.SIGKILL)
    have = sum(map(len, acknowledged))
    while sum(map(len, acknowledged)) < have + 40:
        time.sleep(0.005)
    done.set()
    for writer in writers:
        writer.join()
    contents = [state.content for state in engine.ask(cmd.FindNodes()).value]
    assert sorted(contents) == sorted(itertools.chain.from_iterable(acknowledged))
    check_whole(engine)


def owner_of(fleet, memory: str) -> str:
    members = tuple(Member(one.name, one.address) for one in fleet.status().hosts)
    owner = Table(1, members).owner(memory)
    assert owner is not None
    return owner.name


def test_a_memory_goes_to_tasks_and_actors(ray_fleet, name) -> None:
    memory = AgentMemory.connect(name, namespace=ray_fleet.namespace, principal="driver")

    @ray.remote(num_cpus=0)
    def note(memory: AgentMemory, text: str) -> str:
        return memory.remember(text).id

    ids = ray.get([note.remote(memory, text) for text in ("the cat sleeps", "the dog barks")])
    assert {memory.get(node_id).content for node_id in ids} == {"the cat sleeps", "the dog barks"}
    assert memory.recall("Which animal barks?", k=1)[0].content == "the dog barks"
    pids = {record.provenance["pid"] for record in memory._engine.read(2, 3)}
    assert str(os.getpid()) not in pids


def test_errors_are_ours(ray_fleet, name, monkeypatch) -> None:
    engine = FleetEngine(name, ray_fleet.transport, founding=Founding(name=name))
    with pytest.raises(InputError) as caught:
        engine.at(7)
    assert f"memory {name!r}, host" in caught.value.__notes__[0]
    everywhere = PatchedEverywhere(ray_fleet, monkeypatch)
    everywhere.setattr(host, "PAGE_BYTES", "large")
    with pytest.raises(HostFailed, match="TypeError") as failed:
        list(engine.read(1))
    assert "Traceback" not in str(failed.value)
    everywhere.undo()


def test_reads_do_not_wait_for_writes(ray_fleet, name) -> None:
    engine = FleetEngine(name, ray_fleet.transport, founding=Founding(name=name))
    do(engine, adding("a"))
    waiting = [threading.Thread(target=engine.wait, args=(9, 2.0)) for _ in range(8)]
    for thread in waiting:
        thread.start()
    assert names(engine) == ["a"]
    for thread in waiting:
        thread.join()
