"""What a run says: a table, a JSON file, a picture."""

from __future__ import annotations

import math
import os
import platform
from collections import Counter
from typing import Any, Final
from xml.sax.saxutils import escape

from bench.goals import BY_KEY, FAILED, NOT_MEASURED, PASSED, Row
from bench.sessions import BLAS_THREADS, OURS, PEER, Sessions

_BAR: Final = 16  # pixels
_STEP: Final = 34
_NAMES: Final = 470
_WIDTH: Final = 1060
_PLOT: Final = 420
_MARGIN_MAX: Final = 1000.0  # a goal of 0 that is met would be better without end
_COLOURS: Final = {PASSED: "#2a7f62", FAILED: "#c0392b"}


def machine(sessions: Sessions) -> dict[str, Any]:
    """Return what the figures depend on, by asking a process of each package."""
    facts: dict[str, Any] = {"system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count()}
    facts["blas_threads"] = int(BLAS_THREADS)
    for package in (OURS, PEER):
        facts[package] = None
        if package in sessions.packages:
            session = sessions.fresh(package)
            session.close()
            facts[package] = {name: value for name, value in session.about.items() if name != "file"}
    return facts


def machine_line(facts: dict[str, Any]) -> str:
    """Return the machine in one line."""
    ours = facts[OURS]
    return (
        f"{facts['system']}, {facts['cores']} cores; Python {ours['python']}, NumPy {ours['numpy']}, "
        f"BLAS {ours['blas']} on {facts['blas_threads']} thread"
    )


def figure(value: float, unit: str) -> str:
    """Return a value for reading: three digits, or thousands."""
    shown = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{shown}x" if unit == "x" else f"{shown} {unit}"


def goal_text(row: Row) -> str:
    """Return a row's goal for reading, or nothing."""
    if row.goal is None:
        return ""
    goal = BY_KEY[row.goal]
    return f"{'>=' if goal.at_least else '<='} {figure(goal.limit, goal.unit)}"


def table(rows: list[Row]) -> str:
    """Return the rows as text, one line each, sections set apart."""
    cells = [("measured", "ours", "peer", "peer/ours", "goal", "verdict")]
    cells += [
        (
            f"{row.section}: {row.name}",
            figure(row.ours, row.unit),
            "" if row.peer is None else figure(row.peer, row.unit),
            "" if row.ratio is None else figure(row.ratio, "x"),
            goal_text(row),
            row.verdict or "",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))]
        ).rstrip()
        for line in cells
    )


def summary(rows: list[Row]) -> str:
    """Return how many goals hold."""
    found = Counter(row.verdict for row in rows if row.goal is not None)
    return f"{found.total()} goals: {found[PASSED]} pass, {found[FAILED]} FAIL, {found[NOT_MEASURED]} not measured"


def document(rows: list[Row], facts: dict[str, Any], *, quick: bool, took_s: float) -> dict[str, Any]:
    """Return the run as plain data."""
    return {"machine": facts, "quick": quick, "took_s": round(took_s, 1), "rows": [plain(row) for row in rows]}


def picture(rows: list[Row], caption: str) -> str:
    """Return an SVG: a bar per measured goal, how many times better than the goal it is, on a logarithmic scale."""
    bars = [
        (row, margin)
        for row in rows
        if row.goal is not None and row.value is not None
        for margin in [max(min(BY_KEY[row.goal].margin(row.value), _MARGIN_MAX), 1 / _MARGIN_MAX)]
        if math.isfinite(margin)
    ]
    low = min([-0.5, *(math.floor(math.log10(margin)) for _, margin in bars)])
    high = max([1.0, *(math.ceil(math.log10(margin)) for _, margin in bars)])
    goal_x = _x(1.0, low, high)
    height = 70 + _STEP * len(bars)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
            '<g font-family="sans-serif" font-size="12">',
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="12" y="20" font-size="11" fill="#555555">{escape(caption)}</text>',
            f'<line x1="{goal_x}" y1="42" x2="{goal_x}" y2="{height - 10}" stroke="#333333" stroke-dasharray="4 3"/>',
            f'<text x="{goal_x}" y="38" text-anchor="middle">goal</text>',
            *(line for place, bar in enumerate(bars) for line in _bar(*bar, place, low, high)),
            "</g></svg>",
            "",
        ]
    )


def _bar(row: Row, margin: float, place: int, low: float, high: float) -> list[str]:
    y = 52 + _STEP * place
    start, end = sorted((_x(1.0, low, high), _x(margin, low, high)))
    width = max(end - start, 1.0)
    colour = _COLOURS[row.verdict or FAILED]
    said = f"{figure(row.value or 0.0, BY_KEY[row.goal or ''].unit)} ({goal_text(row)}) {row.verdict}"
    return [
        f'<text x="{_NAMES - 10}" y="{y + 12}" text-anchor="end">{escape(row.name)}</text>',
        f'<rect x="{start}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>',
        f'<text x="{end + 6:.1f}" y="{y + 12}" fill="#555555">{escape(said)}</text>',
    ]


def _x(margin: float, low: float, high: float) -> float:
    return round(_NAMES + _PLOT * (math.log10(margin) - low) / (high - low), 1)


def plain(row: Row) -> dict[str, Any]:
    """Return a row as plain data."""
    goal = None if row.goal is None else BY_KEY[row.goal]
    return {
        "section": row.section,
        "name": row.name,
        "unit": row.unit,
        "ours": row.ours,
        "peer": row.peer,
        "ratio": row.ratio,
        "goal": row.goal,
        "limit": None if goal is None else goal.limit,
        "at_least": None if goal is None else goal.at_least,
        "value": row.value,
        "verdict": row.verdict,
    }
