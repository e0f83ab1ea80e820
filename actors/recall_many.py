"""Several questions in one: asked, looked up and answered together, in columns."""

from __future__ import annotations

from memorygraph.actors.commands import Query, Recall
from memorygraph.events.records import SpaceDeclared
from memorygraph.projections.filters import OPEN, Filters
from memorygraph.projections.profiles import RELEVANCE
from memorygraph.projections.window import Window


class RecallMany(Query, frozen=True, kw_only=True):
    """What ``Recall`` gives for each of several questions, at one position -> ``HitColumns``.

    ``texts``, ``vectors`` and ``windows`` have one item per question, or none at all; a vector is empty, a text and a
    window None where a question has none. The rest is one for all.
    """

    texts: tuple[str | None, ...] = ()
    vectors: tuple[bytes, ...] = ()
    windows: tuple[Window | None, ...] = ()
    k: int = 5
    threshold: float = 0.0
    filters: Filters = OPEN
    space: SpaceDeclared | None = None
    profile: str = RELEVANCE
    now_us: int = 0

    def questions(self) -> list[Recall]:
        """Return each question by itself."""
        count = max(len(self.texts), len(self.vectors))
        columns = (self.texts or (None,) * count, self.vectors or (b"",) * count, self.windows or (None,) * count)
        return [
            Recall(
                text=text,
                vector=vector,
                k=self.k,
                threshold=self.threshold,
                filters=self.filters,
                window=window,
                space=self.space,
                profile=self.profile,
                now_us=self.now_us,
            )
            for text, vector, window in zip(*columns, strict=True)
        ]
