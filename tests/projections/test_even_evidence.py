"""Small memories, in which much is alike: what little tells memories apart decides, and rounding does not."""

from __future__ import annotations

import numpy as np
import pytest

from memorygraph.events import records as ev
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.hit import Hit
from memorygraph.projections.recall import RecallIndex
from memorygraph.projections.window import Window, outside

SIZES = (2, 3, 5, 9, 10, 12, 13, 18, 24, 37)


def memory(*nodes: dict) -> Frame:
    state = GraphState()
    added = [ev.NodeAdded(id=f"n{at}", **fields) for at, fields in enumerate(nodes)]
    state.apply(1, 1, [ev.SpaceDeclared(space=1, name="s", dim=2), *added])
    return state.publish()


def packed(*vector: float) -> bytes:
    return np.array(vector, dtype="<f4").tobytes()


def ask(frame: Frame, text: str, vector=None, **options) -> list[Hit]:
    wanted = None if vector is None else np.array(vector, dtype=np.float32)
    return RecallIndex("en").recall(frame, text, wanted, **{"k": 3, **options})


@pytest.mark.parametrize("count", SIZES)
def test_among_equal_texts_the_date_the_speaker_and_the_vector_decide(count: int) -> None:
    """The deviation of equal scores is rounding, and dividing by it would let the words outweigh all else."""
    same = [{"content": "dinner with friends", "vector": packed(0.3, 1), "speaker": "Tom"} for _ in range(count)]
    last = f"n{count - 1}"
    same[-1] = {**same[-1], "occurred_us": 7}
    dated = ask(memory(*same), "dinner yesterday", window=Window("yesterday", ((7, 8),), ("yesterday",)))
    assert (dated[0].node.id, dated[0].window) == (last, "yesterday")
    assert dated[0].score > dated[1].score > 0
    same[-1] = {**same[-1], "speaker": "Ann"}
    assert ask(memory(*same), "What did Ann say about dinner?")[0].node.id == last
    same[-1] = {**same[-1], "vector": packed(1, 0.05)}
    assert ask(memory(*same), "dinner?", (1, 0))[0].node.id == last


def test_a_memory_without_a_vector_loses_nothing_for_it() -> None:
    near = [{"content": f"a note of the day {at}", "vector": packed(1, 0.7 + at / 50)} for at in range(12)]
    hits = ask(memory(*near, {"content": "the vault combination is 7 22 41"}), "vault combination", (1, 0))
    assert hits[0].node.id == "n12"
    assert hits[0].dense == 0.0


def test_vectors_that_are_orthogonal_but_for_rounding_find_nothing() -> None:
    frame = memory({"content": "apple", "vector": packed(1, 0)}, {"content": "pear", "vector": packed(1, 0)})
    assert [hit.score for hit in ask(frame, "zebra", (3e-8, 1))] == [0.0, 0.0]


ROLES = (
    ("user", "My dog is called Rex and he loves the beach."),
    ("assistant", "To add a user, open the admin panel; the database gives everybody a role."),
    ("user", "Thanks, that is great."),
    ("user", "I need to buy new shoes."),
    ("assistant", "The weather will be fine."),
)
NAMES = (
    ("Bill", "I went fishing with my brother."),
    ("Ann", "The electricity bill was 90 euros in March."),
    ("Bill", "We had soup."),
    ("Bill", "I paint on Sundays."),
    ("Ann", "Rain again today."),
)


def said(turns) -> Frame:
    return memory(*({"content": content, "speaker": speaker, "session": 1} for speaker, content in turns))


def test_a_word_that_is_also_a_name_is_no_speaker_in_small_letters() -> None:
    assert ask(said(ROLES), "how do I add a user to the database?")[0].node.id == "n1"
    assert ask(said(ROLES), "How do I add a User to the Database?")[0].node.id == "n1"  # roles are no names at all
    assert ask(said(NAMES), "how much was the electricity bill?")[0].node.id == "n1"
    assert not ask(said(NAMES), "how much was the electricity bill?")[0].speaker
    fishing = ask(said(NAMES), "what did Bill say of his brother?")
    assert (fishing[0].node.id, fishing[0].terms) == ("n0", ("brother",))
    assert fishing[0].speaker
    only_names = [turn for turn in NAMES if "bill" not in turn[1]]
    fishing = ask(said(only_names), "what did bill say of his brother?")
    assert (fishing[0].node.id, fishing[0].terms) == ("n0", ("brother",))
    assert fishing[0].speaker


def test_date_words_whose_time_holds_something_are_not_asked_for_as_words() -> None:
    week = Window("last week", ((7, 8),), ("last week",))
    frame = memory(
        {"content": "dinner with Ann at the harbour", "occurred_us": 7},
        {"content": "dinner every week, last orders at ten in this week"},
        *({"content": f"note {at} on gardens"} for at in range(9)),
    )
    plain, dated = ask(frame, "dinner"), ask(frame, "dinner last week", window=week)
    assert (dated[0].node.id, dated[0].score) == ("n0", plain[0].score)
    assert [hit.terms for hit in dated[:2]] == [("dinner",), ("dinner",)]
    # Nothing happened then, so the words may be meant as such; and they are all that is asked.
    assert ask(frame, "dinner last week", window=Window("last week", ((9, 10),), ("last week",)))[0].node.id == "n1"
    assert ask(frame, "last week", window=week)[0].terms == ("last", "week")


def test_the_rest_of_a_question_is_what_its_date_words_leave() -> None:
    window = Window("in May, last week", ((0, 1), (1, 2)), ("in May", "last week"))
    assert outside("In Mayfair, in May, or last week?", window).split() == ["In", "Mayfair,", ",", "or", "?"]
    assert outside("the same", Window("", ())) == "the same"
