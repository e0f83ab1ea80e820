"""Filters against brute force, on old and new Frames, with one index for all of them."""

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.events.types import Partition
from memorygraph.projections import filters as filters_module
from memorygraph.projections.filters import Filters, LabelIndex, visible_nodes
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.recall import SEEN_MAX, RecallIndex
from tests.projections.graph_model import chunks_of

TAGS = ["a", "b", "c"]
values = st.sampled_from([1, 1.0, True, "1", None, [1, 2], [1.0, 2], {"x": [1]}, {"x": [2]}, "long", 0, False, ""])
tag_sets = st.lists(st.sampled_from(TAGS), unique=True, max_size=3).map(tuple)
metadata = st.dictionaries(st.sampled_from(["k", "l"]), values, max_size=2)
labels = st.fixed_dictionaries(
    {},
    optional={
        "tags": tag_sets,
        "metadata": metadata,
        "session": st.sampled_from([0, 1, "1", "s"]),
        "speaker": st.sampled_from(["Ann", "Ben"]),
        "source": st.sampled_from(["x.md", "y.md"]),
    },
)
wanted = st.fixed_dictionaries(
    {},
    optional={
        "tags": tag_sets,
        "tag_mode": st.sampled_from(["all", "any"]),
        "metadata": metadata,
        "session": st.sampled_from([0, 1, "1", "s", "nobody"]),
        "speaker": st.sampled_from(["Ann", "Ben", "nobody"]),
        "source": st.sampled_from(["x.md", "nobody"]),
        "memory_type": st.sampled_from([1, 2]),
        "scope": st.sampled_from([1, 2, 3]),
        "since_us": st.integers(0, 9),
        "until_us": st.integers(0, 9),
    },
).map(lambda fields: Filters(**fields))


