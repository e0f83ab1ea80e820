"""``MemoryTimeline`` against a plain loop over the memories."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph import AgentMemory, MemoryTimeline
from memorygraph.events.errors import InputError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = st.integers(-(10**6), 1_790_000_000).map(lambda seconds: EPOCH + timedelta(seconds=seconds))


def start_of(time: datetime, bucket: str) -> datetime:
    day = time.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "minute": time.replace(second=0, microsecond=0),
        "hour": time.replace(minute=0, second=0, microsecond=0),
        "day": day,
        "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
    }[bucket]


@settings(max_examples=40, deadline=None)
@given(st.lists(TIMES, max_size=12), st.sampled_from(["minute", "hour", "day", "week", "month"]))
def test_buckets_are_those_of_the_calendar(times: list[datetime], bucket: str) -> None:
    memory = AgentMemory(auto_associate=False)
    memory.remember_many([{"content": "x", "occurred_at": time} for time in times])
    timeline = MemoryTimeline(memory)
    expected = Counter(start_of(time, bucket) for time in times)
    found = timeline.histogram(bucket)
    assert [(datetime.fromisoformat(one["iso"]), one["count"]) for one in found] == sorted(expected.items())
    assert [event.time for event in timeline.events("created")] == sorted(time.timestamp() for time in times)
    assert timeline.span() == ((min(times).timestamp(), max(times).timestamp()) if times else None)
    busiest = timeline.busiest_bucket(bucket)
    assert (None if busiest is None else busiest["count"]) == max(expected.values(), default=None)


def test_recalls_are_on_the_timeline_too() -> None:
    memory = AgentMemory()
    first = memory.remember("rain in the harbour", occurred_at="2026-01-01")
    second = memory.remember("lemons", occurred_at="2026-01-02")
    memory.recall("harbour", k=1)
    memory.flush()
    timeline = MemoryTimeline(memory.graph)
    assert [(event.node_id, event.kind) for event in timeline.events()] == [
        (first.id, "created"),
        (second.id, "created"),
        (first.id, "accessed"),
    ]
    assert [event.node_id for event in timeline.recent(1, kind="accessed")] == [first.id]
    assert [event.content for event in timeline.events("created", start="2026-01-02", end="2026-01-03")] == ["lemons"]
    assert timeline.to_dict()["histogram"] == timeline.histogram()
    assert timeline.events()[0].to_dict()["iso"] == "2026-01-01T00:00:00Z"
    assert len(MemoryTimeline(memory.at(2))) == 1
    with pytest.raises(InputError):
        timeline.histogram("fortnight")
    with pytest.raises(InputError):
        timeline.events("remembered")


def test_an_empty_memory_has_no_span() -> None:
    timeline = MemoryTimeline(AgentMemory())
    assert (timeline.span(), timeline.recent(), timeline.histogram(), timeline.busiest_bucket()) == (None, [], [], None)
