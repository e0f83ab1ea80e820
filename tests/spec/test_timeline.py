"""The specification's "Memory Timeline", as written; the comments say which outcome the text states."""

from __future__ import annotations

from memorygraph import AgentMemory


def test_memory_timeline() -> None:
    mem = AgentMemory()
    for day in range(12):
        mem.remember(f"day {day}", occurred_at=f"2026-03-{day + 1:02d} 09:00")
    mem.remember("a fact", memory_type="semantic", occurred_at="2026-03-12 10:00")

    from memorygraph import MemoryTimeline

    tl = MemoryTimeline(mem.graph)
    recent = tl.recent(10)  # last 10 created memories
    histogram = tl.histogram(bucket="day")  # [{iso, count}, …] for charting
    span = tl.span()  # (earliest, latest) timestamps
    activity = tl.activity_by_type()  # {"episodic": 12, "semantic": 7, …}

    assert [event.content for event in recent[:2]] == ["a fact", "day 11"]
    assert len(recent) == 10
    assert histogram[0] == {"iso": "2026-03-01T00:00:00Z", "count": 1}
    assert histogram[-1]["count"] == 2
    assert span == (1772355600.0, 1773309600.0)
    assert activity == {"episodic": 12, "semantic": 1}
