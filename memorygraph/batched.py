"""``Batched``: the part of a memory that answers several questions in one call."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, Self, Unpack

from memorygraph import checks
from memorygraph.actors.engine import Engine
from memorygraph.actors.recall_many import RecallMany
from memorygraph.embeddings import Embedder, HashingEmbedder, embed_batch, space_of
from memorygraph.events.errors import InputError
from memorygraph.events.records import SpaceDeclared
from memorygraph.events.types import Limits
from memorygraph.evidence import Evidence
from memorygraph.filtering import FilterFields, filters_of
from memorygraph.hits import Hits, hit_of
from memorygraph.home import Home
from memorygraph.hooks import Hooking
from memorygraph.projections.hit_columns import hits_in
from memorygraph.projections.profiles import PROFILES, RELEVANCE
from memorygraph.projections.window import Window
from memorygraph.times import TimeLike

QUESTIONS_MAX: Final = 1_000


class Batched(Hooking, Evidence):
    """Several questions in one call."""

    _engine: Engine
    _home: Home
    _limits: Limits
    embedder: Any

    def at(self, when: int | datetime) -> Self:
        """Return the memory as it was."""
        raise NotImplementedError

    def _window(self, text: str | None, asked_at: TimeLike | None) -> Window | None:
        raise NotImplementedError

    def recall_many(
        self,
        queries: Iterable[Any],
        k: int = 5,
        *,
        threshold: float = 0.0,
        reinforce: bool = True,
        as_of: int | datetime | None = None,
        asked_at: TimeLike | None = None,
        record: str | None = None,
        profile: str = RELEVANCE,
        **filters: Unpack[FilterFields],
    ) -> list[Hits]:
        """Return for each question what ``recall`` gives, all at one position.

        Quicker than one by one: texts are embedded together, vectors are compared as one product, and what several
        questions find is sent once. A memory that answers several of the questions counts as recalled once.

        Args:
            queries: texts or vectors of shape (dim,), at most 1,000.
            k, threshold, reinforce, as_of, asked_at, record, profile, filters: as in ``recall``, the same for all.

        Raises:
            InputError: a value that cannot be used.
            StoreError: an audited recall could not be recorded; it gives nothing.
        """
        if as_of is not None:
            past = self.at(as_of)
            return past.recall_many(
                queries, k, threshold=threshold, reinforce=reinforce, asked_at=asked_at, record=record, profile=profile,
                **filters,
            )  # fmt: skip
        given = list(checks.several("queries", queries))
        if len(given) > QUESTIONS_MAX:
            raise InputError(f"{len(given)} questions are more than {QUESTIONS_MAX}; ask them in several calls")
        way = self._way(record)
        texts, vectors, space = self._questions(given)
        asked = RecallMany(
            texts=texts,
            vectors=vectors,
            windows=tuple([self._window(text, asked_at) for text in texts]),
            k=checks.count("k", k, 1, self._limits.k_max),
            threshold=checks.number("threshold", threshold, 0.0, math.inf),
            filters=filters_of(filters, self._limits),
            space=space,
            profile=checks.one_of("profile", profile, PROFILES),
            now_us=self._home.clock.now_us(),
        )
        answer = self._engine.ask(asked)
        found = [Hits(map(hit_of, hits), answer.position) for hits in hits_in(answer.value)]
        every = [hit for hits in found for hit in hits]
        matched = dict.fromkeys(hit.node_id for hit in every if reinforce and hit.score > 0)
        self._note(way, list(dict.fromkeys(hit.node_id for hit in every)), list(matched))
        for text, hits in zip(texts, found, strict=True):
            self.hooks.emit("recall", query=text, hits=hits)
        return found

    def _questions(self, queries: list[Any]) -> tuple[tuple[str | None, ...], tuple[bytes, ...], SpaceDeclared | None]:
        """Return what to ask with: texts, vectors, and the vectors' space."""
        texts: list[str | None] = []
        vectors: list[bytes] = []
        for query in queries:
            if isinstance(query, str) and not query.strip():
                raise InputError("a question is empty; ask with texts or vectors")
            texts.append(checks.content(query, self._limits) if isinstance(query, str) else None)
            vectors.append(b"" if isinstance(query, str) else checks.question(query))
        embedder: Embedder | None = self.embedder
        asked = [text for text in texts if text is not None]
        if embedder is None or isinstance(embedder, HashingEmbedder) or not asked:  # hashing knows no meaning
            return tuple(texts), tuple(vectors), None
        made = iter(embed_batch(embedder, asked))
        vectors = [vector if text is None else next(made) for text, vector in zip(texts, vectors, strict=True)]
        return tuple(texts), tuple(vectors), space_of(embedder)
