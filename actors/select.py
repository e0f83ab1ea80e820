"""What a chain of conditions asks for (``memorygraph/query.py``)."""

from __future__ import annotations

from typing import Literal

from memorygraph.actors.commands import Query
from memorygraph.projections.selecting import Order, Selection


class Select(Query, frozen=True, kw_only=True):
    """The memories that pass every condition -> ``list[NodeState]``, ``list[str]`` (ids) or ``int``, as ``give`` says.

    With a ``vector`` they come by cosine with it, best first, from ``threshold`` on, else in ``order`` (None: oldest
    first).
    """

    selection: Selection = Selection()
    order: Order | None = None
    offset: int = 0
    limit: int | None = None
    vector: bytes = b""
    threshold: float = -1.0
    now_us: int = 0
    give: Literal["nodes", "ids", "count"] = "nodes"
