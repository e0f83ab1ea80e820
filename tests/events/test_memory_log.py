from __future__ import annotations

import pytest

from memorygraph.events.stores import MemoryLog
from tests.events.log_contract import LogContract, fill


class TestMemoryLog(LogContract):
    @pytest.fixture
    def make_log(self):
        return MemoryLog


def test_ids_are_random_unless_given():
    assert MemoryLog().memory_id != MemoryLog().memory_id


def test_verify_finds_a_changed_frame_and_goes_on():
    log = MemoryLog()
    fill(log, 5)
    frame = bytearray(log._frames[2])
    frame[-1] ^= 1
    log._frames[2] = bytes(frame)
    report = log.verify()
    assert [damage.position for damage in report.damage] == [4]
    assert (report.head.position, report.frames) == (3, 4)
