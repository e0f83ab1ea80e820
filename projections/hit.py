"""A found memory, and a concept, as plain data."""

from __future__ import annotations

from msgspec import Struct

from memorygraph.projections.frame import NodeState


class Hit(Struct, frozen=True):
    """A found memory: its values, its score (0..1) and what the score is made of.

    ``lexical`` and ``dense`` are what those legs say, 0..1, None where one was not asked. ``turns``, ``session`` and
    ``speaker`` are shares (0..1) of the evidence for the memory that come from the turns beside it, from its session
    and from who spoke; ``walk`` is the share of its activation that came by concepts or links; None: it had no say.
    ``terms`` are the question's words found in the text; ``concepts`` the names that it shares with the question or
    that led to it; ``path`` are node ids from a seed to this memory. ``window`` are the question's date words, if it
    happened in the time they mean. ``superseded_by`` is the id of the memory that is current where this one is not;
    ``superseded_explicitly`` tells whether a link says so, or only the words of both. ``supersedes``, the other way
    round, is the id of the one which this hit was put before.
    """

    node: NodeState
    score: float
    lexical: float | None = None
    dense: float | None = None
    walk: float | None = None
    terms: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    window: str = ""
    superseded_by: str = ""
    supersedes: str = ""
    turns: float | None = None
    session: float | None = None
    speaker: float | None = None
    concepts: tuple[str, ...] = ()
    superseded_explicitly: bool = False


class Concept(Struct, frozen=True):
    """What memories name: its key (letters folded), the ids of the memories that name it, and of those about it."""

    name: str
    memories: tuple[str, ...]
    about: tuple[str, ...]
