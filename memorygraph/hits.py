"""What recall and reason give: hits with a score and a reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from memorygraph.events.types import MemoryType
from memorygraph.plain import plain_copy
from memorygraph.projections.hit import Hit
from memorygraph.times import to_seconds


class Why(Struct, frozen=True):
    """What a score is made of; ``str(why)`` is one line.

    ``lexical`` and ``dense`` are what words and vectors say, 0..1, None where that leg was not asked. ``turns``,
    ``session`` and ``speaker`` are the shares (0..1) of the evidence that come from the turns beside the memory, from
    its session and from who spoke; ``walk`` is the share of its activation that came over concepts and links; None
    where that had no say. ``terms`` are the question's words found in the memory, ``concepts`` the names that led to
    it. ``path`` are node ids from another memory to this one. ``window`` are the question's date words, if the memory
    lies in the time they mean. ``superseded_by`` is the id of the memory that is current where this one is not ('' for
    a current one), ``superseded_explicitly`` whether a link says so (else rules read it out of both texts);
    ``supersedes`` is the id of the memory which this one was put before.
    """

    lexical: float | None
    dense: float | None
    walk: float | None
    terms: tuple[str, ...]
    path: tuple[str, ...]
    window: str = ""
    superseded_by: str = ""
    supersedes: str = ""
    turns: float | None = None
    session: float | None = None
    speaker: float | None = None
    concepts: tuple[str, ...] = ()
    superseded_explicitly: bool = False

    def __str__(self) -> str:
        parts = []
        if self.terms:
            parts.append(f"words {', '.join(self.terms)}")
        if self.lexical is not None and self.lexical > 0:
            parts.append(f"text {self.lexical:.2f}")
        if self.dense is not None and self.dense > 0:
            parts.append(f"vector {self.dense:.2f}")
        if self.turns is not None or self.session is not None:
            parts.append(f"conversation {(self.turns or 0) + (self.session or 0):.0%}")
        if self.speaker is not None:
            parts.append(f"who spoke {self.speaker:.0%}")
        if self.window:
            parts.append(f"happened {self.window}")
        if self.walk is not None:
            parts.append(self._way())
        if self.supersedes:
            parts.append(f"current, where {self.supersedes} is not")
        if self.superseded_by:
            parts.append(f"superseded by {self.superseded_by}{'' if self.superseded_explicitly else ', by its words'}")
        return "; ".join(parts) or "no match"

    def _way(self) -> str:
        names = f" by {', '.join(self.concepts)}" if self.concepts else ""
        if len(self.path) > 1:
            steps = len(self.path) - 1
            return f"reached{names} in {steps} step{'s' if steps != 1 else ''} from {self.path[0]}"
        return f"reached{names} {self.walk:.0%}"


class MemoryHit(Struct, frozen=True):
    """A memory that was found. ``score`` is 0..1 and never rises with rank; times are Unix seconds."""

    node_id: str
    content: str
    score: float
    memory_type: MemoryType
    importance: float
    tags: list[str]
    metadata: dict[str, Any]
    occurred_at: float
    speaker: str | None
    session: str | int | None
    source: str | None
    why: Why

    @property
    def superseded_by(self) -> str | None:
        """The id of the memory that says now what this one said before; None for a current one."""
        return self.why.superseded_by or None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {
            "node_id": self.node_id,
            "content": self.content,
            "score": self.score,
            "memory_type": self.memory_type.value,
            "importance": self.importance,
            "tags": self.tags,
            "metadata": self.metadata,
            "occurred_at": self.occurred_at,
            "speaker": self.speaker,
            "session": self.session,
            "source": self.source,
            "why": {
                "lexical": self.why.lexical,
                "dense": self.why.dense,
                "walk": self.why.walk,
                "terms": list(self.why.terms),
                "path": list(self.why.path),
                "window": self.why.window,
                "superseded_by": self.why.superseded_by,
                "superseded_explicitly": self.why.superseded_explicitly,
                "supersedes": self.why.supersedes,
                "turns": self.why.turns,
                "session": self.why.session,
                "speaker": self.why.speaker,
                "concepts": list(self.why.concepts),
            },
        }


class Hits(list[MemoryHit]):
    """A list of hits, and the position that they are true at."""

    def __init__(self, hits: Iterable[MemoryHit] = (), position: int = 0) -> None:
        super().__init__(hits)
        self.position = position


def hit_of(found: Hit) -> MemoryHit:
    """Return a found memory as users see it."""
    node = found.node
    return MemoryHit(
        node.id,
        node.content,
        found.score,
        MemoryType.from_code(node.memory_type),
        node.importance,
        list(node.tags),
        plain_copy(node.metadata),
        to_seconds(node.occurred_us),
        node.speaker,
        node.session,
        node.source,
        Why(
            found.lexical,
            found.dense,
            found.walk,
            found.terms,
            found.path,
            found.window,
            found.superseded_by,
            found.supersedes,
            found.turns,
            found.session,
            found.speaker,
            found.concepts,
            found.superseded_explicitly,
        ),
    )
