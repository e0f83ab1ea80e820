"""The fleet on Ray: the same contract, and what only real processes show."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from contextlib import suppress
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
from memorygraph.events.errors import HostFailed, InputError, Unreachable
from tests.actors.engine_contract import EngineContract, Home, adding, check_whole, do, names
from tests.faults.figures import figure
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


class Writers:
    """Threads that remember one text after the other, and which of them were acknowledged."""

    def __init__(self, engine: Engine, threads: int = 4) -> None:
        self.engine = engine
        self.acknowledged: list[str] = []
        self.errors: list[Exception] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def _write(self, number: int) -> None:
        try:
            for step in itertools.count():
                if self._done.is_set():
                    return
                content = f"{number}-{step}"
                do(self.engine, cmd.AddNodes(nodes=[ev.NodeAdded(content=content)]))
                self.acknowledged.append(content)
        except Exception as error:  # noqa: BLE001 - raised in the test's own thread
            self.errors.append(error)

    def write_more(self, count: int) -> None:
        """Return when so many more are acknowledged."""
        enough, end_s = len(self.acknowledged) + count, time.monotonic() + 60
        while len(self.acknowledged) < enough:
            assert not self.errors
            assert time.monotonic() < end_s
            time.sleep(0.005)

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()
        assert not self.errors


@pytest.mark.faults
def test_kill_9_in_the_middle_of_writes_loses_and_doubles_nothing(ray_fleet, name) -> None:
    engine = FleetEngine(name, ray_fleet.transport, founding=Founding(name=name))
    writers, chance = Writers(engine), random.Random(7)
    for kill in range(figure(2, 300)):
        writers.write_more(20)
        if kill % 10 == 1:
            ray.kill(ray_fleet.directory, no_restart=False)
        time.sleep(chance.uniform(0, 0.02))
        with suppress(Unreachable):  # it is still down
            os.kill(ray_fleet.pid(owner_of(name)), signal.SIGKILL)
    writers.write_more(20)
    writers.stop()
    contents = [state.content for state in engine.ask(cmd.FindNodes()).value]
    assert sorted(contents) == sorted(writers.acknowledged)
    check_whole(engine)
    wait_for_both(ray_fleet)


def wait_for_both(fleet) -> None:
    end_s, hosts = time.monotonic() + 60, 0
    while hosts < 2:
        assert time.monotonic() < end_s
        time.sleep(0.05)
        with suppress(Unreachable):  # the directory is being started anew, too
            hosts = len(fleet.status().hosts)


def owner_of(memory: str) -> str:
    members = tuple(Member(name, ADDRESS + name) for name in ("one", "two"))
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
