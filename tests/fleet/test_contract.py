"""A memory on a fleet is an ``Engine`` like any other."""

from __future__ import annotations

from typing import Any

import pytest

from memorygraph.actors.engine import Engine
from memorygraph.actors.fleet.calls import Founding
from tests.actors.engine_contract import EngineContract, Home
from tests.fleet.local_fleet import LocalFleet


class FleetHome(Home):
    """Opening again is another fleet over the same stores."""

    def __init__(self, root) -> None:
        self.root = root
        self.fleet: LocalFleet | None = None

    def open(
        self, *, name: str = "m", language: str = "en", read_only: bool = False, progress: Any = None, **outside: Any
    ) -> Engine:
        del progress
        self.stop()
        self.fleet = LocalFleet(self.root, **outside)
        founding = None if read_only else Founding(name=name, language=language)
        return self.fleet.connect(founding=founding, read_only=read_only)

    def stop(self) -> None:
        if self.fleet is not None:
            self.fleet.stop()


class TestOverLocalTransport(EngineContract):
    @pytest.fixture
    def home(self, tmp_path):
        home = FleetHome(tmp_path / "fleet")
        yield home
        home.stop()
