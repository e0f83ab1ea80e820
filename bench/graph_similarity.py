"""Similarity search: beside the older package, and against the bare product of matrix and vector."""

from __future__ import annotations

from statistics import median
from typing import Final

from bench.goals import Row
from bench.own_search import BATCH, SHARES, K
from bench.sections import US, Scale, medians_us, rows_of
from bench.sessions import OURS, Sessions

ROUNDS: Final = 30


def similarity(sessions: Sessions, scale: Scale) -> list[Row]:
    """Exact search: the older package's at two sizes; the physical limit, filters and batches at the largest."""
    sizes = (scale.middle, scale.large)
    beside = medians_us(sessions, "similar", sizes, sizes, scale.searches)
    session = sessions.fresh(OURS)
    try:
        taken = session.ask("similar_turns", nodes=scale.huge, rounds=ROUNDS if scale.huge > scale.large * 2 else 3)
    finally:
        session.close()
    middle = {name: median(samples) for name, samples in taken.items()}
    share, worst = max(((share, middle[f"{share}"] / middle["graph"]) for share in SHARES), key=lambda pair: pair[1])
    what = f"similarity_search, k={K}, {scale.huge:,} nodes"
    return [
        *rows_of(
            "similarity",
            "similarity_search, k=20",
            beside,
            {scale.middle: "similar-middle", scale.large: "similar-large"},
        ),
        Row(section="similarity", name=what, unit="us", ours=middle["graph"] * US),
        _row(f"{what}, against the bare product", middle["graph"] / middle["bare"], "similar-limit"),
        _row(f"{what}, filtered, the slowest (passes {share:g} of the nodes), against unfiltered", worst, "filtered"),
        _row(f"{what}, {BATCH} queries in one call, per query", middle["single"] / middle["batch"], "similar-batch"),
        _row(f"{what}, use_faiss (half precision first), against exact", middle["faiss"] / middle["single"], None),
    ]


def _row(name: str, value: float, goal: str | None) -> Row:
    return Row(section="similarity", name=name, unit="x", ours=value, goal=goal)