def alike(one: Any, other: Any) -> bool:
    """Equal as JSON is: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def passes(state: Any, filters: Filters) -> bool:
    """What a filter means, in plain Python."""
    singles = all(
        getattr(filters, name) is None or getattr(state, name) == getattr(filters, name)
        for name in ("memory_type", "session", "speaker", "source")
    )
    held = [tag in state.tags for tag in filters.tags]
    return (
        singles
        and (not held or (all(held) if filters.tag_mode == "all" else any(held)))
        and all(key in state.metadata and alike(state.metadata[key], value) for key, value in filters.metadata.items())
        and (filters.scope is None or state.partition.scope == filters.scope)
        and (filters.since_us is None or state.occurred_us >= filters.since_us)
        and (filters.until_us is None or state.occurred_us <= filters.until_us)
    )


def brute(frame: Frame, filters: Filters) -> list[int]:
    return [row for row in np.flatnonzero(frame.live_rows()).tolist() if passes(frame.node(row), filters)]


@st.composite
def histories(draw: Any) -> list[Frame]:
    """Frames of one memory, each after a few more events."""
    state, frames, names = GraphState(), [], []
    for position in range(1, draw(st.integers(1, 8)) + 1):
        events: list[ev.Event] = []
        for _ in range(draw(st.integers(0, 4))):
            choice = draw(st.integers(0, 3))
            if choice == 3 and names:
                events.append(ev.NodesForgotten(ids=(names.pop(draw(st.integers(0, len(names) - 1))),)))
            elif choice == 2 and names:
                events.append(ev.NodeRevised(id=draw(st.sampled_from(names)), **draw(labels)))
            else:
                names.append(f"n{position}.{len(events)}")
                partition = Partition(draw(st.sampled_from([1, 3])), draw(st.sampled_from(["", "Ann"])))
                fields = {"occurred_us": draw(st.integers(0, 9)), "memory_type": draw(st.sampled_from([1, 2]))}
                events.append(ev.NodeAdded(id=names[-1], partition=partition, **fields, **draw(labels)))
        state.apply(position, position, events)
        if draw(st.booleans()):
            frames.append(state.publish())
    return [*frames, state.publish()]


def agree(frames, several, random) -> None:
    index = LabelIndex()
    questions = [(frame, filters) for frame in frames for filters in several]
    random.shuffle(questions)  # older Frames after newer ones, too
    for frame, filters in questions:
        assert np.flatnonzero(visible_nodes(frame, filters, index)).tolist() == brute(frame, filters)


asked = given(histories(), st.lists(wanted, min_size=1, max_size=4), st.randoms(use_true_random=False))
test_filters_mean_what_they_say_on_every_frame = settings(max_examples=60)(asked(agree))
without_shrinking = settings(max_examples=60, phases=[Phase.generate])(asked(agree))  # which takes 90 s


def test_rows_beyond_a_chunk_are_coded() -> None:
    with chunks_of(2):
        state = GraphState()
        index = LabelIndex()
        for position in range(1, 30):
            state.apply(
                position, 1, [ev.NodeAdded(id=f"n{position}", tags=("even",) if position % 2 else ("odd", "x"))]
            )
            frame = state.publish()
            found = visible_nodes(frame, Filters(tags=("odd",)), index)
            assert found.tolist() == [number % 2 == 0 for number in range(1, position + 1)]
    assert index.size_bytes() > 0


def test_readers_ask_while_the_index_grows() -> None:
    state, index = GraphState(), LabelIndex()
    failures: list[str] = []
    frames = [state.publish()]
    done = threading.Event()

    def ask(tag: str) -> None:
        while not done.is_set():
            frame = frames[-1]
            found = int(visible_nodes(frame, Filters(tags=(tag,)), index).sum())
            if found != frame.nodes.count:
                failures.append(f"{found} of {frame.nodes.count}")

    readers = [threading.Thread(target=ask, args=("all",)) for _ in range(3)]
    for reader in readers:
        reader.start()
    for position in range(1, 400):
        state.apply(position, 1, [ev.NodeAdded(id=f"n{position}", tags=("all", f"t{position}"))])
        frames.append(state.publish())
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []


VALUES = [
    1,
    1.0,
    True,
    "1",
    None,
    [1, 2],
    [1.0, 2],
    {"x": [1]},
    {"x": [2]},
    {"x": [1], "y": 0},
    "long",
    0,
    False,
    "",
    [],
]


def test_metadata_is_equal_where_python_says_so() -> None:
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id=f"n{at}", metadata={"k": value}) for at, value in enumerate(VALUES)])
    frame, index = state.publish(), LabelIndex()
    for value in [*VALUES, 2, ["1"]]:
        filters = Filters(metadata={"k": value})
        assert np.flatnonzero(visible_nodes(frame, filters, index)).tolist() == brute(frame, filters)


@pytest.mark.parametrize(
    ("name", "broken", "check"),
    [
        ("frozen", repr, test_metadata_is_equal_where_python_says_so),
        ("NO_CODE", 0, without_shrinking),
    ],
)
def test_a_broken_index_is_caught(name, broken, check, monkeypatch) -> None:
    monkeypatch.setattr(filters_module, name, broken)
    with pytest.raises(AssertionError):
        check()


def test_an_index_that_never_grows_again_is_caught(monkeypatch) -> None:
    grow = filters_module._Codes.grow
    monkeypatch.setattr(filters_module._Codes, "grow", lambda codes, rows: None if codes.count else grow(codes, rows))
    with pytest.raises((AssertionError, ValueError)):
        test_rows_beyond_a_chunk_are_coded()


def test_only_so_many_outcomes_are_kept_and_their_bytes_are_told():
    """Each takes some bytes for every memory, so they are bounded over all Frames, and the last used ones stay."""
    state, index = GraphState(), RecallIndex("en")
    for position in range(1, 4):
        nodes = [ev.NodeAdded(id=f"n{position}.{at}", content="note", session=at % 40) for at in range(400)]
        state.apply(position, position, nodes)
        frame = state.publish()
        index.recall(frame, "note", None, k=1)
        before = index.size_bytes()
        for session in range(40):
            index.recall(frame, "note", None, k=1, filters=Filters(session=session))
            usual = index.seen_at(frame, Filters())
    kept = [index.seen_at(frame, Filters(session=session)) for session in range(39, 25, -1)]
    assert [index.seen_at(frame, Filters(session=session)) for session in range(39, 25, -1)] == kept
    assert index.seen_at(frame, Filters()) is usual  # asked for again and again
    assert index.seen_at(frame, Filters(session=0)) is index.seen_at(frame, Filters(session=0))
    assert len(index._seen) == SEEN_MAX
    assert index.size_bytes() > before + (SEEN_MAX - 2) * frame.nodes.count
