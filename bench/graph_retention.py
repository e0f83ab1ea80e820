"""How much is left of every memory: all at once, against one node after the other."""

from __future__ import annotations

from statistics import median

from bench.goals import Row
from bench.sections import US, Scale, rows_of
from bench.sessions import Sessions, alternate


def retention(sessions: Sessions, scale: Scale) -> list[Row]:
    """What is left of every one of many bare nodes; both packages take turns."""
    asked = [sessions.fresh(package) for package in sessions.packages]
    try:
        for session in asked:
            session.ask("fill", nodes=scale.huge, bare=True)
        samples = alternate(asked, "retain", *scale.searches)
    finally:
        for session in asked:
            session.close()
    keys = [(session.package, scale.huge) for session in asked]
    found = {key: median(kept) * US for key, kept in zip(keys, samples, strict=True)}
    return rows_of("retention", "retention of every node", found, {scale.huge: "retention"})
