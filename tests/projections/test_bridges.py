"""Bridges: what a first hit names leads to what the question leaves open, also where no concept is shared."""

from __future__ import annotations

import numpy as np
import pytest

from memorygraph.events import records as ev
from memorygraph.projections import bridges, reasoning
from memorygraph.projections.graph import GraphState
from memorygraph.projections.hit import Hit
from memorygraph.projections.lexical import LexicalIndex
from memorygraph.projections.recall import RecallIndex
from memorygraph.projections.text import analyzer_for

TEXTS = (
    "The Long Night\nA film that was directed by Greta Holm. It was seen by Ada Berg, Bo Lind, Cid Moe and Dan Rask.",
    "the radio said that Holm had a medal for rowing, the only one",
    "a medal is made of gold, and a second one of silver",
    "the radio said that Berg had a medal for chess, Lind and Moe and Rask too",
    "Ada Berg, Bo Lind, Cid Moe and Dan Rask are friends of Greta Holm",
    "a letter from Greta Holm came",
    "where does Greta Holm live?",
    "we had soup for lunch",
    "the bus was late again",
    "a quiet day",
)
ASKED = "Which medal did the director of the film The Long Night win?"


def found(**options) -> dict[str, Hit]:
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id=f"n{at}", content=content) for at, content in enumerate(TEXTS)])
    hits = RecallIndex("en").reason(state.publish(), ASKED, None, **{"k": 20, "hops": 2, "seed_k": 1} | options)
    return {hit.node.id: hit for hit in hits}


def a_part_of_a_name_leads_on() -> None:
    hits = found()
    assert next(iter(hits)) == "n0"
    assert hits["n1"].score > hits["n2"].score
    assert hits["n1"].path == ("n0", "n1")
    assert all(hit.path[-1] == name for name, hit in hits.items())


def what_stands_near_the_answer_leads_on() -> None:
    hits = found()
    assert hits["n1"].score > 1.5 * hits["n3"].score


def no_hop_leads_nowhere() -> None:
    assert all(hit.path == (name,) for name, hit in found(hops=0).items())


def test_a_part_of_a_name_leads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    a_part_of_a_name_leads_on()
    no_hop_leads_nowhere()
    monkeypatch.setattr(reasoning, "BRIDGED", 0.0)
    with pytest.raises(AssertionError):
        a_part_of_a_name_leads_on()


def test_what_stands_near_the_answer_leads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridges, "NAMES_MAX", 1)
    what_stands_near_the_answer_leads_on()
    monkeypatch.setattr(bridges, "FAINT", 1e9)  # as if all sentences matched
    with pytest.raises(AssertionError):
        what_stands_near_the_answer_leads_on()


def test_a_part_of_a_query_finds_what_it_finds_alone() -> None:
    index = LexicalIndex(analyzer_for("en"))
    index.add(TEXTS)
    visible = np.ones(len(TEXTS), np.bool_)
    whole, part = index.search("medal gold soup Holm", visible), index.search("Holm medal", visible)
    rows, scores = whole.of_terms({"holm", "medal"})
    assert rows.tolist() == part.rows.tolist()
    assert scores == pytest.approx(part.scores)
    assert whole.weights.sum() == pytest.approx(1.0)
    assert whole.missing(2) == ["soup", "Holm"]
