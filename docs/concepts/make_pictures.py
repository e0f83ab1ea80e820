"""Draw the pictures of the concept pages: ``python docs/concepts/make_pictures.py``.

Every curve is computed by the package, through what the pages show. A test draws them again and compares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from memorygraph import (
    AgentMemory,
    DecayFunction,
    MemoryNode,
    MemoryTimeline,
    SpacedRepetitionScheduler,
    SpreadingActivation,
    SpreadingConfig,
    WorkingMemoryBuffer,
)
from memorygraph.projections.base_level import base_level

HERE: Final = Path(__file__).parent
DAY_S: Final = 86_400.0
DAY_US: Final = 86_400_000_000
WEEK_H: Final = 168.0
COLOURS: Final = ("#1f6f8b", "#c8553d", "#6a994e", "#7b5ea7", "#b08900")
WIDTH: Final = 680
HEIGHT: Final = 300
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 18, 42
POINTS: Final = 160


class Line(NamedTuple):
    """A labelled curve."""

    label: str
    points: list[tuple[float, float]]


class Axis(NamedTuple):
    """A name, its ends and its ticks."""

    name: str
    low: float
    high: float
    ticks: tuple[float, ...]


def chart(lines: Sequence[Line], x_axis: Axis, y_axis: Axis) -> str:
    """Return an SVG of curves over two axes."""

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_axis.low) / (x_axis.high - x_axis.low)
        up = (y - y_axis.low) / (y_axis.high - y_axis.low)
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1),
        )

    left, bottom = at(x_axis.low, y_axis.low)
    right, top = at(x_axis.high, y_axis.high)
    parts = []
    for tick in y_axis.ticks:
        _, y = at(x_axis.low, tick)
        parts.append(f'<line x1="{left}" y1="{y}" x2="{right}" y2="{y}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for tick in x_axis.ticks:
        x, _ = at(tick, y_axis.low)
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#555555"/>')
    parts.append(f'<text x="{(left + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_axis.name)}</text>')
    middle = (top + bottom) / 2
    turned = f'transform="rotate(-90 14 {middle})"'
    parts.append(f'<text x="14" y="{middle}" text-anchor="middle" {turned}>{escape(y_axis.name)}</text>')
    for place, line in enumerate(lines):
        colour = COLOURS[place % len(COLOURS)]
        path = " ".join(f"{x},{y}" for x, y in (at(*point) for point in line.points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = TOP + 14 + 20 * place
        parts.append(
            f'<line x1="{right + 12}" y1="{y}" x2="{right + 32}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{right + 38}" y="{y + 4}">{escape(line.label)}</text>')
    return framed(parts, WIDTH, HEIGHT)


def framed(parts: Sequence[str], width: int, height: int) -> str:
    """Return an SVG of these elements on white."""
    size = f'viewBox="0 0 {width} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#ffffff"/>', *parts, "</svg>", ""])


def forgetting() -> str:
    """The retention curves of a memory with a stability of a week."""
    lines = []
    for function in DecayFunction:
        node = MemoryNode(function.value, decay_function=function, decay_rate=WEEK_H)
        days = [30 * n / POINTS for n in range(POINTS + 1)]
        lines.append(Line(function.value, [(day, node.retention(day * DAY_S)) for day in days]))
    return chart(lines[:5], Axis("days since the last access", 0, 30, (0, 7, 14, 21, 28)), _share("retention"))


def review() -> str:
    """Retention between reviews that each come when they are due, and what happens when one fails."""
    lines = []
    for label, model in (("FSRS-4.5", "fsrs"), ("SM-2", "sm2")):
        scheduler = SpacedRepetitionScheduler(model)
        at, points = 0.0, []
        entry = scheduler.register_node("x", 0.6, at=at)
        grades = iter((0.6, 0.6, 0.1, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6))
        while at < 120 * DAY_S:
            end = entry.due_at
            points += [(when / DAY_S, entry.retention(when)) for when in _between(at, end, 24) if when <= 120 * DAY_S]
            at = end
            entry = scheduler.record_review("x", next(grades), at=at)
        lines.append(Line(label, points))
    axis = Axis("retention", 0.88, 1.0, (0.88, 0.9, 0.92, 0.94, 0.96, 0.98, 1.0))
    return chart(lines, Axis("days since registering; the third review fails", 0, 120, tuple(range(0, 121, 20))), axis)


def activation() -> str:
    """ACT-R's activation of a memory that is recalled three times in a row, and of one recalled at intervals."""
    lines = []
    for label, recalls in (("never recalled", ()), ("days 1, 2, 3", (1, 2, 3)), ("days 5, 15, 25", (5, 15, 25))):
        days = [0.05 + 40 * n / POINTS for n in range(POINTS + 1)]
        lines.append(Line(label, [(day, _base_level(day, recalls)) for day in days]))
    y_axis = Axis("base-level activation", -8, -3, (-8, -7, -6, -5, -4, -3))
    return chart(lines, Axis("days since it was recorded", 0, 40, (0, 10, 20, 30, 40)), y_axis)


