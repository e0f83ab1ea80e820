"""The query that brings the indexes of a memory up to date."""

from __future__ import annotations

from memorygraph.actors.commands import Query


class CatchUp(Query, frozen=True, kw_only=True):
    """Take so many texts into the indexes that lack them -> ``tuple[int, int]``: how many these have, of how many.

    When they have all, and vectors are searched through ``faiss`` (see ``Similar``), that is made ready, too.
    """

    rows_max: int
    faiss: float = 0.0
