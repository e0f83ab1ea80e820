"""Several questions in one call: what each would get by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from memorygraph import AgentMemory
from memorygraph.actors.commands import Recall
from memorygraph.aio import AsyncAgentMemory
from memorygraph.embeddings import CallableEmbedder, HashingEmbedder
from memorygraph.events.errors import EmbeddingDimensionError, InputError
from memorygraph.projections import similarity
from memorygraph.projections.hit import Hit
from memorygraph.projections.hit_columns import columns_of, hits_in

NOTES = [
    "Alice lives in Paris.",
    "The garden of Alice is green in winter",
    "Bob plays the cello in Paris",
    "The launch is on Monday",
    "Deng wrote the report of the launch",
]
QUESTIONS = ["Where does Alice live?", "When is the launch?", "Who plays in Paris?", "nothing of this"]


def letters(text: str) -> Any:
    return np.bincount([ord(letter) % 8 for letter in text], minlength=8).astype("f4")


def plain(hits: Any) -> list[tuple[Any, ...]]:
    return [(hit.node_id, round(hit.score, 6), str(hit.why), hit.content) for hit in hits]


@pytest.fixture(params=["words", "vectors"])
def memory(request):
    embedder = None if request.param == "words" else CallableEmbedder(letters, dim=8, name="letters")
    with AgentMemory(embedder=embedder) as memory:
        memory.remember_many(NOTES)
        memory.remember("The launch was on Sunday", tags=["old"])
        yield memory


def test_each_question_gets_its_own_answer(memory) -> None:
    found = memory.recall_many(QUESTIONS, k=4, reinforce=False)
    assert [plain(hits) for hits in found] == [plain(memory.recall(text, 4, reinforce=False)) for text in QUESTIONS]
    assert {hits.position for hits in found} == {memory.position}
    assert memory.recall_many([]) == []


def test_filters_thresholds_and_the_past(memory) -> None:
    position = memory.position
    memory.remember("The launch is late", tags=["old"])
    [hits] = memory.recall_many(["launch"], tags=["old"], threshold=0.01)
    assert {hit.content for hit in hits} == {"The launch was on Sunday", "The launch is late"}
    [past] = memory.recall_many(["launch"], tags=["old"], as_of=position)
    assert [hit.content for hit in past] == ["The launch was on Sunday"]
    with memory.transaction():
        memory.remember("The launch is off")
        [seen] = memory.recall_many(["launch off"], k=1)
        assert seen[0].content == "The launch is off"


def test_vectors_and_texts_may_be_asked_together(memory) -> None:
    dim = memory.embedder.dim
    asked = ["launch", np.ones(dim, dtype="f4")]
    found = memory.recall_many(asked, reinforce=False)
    assert [plain(hits) for hits in found] == [plain(memory.recall(each, reinforce=False)) for each in asked]
    with pytest.raises(EmbeddingDimensionError):
        memory.recall_many([np.ones(3)])


def test_what_several_questions_find_is_recalled_once(memory) -> None:
    memory.recall_many(["Alice", "Alice garden"], k=1)
    memory.flush()
    counts = {node.content: node.access_count for node in memory}
    assert max(counts.values()) == 1
    memory.recall_many(["Alice", "Bob"], k=1, record="audited")
    assert list(memory.audit(action="recalled"))[-1].position == memory.position
    heard: list[Any] = []
    memory.hooks.on("recall", heard.append)
    memory.recall_many(["Alice", "Bob"])
    assert [event["query"] for event in heard] == ["Alice", "Bob"]


@pytest.mark.parametrize("queries", ["one text", [""], ["x"] * 1001, [None]])
def test_what_cannot_be_asked(memory, queries) -> None:
    with pytest.raises(InputError):
        memory.recall_many(queries)


def test_awaited() -> None:
    async def ask() -> Any:
        memory = AsyncAgentMemory()
        await memory.remember("The launch is on Monday")
        return await memory.recall_many(["launch", "Monday"], k=1)

    assert [[hit.content for hit in hits] for hits in asyncio.run(ask())] == [["The launch is on Monday"]] * 2


def test_vectors_are_one_product(memory, monkeypatch) -> None:
    shapes = []
    products = similarity.products

    def counted(vectors: Any, units: Any) -> Any:
        shapes.append(units.shape)
        return products(vectors, units)

    monkeypatch.setattr(similarity, "products", counted)
    memory.recall_many(QUESTIONS)
    assert shapes == ([] if isinstance(memory.embedder, HashingEmbedder) else [(4, 8)])
    monkeypatch.setattr(similarity, "BATCH_CELLS_MAX", 1)
    before = [plain(memory.recall(text, reinforce=False)) for text in QUESTIONS]
    assert [plain(hits) for hits in memory.recall_many(QUESTIONS, reinforce=False)] == before


def test_hits_come_out_of_columns_as_they_went_in(memory) -> None:
    nodes = [hit.node for hit in _hits(memory)]
    hits = [
        [Hit(nodes[0], 0.5, lexical=0.25, terms=("a",)), Hit(nodes[1], 0.1, walk=1.0, window="May")],
        [],
        _hits(memory),
    ]
    columns = columns_of(hits)
    assert hits_in(columns) == hits
    assert len(columns.nodes) == len({hit.node.id for some in hits for hit in some})
    assert hits_in(columns_of([])) == []
    assert hits_in(columns_of([[]])) == [[]]


def test_no_part_of_a_hit_is_left_out(memory) -> None:
    [node] = [hit.node for hit in _hits(memory)][:1]
    kinds = {"float | None": 0.5, "tuple[str, ...]": ("x",), "str": "y", "bool": True}
    fields = {name: kinds[kind] for name, kind in Hit.__annotations__.items() if name not in {"node", "score"}}
    hit = Hit(node, 0.25, **fields)
    assert hits_in(columns_of([[hit]])) == [[hit]]


def _hits(memory: AgentMemory) -> list[Hit]:
    found: list[Hit] = memory._engine.ask(Recall(text="Alice in Paris at the launch", k=6)).value
    return found
