"""Small cases for each kind of evidence: it finds what it is for, and without it the case fails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from msgspec.structs import replace

from memorygraph.events import records as ev
from memorygraph.events.types import EdgeType
from memorygraph.projections import variety
from memorygraph.projections.concepts import ConceptIndex
from memorygraph.projections.filters import Filters
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.hit import Hit
from memorygraph.projections.recall import RecallIndex
from memorygraph.projections.weights import WEIGHTS, Weights

FILLER = ("the weather was fine", "we had soup for lunch", "the bus was late again", "a quiet day", "nothing new here")
Case = Callable[[Weights], None]


def memory(*nodes: dict) -> Frame:
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id=f"n{at}", **fields) for at, fields in enumerate(nodes)])
    return state.publish()


def filler(**fields) -> list[dict]:
    return [{"content": content, **fields} for content in FILLER]


def ask(frame: Frame, text: str, weights: Weights = WEIGHTS, k: int = 3, **options) -> list[Hit]:
    return RecallIndex("en", weights).recall(frame, text, None, k=k, **options)


def ids(hits: list[Hit]) -> list[str]:
    return [hit.node.id for hit in hits]


def an_answer_follows_its_question(weights: Weights) -> None:
    turns = ["Where did you park the blue tractor?", "Behind the mill.", "I see.", "Lovely.", "Well, goodbye."]
    frame = memory(*({"content": turn, "session": 1} for turn in turns), *filler(session=2))
    hits = ask(frame, "Where is the blue tractor parked?", weights)
    assert ids(hits)[:2] == ["n0", "n1"]
    assert hits[1].score > hits[2].score > 0
    assert hits[1].turns > 0


def the_turn_after_a_match_counts(weights: Weights) -> None:
    turns = ["Look at my new kayak", "It is red and rather long"]
    frame = memory(*filler(), *({"content": turn, "session": 1} for turn in turns))
    assert ids(ask(frame, "kayak", weights, threshold=1e-6)) == ["n5", "n6"]


def the_session_counts(weights: Weights) -> None:
    def turns(session: int, *contents: str) -> list[dict]:
        return [{"content": content, "session": session} for content in contents]

    talk = turns(1, "the harvest festival starts", "a", "b", "c", "d", "the band was loud")
    frame = memory(*filler(), {"content": "the band was loud", "session": 2}, *talk)
    assert ids(ask(frame, "Was the band at the harvest festival loud?", weights))[:2] == ["n6", "n11"]


def who_spoke_counts(weights: Weights) -> None:
    frame = memory(
        {"content": "Anna, I sold the boat", "speaker": "Boris Low"},
        {"content": "I sold the boat", "speaker": "Anna Weir"},
        *filler(speaker="Boris Low"),
    )
    hits = ask(frame, "What did Anna say about the boat?", weights)
    assert ids(hits)[0] == "n1"
    assert hits[0].speaker


def shared_names_lead_on(weights: Weights) -> None:
    frame = memory(
        {"content": "The Long Night\nA film directed by Greta Holm."},
        {"content": "Greta Holm\nShe was born in Bergen."},
        {"content": "Bergen\nA town by the sea."},
        *filler(),
    )
    hits = ask(frame, "Who directed the film The Long Night?", weights)
    assert ids(hits) == ["n0", "n1", "n2"]
    assert hits[1].score > hits[2].score > 0
    assert hits[1].concepts == ("greta holm",)
    assert hits[1].path == ("n0", "n1")
    assert hits[1].walk > 0.5


def what_a_text_is_about_comes_first(weights: Weights) -> None:
    others = [{"content": f"{word} Greta Holm was there"} for word in ("when", "how", "why", "since")]
    frame = memory(
        {"content": "The Long Night\nA film directed by Greta Holm."},
        *others,
        {"content": "Greta Holm\nThat is she."},
        *filler(),
    )
    assert ids(ask(frame, "the film The Long Night", weights))[:2] == ["n0", "n5"]


def what_matches_gets_more_of_a_concept(weights: Weights) -> None:
    others = [{"content": f"{word} Greta Holm was there"} for word in ("when", "how", "why")]
    frame = memory(
        {"content": "The Long Night\nA film directed by Greta Holm."},
        *others,
        {"content": "as for children, Greta Holm had three"},
        *filler(),
    )
    hits = ask(frame, "How many children has the director of The Long Night?", weights, k=5)
    assert ids(hits)[:2] == ["n0", "n4"]
    assert hits[1].score > 1.2 * hits[2].score


def the_named_come_before_the_rest(weights: Weights) -> None:
    frame = memory(
        {"content": "Alder Bay\nA bay with boats, a pier and some houses."},
        {"content": "an older place, by far the older one"},
        {"content": "Cedar Point\nA point with a lighthouse and some sheep."},
        *({"content": f"alder {word} by the bay"} for word in ("trees", "leaves", "roots")),
        *({"content": f"cedar {word} at that point"} for word in ("wood", "smoke", "boards")),
        *filler(),
    )
    assert {"n0", "n2"} <= set(ids(ask(frame, "Which place is older, Alder Bay or Cedar Point?", weights)))


def links_by_similarity_count_less(weights: Weights) -> None:
    state = GraphState()
    contents = ("the red canoe", *FILLER)
    nodes = [ev.NodeAdded(id=f"n{at}", content=content) for at, content in enumerate(contents)]
    kinds = [EdgeType.SIMILARITY.code, EdgeType.SIMILARITY.code, EdgeType.CAUSAL.code]
    state.apply(1, 1, [*nodes, ev.EdgesAdded(sources=["n0"] * 3, targets=["n1", "n2", "n3"], types=kinds)])
    hits = RecallIndex("en", weights).reason(state.publish(), "canoe", None, k=9, hops=2, seed_k=1)
    assert ids(hits)[:2] == ["n0", "n3"]


CASES: list[tuple[Case, Weights]] = [
    (links_by_similarity_count_less, replace(WEIGHTS, similar=1.0)),
    (an_answer_follows_its_question, replace(WEIGHTS, answer=0.0, turn=0.0)),
    (the_turn_after_a_match_counts, replace(WEIGHTS, turn=0.0, session=0.0)),
    (the_session_counts, replace(WEIGHTS, session=0.0)),
    (who_spoke_counts, replace(WEIGHTS, speaker=0.0)),
    (shared_names_lead_on, replace(WEIGHTS, rounds=0)),
    (what_a_text_is_about_comes_first, replace(WEIGHTS, about=0.0)),
    (what_matches_gets_more_of_a_concept, replace(WEIGHTS, match=0.0)),
    (the_named_come_before_the_rest, replace(WEIGHTS, asked=0.0)),
]


@pytest.mark.parametrize(("case", "without"), CASES, ids=[case.__name__ for case, _ in CASES])
def test_a_mechanism_and_what_its_lack_does(case: Case, without: Weights) -> None:
    case(WEIGHTS)
    with pytest.raises(AssertionError):
        case(without)


HIDDEN = [
    {"content": "Greta Holm\nA person.", "source": "secret", "session": 1, "speaker": "Anna"},
    {"content": "why, Greta Holm asked?", "source": "secret", "session": 1, "speaker": "Anna"},
    {"content": "Bergen and Greta Holm", "source": "secret", "session": 2, "speaker": "Boris"},
]
SEEN = [
    {"content": "The Long Night\nA film by Greta Holm.", "source": "open", "session": 1, "speaker": "Boris"},
    {"content": "as for Greta Holm, fine", "source": "open", "session": 1, "speaker": "Boris"},
    {"content": "a quiet day in Bergen", "source": "open", "session": 2},
    {"content": "Bergen is near", "source": "open"},
]
ASKED = ("Who made the film The Long Night?", "What did Anna say of Greta Holm?", "Bergen?", "Boris and the day")


def what_is_hidden_changes_nothing() -> None:
    mixed = [node for pair in zip(HIDDEN, SEEN, strict=False) for node in pair] + SEEN[len(HIDDEN) :]
    among, alone = memory(*mixed), memory(*SEEN)
    place = {f"n{mixed.index(node)}": f"n{at}" for at, node in enumerate(SEEN)}
    gone = GraphState()
    gone.apply(1, 1, [ev.NodeAdded(id=f"n{at}", **fields) for at, fields in enumerate(mixed)])
    gone.apply(2, 2, [ev.NodesForgotten(ids=tuple(f"n{mixed.index(node)}" for node in HIDDEN))])
    for text in ASKED:
        expected = [(hit.node.id, hit.score, hit.terms, hit.concepts, hit.walk) for hit in ask(alone, text, k=9)]
        for frame, filters in ((among, Filters(source="open")), (gone.publish(), Filters())):
            hits = ask(frame, text, k=9, filters=filters)
            told = [(place[hit.node.id], hit.score, hit.terms, hit.concepts, hit.walk) for hit in hits]
            assert told == expected


def test_what_is_hidden_changes_nothing() -> None:
    what_is_hidden_changes_nothing()


@pytest.mark.parametrize("method", ["counts", "mentions"])
def test_an_index_that_counts_the_hidden_is_caught(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    right = getattr(ConceptIndex, method)
    wrong = lambda index, *given: right(index, *given[:-1], np.ones(len(given[-1]), np.bool_))  # noqa: E731
    monkeypatch.setattr(ConceptIndex, method, wrong)
    with pytest.raises(AssertionError):
        what_is_hidden_changes_nothing()


def what_was_said_comes_later() -> None:
    said = ("beans in the garden", "the garden beans", "beans on toast, with cheese")
    frame = memory(*({"content": content} for content in said), *filler())
    hits = ask(frame, "beans?", k=4)
    assert ids(hits)[:3] == ["n0", "n2", "n1"]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert [(hit.node.id, hit.score) for hit in ask(frame, "beans?", k=2)] == [
        (hit.node.id, hit.score) for hit in hits[:2]
    ]


def test_what_was_said_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    what_was_said_comes_later()
    monkeypatch.setattr(variety, "REPETITION", 0.0)
    with pytest.raises(AssertionError):
        what_was_said_comes_later()


def test_recall_of_very_many_is_explained_in_one_go() -> None:
    frame = memory(*({"content": f"word{at % 7} cat", "session": at % 5} for at in range(300)))
    hits = ask(frame, "cat word3", k=300)
    assert len(hits) == 300
    assert sum(hit.terms == ("cat", "word3") for hit in hits) == len(range(3, 300, 7))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
