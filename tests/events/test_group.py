"""Group commit for asyncio: every task gets its own position or its own error, and groups share frames."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from memorygraph.events.errors import BatchTooLarge, LogFailed
from memorygraph.events.group import GroupAppender
from memorygraph.events.log import EventLog
from memorygraph.events.ports import SystemClock
from memorygraph.events.stores import MemoryLog, SegmentLog


@pytest.fixture(params=["memory", "segment"])
def log(request, tmp_path):
    made: EventLog = MemoryLog() if request.param == "memory" else SegmentLog.open(str(tmp_path / "log"), create=True)
    with closing(made):
        yield made


def appended(log, records):
    async def all_at_once():
        appender = GroupAppender(log, SystemClock())
        return await asyncio.gather(*map(appender.append, records), return_exceptions=True)

    return asyncio.run(all_at_once())


def test_each_caller_gets_the_position_of_its_record(log):
    records = [f"record {number}".encode() for number in range(300)]
    positions = appended(log, records)
    assert sorted(positions) == list(range(1, 301))
    stored = {entry.position: entry.data for entry in log.read()}
    assert [stored[position] for position in positions] == records
    assert log.verify().frames < 10


def test_groups_stay_below_the_size_of_a_frame(log):
    records = [bytes([number]) * (5 << 20) for number in range(7)]
    assert sorted(appended(log, records)) == list(range(1, 8))
    assert log.verify().frames >= 3


def test_everyone_in_a_group_that_failed_is_told_and_later_ones_go_on(log, monkeypatch):
    append, calls = type(log).append, []

    def refusing(self, records, time_us):
        calls.append(len(records))
        if len(calls) == 1:
            raise LogFailed("the disk said no", path="x")
        return append(self, records, time_us)

    monkeypatch.setattr(type(log), "append", refusing)

    async def two_waves():
        appender = GroupAppender(log, SystemClock())
        first = await asyncio.gather(*[appender.append(b"a") for _ in range(3)], return_exceptions=True)
        return first, await appender.append(b"b")

    first, second = asyncio.run(two_waves())
    assert [type(error) for error in first] == [LogFailed] * 3
    assert len({id(error) for error in first}) == 3
    assert second == 1


def test_a_record_that_is_too_large_hurts_only_its_own_group(log):
    async def waves():
        appender = GroupAppender(log, SystemClock())
        with pytest.raises(BatchTooLarge):
            await appender.append(bytes(17 << 20))
        return await appender.append(b"small")

    assert asyncio.run(waves()) == 1


def test_a_cancelled_caller_leaves_the_others_alone(log):
    async def one_leaves():
        appender = GroupAppender(log, SystemClock())
        tasks = [asyncio.create_task(appender.append(bytes([number]))) for number in range(4)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = asyncio.run(one_leaves())
    assert isinstance(outcomes[2], asyncio.CancelledError)
    assert {outcomes[0], outcomes[1], outcomes[3]} <= {1, 2, 3, 4}
