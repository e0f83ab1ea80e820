"""``Reembedding``: changing the embedder of a memory (decision 0009)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Final

from memorygraph import checks
from memorygraph.actors.commands import (
    ActivateSpace,
    AddVectors,
    Associate,
    BornUpTo,
    DeclareSpace,
    Describe,
    Description,
    Missing,
    MissingVectors,
    RenewLinks,
)
from memorygraph.actors.engine import Engine
from memorygraph.actors.spaces import same_space
from memorygraph.embeddings import Embedder, embed_batch, space_of
from memorygraph.events.errors import ExpectationFailed, TransactionConflict
from memorygraph.events.records import SpaceActivated
from memorygraph.home import Home

BATCH: Final = 256  # texts embedded and recorded at once
LINKS_BATCH: Final = 512  # memories whose links are renewed at once

Progress = Callable[[str, int, int], None]


class Reembedding:
    """The part of ``AgentMemory`` that changes its embedder."""

    _engine: Engine
    _home: Home
    _auto_associate: bool
    _policy: Associate

    def reembed(self, embedder: Embedder, *, batch: int = BATCH, progress: Progress | None = None) -> int:
        """Change the embedder: give every memory a vector of the new one, then use it; return how many it embedded.

        The new vectors are recorded beside the old ones, which recall goes on with, also in other processes, until
        every memory with a text has its new one; what is remembered or revised meanwhile is caught up. Then all change
        at one position, and the links that came from similarity are made anew where the memory makes such links
        (``auto_associate``): all undirected links SIMILARITY from a newer to an older memory; make a link of your own
        that is to stay directed, or of another type. Views of the past keep the vectors they had. Memories without a
        text lose their vector.

        If it is interrupted, call it again with the same embedder: it goes on where it was. Who else has the memory
        open must open it again with the new embedder; until then asking raises ``EmbedderMismatch``.

        Args:
            batch: how many texts are embedded at once, 1..1000.
            progress: called with ("vectors" or "links", done, total).

        Raises:
            EmbedderFailed: it could not make vectors; those made until then are kept.
            StoreError: it could not be written.
        """
        space = space_of(embedder)
        checks.count("batch", batch, 1, 1000)
        self._home.execute(DeclareSpace(space=space))
        about: Description = self._engine.ask(Describe()).value
        target = next(one for one in (about.space, about.pending) if one is not None and same_space(one, space))
        is_new = target != about.space
        embedded = self._fill(target.space, embedder, batch, progress)
        while is_new:
            try:
                self._home.execute(ActivateSpace(space=target.space))
                break
            except (ExpectationFailed, TransactionConflict):  # something was remembered meanwhile
                embedded += self._fill(target.space, embedder, batch, progress)
        self._home.embedders.add(embedder)
        if self._auto_associate and self._policy.k:
            self._renew_links(target.space, progress)
        return embedded

    def _fill(self, space: int, embedder: Embedder, batch: int, progress: Progress | None) -> int:
        """Give every memory that has none a vector of a space."""
        done = 0
        while True:
            missing: Missing = self._engine.ask(MissingVectors(space=space, limit=batch)).value
            if not missing.nodes:
                return done
            ids, versions, texts = (list(column) for column in zip(*missing.nodes, strict=True))
            vectors = embed_batch(embedder, texts)
            self._home.execute(AddVectors(space=space, ids=ids, versions=versions, vectors=vectors))
            done += len(ids)
            if progress is not None:
                progress("vectors", done, done + missing.count - len(ids))

    def _renew_links(self, space: int, progress: Progress | None) -> None:
        """Renew the links of the memories that are older than the space's activation."""
        since = 0
        for committed in self._engine.read(1):
            for event in committed.events or ():
                if isinstance(event, SpaceActivated) and event.space == space:
                    since = committed.position
        ids: list[str] = self._engine.ask(BornUpTo(position=since)).value
        for start in count(0, LINKS_BATCH):
            some = ids[start : start + LINKS_BATCH]
            if not some:
                return
            self._home.execute(RenewLinks(ids=some, associate=self._policy))
            if progress is not None:
                progress("links", min(start + LINKS_BATCH, len(ids)), len(ids))
