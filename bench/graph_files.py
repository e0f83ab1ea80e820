"""Graphs in SQLite files: save and load, beside the older package."""

from __future__ import annotations

import tempfile
from statistics import median

from bench.goals import Row
from bench.sections import Scale, keys_of
from bench.sessions import OURS, PEER, Sessions
from bench.walk_work import EDGES_PER_NODE

BIG_DIM = 768


def files(sessions: Sessions, scale: Scale) -> list[Row]:
    """Save and load at the size that the older package can load, and load a big file of long vectors."""
    keys = keys_of(sessions, (scale.large,), (scale.large,))
    taken = {}
    for (package, _), session in zip(keys, sessions.filled(keys), strict=True):
        session.ask("link", count=EDGES_PER_NODE * scale.large // 10)  # in ten batches
        with tempfile.TemporaryDirectory(prefix="memorygraph-bench-") as folder:
            taken[package] = session.ask("files", folder=folder, passes=3 if package == OURS else 1)
    size = f"{scale.large:,} nodes, {EDGES_PER_NODE * scale.large:,} edges"
    session = sessions.fresh(OURS)
    try:
        with tempfile.TemporaryDirectory(prefix="memorygraph-bench-") as folder:
            big = session.ask("big_file", folder=folder, nodes=scale.huge, dim=BIG_DIM)
    finally:
        session.close()
    name = f"SQLite, {scale.huge:,} nodes with vectors of {BIG_DIM}"
    return [
        *[
            Row(
                section="files",
                name=f"SQLite, {size}: {what}",
                unit="s",
                ours=median(taken[OURS][what]),
                peer=median(taken[PEER][what]) if PEER in taken else None,
                goal=f"sqlite-{what}",
            )
            for what in ("save", "load")
        ],
        Row(section="files", name=f"{name}: save", unit="s", ours=big["save"]),
        Row(section="files", name=f"{name}: load", unit="s", ours=big["load"], goal="sqlite-big"),
    ]
