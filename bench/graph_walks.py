"""Walks over a scale-free graph of degree 10: activation, breadth first search, cheapest paths, components."""

from __future__ import annotations

from typing import Final

from bench.goals import Row
from bench.sections import Scale, Section, medians_us, rows_of
from bench.sessions import OURS, Sessions

WALKS: Final = (6, 4)  # rounds, walks in each
PASSES: Final = 2


def spread(sessions: Sessions, scale: Scale) -> list[Row]:
    """Activation four edges deep, the best twenty looked at; the older package expands 500 nodes, or all."""
    sizes = (scale.middle, scale.large)
    default = medians_us(sessions, "spread", sizes, sizes, WALKS, "grow")
    whole = medians_us(sessions, "spread_whole", sizes, sizes, WALKS, "grow")
    return [
        *rows_of("spread", "spread, beside its default", default, {scale.middle: "spread-default"}),
        *rows_of("spread", "spread, beside its unlimited run", whole, {scale.middle: "spread-whole"}),
    ]


def bfs(sessions: Sessions, scale: Scale) -> list[Row]:
    """All that is three edges away; ours makes nodes when they are looked at, here they are counted."""
    sizes = (scale.middle, scale.large)
    taken = medians_us(sessions, "bfs", sizes, sizes, WALKS, "grow")
    return rows_of("bfs", "bfs, depth 3", taken, {scale.middle: "bfs"})


def path(sessions: Sessions, scale: Scale) -> list[Row]:
    """The cheapest path between two nodes drawn evenly."""
    sizes = (scale.middle, scale.large)
    taken = medians_us(sessions, "path", sizes, sizes, WALKS, "grow")
    return rows_of("path", "shortest_path", taken, {scale.large: "path"})


def components(sessions: Sessions, scale: Scale) -> list[Row]:
    """Strongly connected components; the older package fails on a chain of some thousand nodes."""
    session = sessions.fresh(OURS)
    try:
        session.ask("grow", nodes=scale.vast)
        taken = session.ask("components", passes=PASSES)
    finally:
        session.close()
    goals = {"python": "components", "compiled": "components-compiled"}
    return [
        Row(
            section="components",
            name=f"strongly connected components of {scale.vast:,} nodes, {'with' if compiled else 'without'} SciPy",
            unit="s",
            ours=min(taken[name]),
            goal=goals[name],
        )
        for name, compiled in (("python", False), ("compiled", True))
        if name in taken
    ]


SECTIONS: Final[dict[str, Section]] = {"spread": spread, "bfs": bfs, "path": path, "components": components}