def working_memory() -> str:
    """Four items of a working memory: fading, crowded out, and rehearsed."""
    clock = _Seconds()
    buffer = WorkingMemoryBuffer(slot_capacities={"episodic": 3}, clock=clock)
    names = ("tea", "coffee", "keys", "door")
    vectors = ([1.0, 0.1], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.2])
    nodes = {
        name: MemoryNode(name, node_id=name, embedding=vector) for name, vector in zip(names, vectors, strict=True)
    }
    curves: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    events: dict[int, Callable[[], object]] = {
        0: lambda: buffer.push(nodes["tea"]),
        8: lambda: buffer.push(nodes["coffee"]),
        16: lambda: buffer.push(nodes["keys"]),
        24: lambda: buffer.get("tea"),
        32: lambda: buffer.push(nodes["door"]),
    }
    for second in range(61):
        clock.now_s = second
        if second in events:
            events[second]()
        buffer.tick()
        for item in buffer:
            curves[item.node.id].append((second, item.activation))
    lines = [Line(name, points) for name, points in curves.items()]
    return chart(lines, Axis("seconds", 0, 60, (0, 8, 16, 24, 32, 40, 50, 60)), _share("activation"))


PLACES: Final = {
    "launch": (90, 130),
    "audit": (240, 60),
    "login form": (400, 60),
    "password rule": (560, 60),
    "budget": (240, 200),
    "venue": (400, 200),
    "catering": (560, 200),
}
LINKS: Final = (
    ("launch", "audit", 0.9),
    ("audit", "login form", 0.9),
    ("login form", "password rule", 0.8),
    ("launch", "budget", 0.8),
    ("budget", "venue", 0.5),
    ("venue", "catering", 0.9),
)


def spreading() -> str:
    """A small graph, each node as large and dark as it is active when "launch" comes to mind."""
    with AgentMemory(auto_associate=False) as memory:
        for name in PLACES:
            memory.remember(name, importance=1.0, node_id=name)
        for source, target, weight in LINKS:
            memory.link(source, target, weight=weight, directed=False)
        config = SpreadingConfig(use_node_importance=False, use_temporal_boost=False)
        found = {one.node_id: one.activation for one in SpreadingActivation(memory.graph, config).spread(["launch"])}
    found["launch"] = 1.0
    parts = []
    for source, target, weight in LINKS:
        (x1, y1), (x2, y2) = PLACES[source], PLACES[target]
        parts.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#bbbbbb" stroke-width="{4 * weight:.1f}"/>'
        )
        parts.append(
            f'<text x="{(x1 + x2) / 2}" y="{(y1 + y2) / 2 - 6}" text-anchor="middle" fill="#777777">{weight}</text>'
        )
    for name, (x, y) in PLACES.items():
        active = found.get(name, 0.0)
        radius = 8 + 22 * math.sqrt(active)
        parts.append(f'<circle cx="{x}" cy="{y}" r="{radius:.1f}" fill="#ffffff"/>')
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="{radius:.1f}" fill="#c8553d" fill-opacity="{0.15 + 0.85 * active:.2f}"/>'
        )
        parts.append(f'<text x="{x}" y="{y + radius + 14:.1f}" text-anchor="middle">{name} {active:.2f}</text>')
    return framed(parts, WIDTH, 260)


def timeline() -> str:
    """A made-up project of eight weeks, busier and busier and then over, as a timeline counts it."""
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    days = [day for day in range(45) if day % 7 not in {5, 6} for _ in range(day % 4 + day // 8)]
    with AgentMemory(auto_associate=False) as memory:
        memory.remember_many(
            [{"content": f"note {n}", "occurred_at": monday + timedelta(days=day)} for n, day in enumerate(days)]
        )
        found = {name: MemoryTimeline(memory).histogram(name) for name in ("day", "week")}
    lines = []
    for name, length in (("day", 1), ("week", 7)):
        counts = {(datetime.fromisoformat(one["iso"]) - monday).days: one["count"] for one in found[name]}
        steps = [(end, counts.get(day, 0)) for day in range(0, 56, length) for end in (day, day + length)]
        lines.append(Line(f'bucket="{name}"', steps))
    y_axis = Axis("memories", 0, 40, (0, 10, 20, 30, 40))
    return chart(lines, Axis("days; each count is drawn over its stretch", 0, 56, tuple(range(0, 57, 7))), y_axis)


PICTURES: Final[dict[str, Callable[[], str]]] = {
    "activation": activation,
    "forgetting": forgetting,
    "review": review,
    "spreading": spreading,
    "timeline": timeline,
    "working-memory": working_memory,
}


class _Seconds:
    """A clock that is told the time."""

    notes = ()
    now_s = 0

    def now_us(self) -> int:
        """Return it in microseconds."""
        return self.now_s * 1_000_000


def _between(start: float, end: float, count: int) -> list[float]:
    return [start + (end - start) * n / count for n in range(count + 1)]


def _share(name: str) -> Axis:
    return Axis(name, 0.0, 1.0, (0, 0.25, 0.5, 0.75, 1))


def _base_level(day: float, recalls: Sequence[int]) -> float:
    """What ``node.activation_score`` says of a memory of no feeling, without waiting for days to pass."""
    times_us = [recall * DAY_US for recall in recalls if recall < day]
    return base_level(0, times_us, len(times_us), round(day * DAY_US))


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (HERE / f"{name}.svg").write_text(draw(), encoding="utf-8")
