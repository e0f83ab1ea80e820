"""What is measured side by side: this package, plain BM25, plain MiniLM, and the older package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Protocol

import numpy as np

from bench import minilm
from bench.recall_sets import DEPTH, Group
from bench.sessions import PEER, Session
from memorygraph import AgentMemory
from memorygraph.embeddings import CallableEmbedder
from memorygraph.projections.lexical import LexicalIndex
from memorygraph.projections.text import analyzer_for


@dataclass(frozen=True)
class Answers:
    """Rankings of places for each question of a group, and the time it took."""

    rankings: list[list[int]]
    query_s: list[float]
    ingest_s: float


class System(Protocol):
    """Something that remembers a group's items and ranks them for its questions."""

    def answer(self, group: Group) -> Answers:
        """Remember the items in order, ask every question."""
        ...


class Ours:
    """``recall`` or ``reason`` of this package, as a user calls it; with MiniLM, or with no embedder."""

    def __init__(self, method: str = "recall", *, python: Path | None = None) -> None:
        self._method = method
        self._python = python

    def answer(self, group: Group) -> Answers:
        """Remember, then ask; recalls are not recorded, so that no question changes the memory for the next."""
        embedder = None if self._python is None else _looked_up(group, self._python)
        places: dict[str, int] = {}
        with AgentMemory(embedder=embedder) as memory:
            start = perf_counter()
            for place, node in enumerate(memory.remember_many(drafts(group))):
                places[node.id] = place
            ingest_s = perf_counter() - start
            ask = getattr(memory, self._method)
            ask(group.questions[0].text, k=1, reinforce=False)  # makes the index
            timed = list(_timed(group, lambda text: ask(text, k=DEPTH, reinforce=False)))
        rankings = [[places[hit.node_id] for hit in hits] for hits, _ in timed]
        return Answers(rankings, [taken for _, taken in timed], ingest_s)


class Bm25:
    """The lexical leg alone."""

    def answer(self, group: Group) -> Answers:
        """Index, then ask."""
        start = perf_counter()
        index = LexicalIndex(analyzer_for("en"))
        index.add([item.said for item in group.items])
        ingest_s = perf_counter() - start
        mask = np.ones(len(group.items), np.bool_)
        statistics = index.statistics(mask)
        timed = list(_timed(group, lambda text: index.search(text, mask, statistics)))
        rankings = [found.rows[np.argsort(-found.scores, kind="stable")[:DEPTH]].tolist() for found, _ in timed]
        return Answers(rankings, [taken for _, taken in timed], ingest_s)


class Dense:
    """Flat cosine over MiniLM's vectors; the time to make them is not counted."""

    def __init__(self, python: Path) -> None:
        self._python = python

    def answer(self, group: Group) -> Answers:
        """Multiply and sort."""
        items, questions = _vectors(group, self._python)
        vector_of = dict(zip((question.text for question in group.questions), questions, strict=True))
        timed = list(_timed(group, lambda text: np.argsort(-(items @ vector_of[text]), kind="stable")[:DEPTH].tolist()))
        return Answers([found for found, _ in timed], [taken for _, taken in timed], 0.0)


class Older:
    """``recall`` or ``reason`` of the older package with its own embedder, in its own process."""

    def __init__(self, python: Path, method: str = "recall") -> None:
        self._python = python
        self._method = method

    def answer(self, group: Group) -> Answers:
        """Have the process remember and answer."""
        session = Session(PEER, self._python)
        try:
            ingest_s = session.ask("learn", texts=[item.said for item in group.items])
            asked = [question.text for question in group.questions]
            found = session.ask("answers", questions=asked, method=self._method, depth=DEPTH)
        finally:
            session.close()
        return Answers(found["rankings"], found["taken_s"], ingest_s)


def systems(peer: Path, embedder: Path) -> dict[str, System]:
    """Return what can be measured here, by name."""
    found: dict[str, System] = {"bm25": Bm25(), "recall": Ours(), "reason": Ours("reason")}
    if minilm.available(embedder):
        found |= {
            "dense": Dense(embedder),
            "recall+minilm": Ours(python=embedder),
            "reason+minilm": Ours("reason", python=embedder),
        }
    if peer.exists():
        found |= {"older recall": Older(peer), "older reason": Older(peer, "reason")}
    return {name: found[name] for name in NAMES if name in found}


NAMES: Final = (
    "older reason",
    "older recall",
    "dense",
    "bm25",
    "recall",
    "reason",
    "recall+minilm",
    "reason+minilm",
)


def drafts(group: Group) -> list[dict[str, Any]]:
    """Return a group's items as ``remember_many`` takes them."""
    return [
        {"content": item.text, "speaker": item.speaker, "session": item.session, "occurred_at": item.time}
        for item in group.items
    ]


def _timed(group: Group, ask: Any) -> Iterator[tuple[Any, float]]:
    for question in group.questions:
        start = perf_counter()
        found = ask(question.text)
        yield found, perf_counter() - start


def _vectors(group: Group, python: Path) -> tuple[minilm.Vectors, minilm.Vectors]:
    questions: Sequence[str] = [question.text for question in group.questions]
    return minilm.vectors([item.text for item in group.items], python), minilm.vectors(questions, python)


def _looked_up(group: Group, python: Path) -> CallableEmbedder:
    """MiniLM as an embedder that looks up what was embedded before: the time to embed is not ours."""
    items, questions = _vectors(group, python)
    known = dict(zip((question.text for question in group.questions), questions, strict=True))
    known |= dict(zip((item.text for item in group.items), items, strict=True))
    return CallableEmbedder(known.__getitem__, minilm.DIM, name="all-MiniLM-L6-v2")
