"""What holds for an ``AgentMemory`` in this process holds for one on a fleet: the same tests, unchanged.

Each file here is one of ``tests/memory``, in which ``AgentMemory(path, ...)`` is a memory of a fleet; the same path is
the same memory. Left out are those about files, engines and processes of their own, by name in their files, or because
they look inside the engine.
"""

from __future__ import annotations

import inspect
import itertools
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from memorygraph import AgentMemory
from memorygraph.actors.fleet.calls import Founding
from memorygraph.actors.fleet.client import FleetEngine
from tests.fleet.local_fleet import LocalFleet

_numbers = itertools.count()
_OVER_RAY = os.environ.get("FLEET") == "ray"  # the same over Ray: a few minutes
_INSIDE = ("_engine._", "_settle(", "LocalEngine", *(["monkeypatch"] if _OVER_RAY else []))  # hosts are elsewhere


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    items[:] = [item for item in items if item.path.parent != here or not _looks_inside(item.function)]


def _looks_inside(test) -> bool:
    source = inspect.getsource(getattr(test, "__wrapped__", test))
    return any(name in source for name in _INSIDE)


@pytest.fixture(scope="session")
def fleet(request, tmp_path_factory):
    if _OVER_RAY:
        yield request.getfixturevalue("ray_fleet")
        return
    fleet = LocalFleet(tmp_path_factory.mktemp("fleet"))
    yield fleet
    fleet.stop()


@pytest.fixture(autouse=True)
def hosted(fleet, monkeypatch, request):
    class HostedMemory(AgentMemory):
        def __init__(
            self, path: Any = None, *, name: str = "agent_memory", language: str = "en", **options: Any
        ) -> None:
            hosted = f"hosted{next(_numbers)}" if path is None else f"path{abs(hash(str(path)))}"
            if not options.get("read_only"):
                FleetEngine(hosted, fleet.transport, founding=Founding(name=name, language=language)).close()
            self.__dict__.update(AgentMemory.connect(hosted, transport=fleet.transport, **options).__dict__)

    module = sys.modules[request.function.__module__]
    if hasattr(module, "AgentMemory"):
        monkeypatch.setattr(module, "AgentMemory", HostedMemory)
    return HostedMemory


@pytest.fixture
def memory(hosted):
    with hosted() as memory:
        yield memory


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def durable(hosted, store):
    with hosted(store) as memory:
        yield memory
