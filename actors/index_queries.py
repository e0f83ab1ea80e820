"""The query that brings the indexes of a memory up to date."""

from __future__ import annotations

from memorygraph.actors.commands import Query


class CatchUp(Query, frozen=True, kw_only=True):
    """Take so many texts into the indexes that lack them -> ``tuple[int, int]``: how many these have, of how many."""

    rows_max: int
