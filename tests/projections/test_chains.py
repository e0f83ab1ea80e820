"""Chains: the second memory is found by what it adds to the first, over a name that both have."""

from __future__ import annotations

import pytest

from memorygraph.events import records as ev
from memorygraph.projections import reasoning
from memorygraph.projections.graph import GraphState
from memorygraph.projections.recall import RecallIndex

TEXTS = (
    "The Long Night\nA film directed by Greta Holm and written by Per Dahl.",
    "Greta Holm won a medal for rowing, said the radio",
    "Per Dahl\nA writer.",
    "a medal is made of gold, and a second one of silver",
    "Per Dahl lives on an island",
    "Greta Holm has a dog",
    "we had soup for lunch",
    "the bus was late again",
    "a quiet day",
)
ASKED = "Which medal did the director of the film The Long Night win?"


def scores() -> dict[str, float]:
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id=f"n{at}", content=content) for at, content in enumerate(TEXTS)])
    hits = RecallIndex("en").reason(state.publish(), ASKED, None, k=20, hops=2, seed_k=1)
    return {hit.node.id: hit.score for hit in hits}


def what_completes_the_answer_gains(without: dict[str, float]) -> None:
    found = scores()
    assert found["n0"] == max(found.values()) == without["n0"]
    assert found["n1"] / found["n5"] > 1.02 * without["n1"] / without["n5"]  # n5 shares the name and adds nothing
    assert found["n2"] < without["n2"]


def test_what_completes_the_answer_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasoning, "BRIDGED", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(reasoning, "CHAINED", 0.0)
        without = scores()
        with pytest.raises(AssertionError):
            what_completes_the_answer_gains(without)
    what_completes_the_answer_gains(without)
