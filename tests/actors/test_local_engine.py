from __future__ import annotations

from typing import Any

import pytest

from memorygraph.actors.engine import Engine
from memorygraph.actors.local import LocalEngine
from memorygraph.events.stores.memory import MemoryLog
from memorygraph.events.stores.segment import SegmentLog
from tests.actors.engine_contract import EngineContract, Home


class MemoryHome(Home):
    """Opening again copies the frames of the log before."""

    def __init__(self) -> None:
        self.log: MemoryLog | None = None

    def open(self, *, read_only: bool = False, **options: Any) -> Engine:
        before, self.log = self.log, MemoryLog(self.log and self.log.memory_id)
        with self.log.lock():
            for frame in before._frames if before else ():
                self.log.adopt(frame)
        self.log.read_only = read_only
        return LocalEngine(self.log, **options)


class SegmentHome(Home):
    def __init__(self, path) -> None:
        self.path = path

    def open(self, *, read_only: bool = False, **options: Any) -> Engine:
        return LocalEngine(SegmentLog.open(self.path, read_only=read_only), **options)


class TestOverMemoryLog(EngineContract):
    @pytest.fixture
    def home(self):
        return MemoryHome()


class TestOverSegmentLog(EngineContract):
    @pytest.fixture
    def home(self, tmp_path):
        return SegmentHome(tmp_path / "store")
