from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.events.errors import EmbeddingDimensionError
from memorygraph.projections import similarity
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.similarity import Norms, cosines, nearest, nearest_each, top
from tests.projections.graph_model import check_whole, chunks_of

DIM = 3
values = st.sampled_from([-1.0, 0.0, 0.0, 0.5, 1.0, 3.0])
vectors = st.lists(values, min_size=DIM, max_size=DIM)


@pytest.fixture(autouse=True, params=[2, 12], scope="module")
def chunk_bits(request):
    with chunks_of(request.param):
        yield


def packed(vector) -> bytes:
    return np.array(vector, dtype="<f4").tobytes()


def memory(rows: list, removed=(), revised=()) -> GraphState:
    """Nodes n0.. with these vectors (None: none); some removed, some given another vector afterwards."""
    state = GraphState()
    space = ev.SpaceDeclared(space=1, name="s", dim=DIM)
    nodes = [ev.NodeAdded(id=f"n{at}", vector=packed(row) if row else b"") for at, row in enumerate(rows)]
    state.apply(1, 1, [space, *nodes])
    changes = [ev.NodeRevised(id=f"n{at}", vector=packed(row)) for at, row in revised]
    state.apply(2, 1, [*changes, *([ev.NodesForgotten(ids=tuple(f"n{at}" for at in removed))] if removed else [])])
    return state


def by_hand(frame: Frame, query, k: int, threshold: float = -2.0, visible=None) -> list[tuple[int, float]]:
    """The same, one node at a time in double precision; births rise with the rows here."""
    found = []
    for row in range(frame.nodes.count):
        vector = np.frombuffer(frame.vector(row), "<f4").astype(float)
        if not frame.nodes.value("alive", row) or not len(vector) or (visible is not None and not visible[row]):
            continue
        length = float(np.linalg.norm(vector) * np.linalg.norm(query))
        cosine = float(vector @ np.array(query)) / length if length else 0.0
        if cosine >= threshold:
            found.append((row, cosine))
    return sorted(found, key=lambda pair: (-round(pair[1], 6), pair[0]))[:k]


def same(found, expected) -> None:
    assert [row for row, _ in found] == [row for row, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-6)


@st.composite
def memories(draw) -> Frame:
    rows = draw(st.lists(st.none() | vectors, max_size=14))
    places = list(range(len(rows)))
    removed = draw(st.sets(st.sampled_from(places), max_size=4)) if rows else ()
    revised = draw(st.lists(st.tuples(st.sampled_from(places), vectors), max_size=3)) if rows else ()
    return memory(rows, removed, revised).publish()


@given(memories(), vectors, st.integers(0, 16), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_nearest_is_what_a_scan_finds(frame, query, k, random) -> None:
    wanted = np.array(query, dtype=np.float32)
    visible = np.array([random.random() < 0.6 for _ in range(frame.nodes.count)], dtype=np.bool_)
    same(nearest(frame, Norms(), wanted, k), by_hand(frame, query, k))
    same(nearest(frame, Norms(), wanted, k, visible=visible), by_hand(frame, query, k, visible=visible))
    check_whole(frame)


@given(memories(), st.lists(vectors, max_size=6), st.integers(0, 16), st.sampled_from([-1.0, 0.001, 0.7]))
@settings(max_examples=60)
def test_a_batch_is_its_singles(frame, queries, k, threshold) -> None:
    wanted = np.array(queries, dtype=np.float32).reshape(-1, DIM)
    whole = nearest_each(frame, Norms(), wanted, k, threshold)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "BATCH_CELLS_MAX", 20)  # several rounds
        parts = nearest_each(frame, Norms(), wanted, k, threshold)
    assert len(whole) == len(parts) == len(queries)
    for query, one, other in zip(queries, whole, parts, strict=True):
        same(one, by_hand(frame, query, k, threshold))
        same(other, one)


def test_scores_stay_within_one() -> None:
    frame = memory([[0.1, 0.2, 0.3], [1e-20, 0, 0], [1e18, 0, 0]]).publish()
    scores = cosines(frame, Norms(), np.array([0.1, 0.2, 0.3], np.float32))
    assert np.all(np.abs(scores) <= 1)
    assert np.all(np.isfinite(scores))


def test_norms_serve_older_and_newer_frames() -> None:
    state = memory([[1, 0, 0], [0, 2, 0]])
    old = state.publish()
    state.apply(3, 1, [ev.NodeAdded(id=f"m{at}", vector=packed([0, 0, at])) for at in range(9)])
    new = state.publish()
    norms = Norms()
    assert norms.upto(old).tolist() == [1, 2]
    assert norms.upto(new).tolist() == [1, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8]
    assert norms.upto(old).tolist() == [1, 2]
    assert norms.size_bytes() >= 11 * 4


def test_norms_grow_under_many_readers() -> None:
    state = memory([[1, 0, 0]])
    frames = []
    for position in range(3, 60):
        state.apply(position, 1, [ev.NodeAdded(id=f"m{position}", vector=packed([0, position, 0]))])
        frames.append(state.publish())
    norms = Norms()
    wrong = []

    def ask(step: int) -> None:
        expected = {frame.position: [1.0, *range(3, frame.position + 1)] for frame in frames}
        asked = frames[::step]
        wrong.extend(one for one in asked if norms.upto(one).tolist() != expected[one.position])

    threads = [threading.Thread(target=ask, args=(step,)) for step in (1, -1, 3, -5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_query_of_another_dimension_is_refused() -> None:
    frame = memory([[1, 0, 0]]).publish()
    with pytest.raises(EmbeddingDimensionError) as caught:
        cosines(frame, Norms(), np.zeros(2, np.float32))
    assert caught.value.about == {"expected": 3, "found": (2,)}


def test_a_memory_without_vectors_has_no_neighbours() -> None:
    frame = GraphState().publish()
    query = np.zeros(3, np.float32)
    assert len(cosines(frame, Norms(), query)) == 0
    assert nearest(frame, Norms(), query, 5) == []
    assert nearest_each(frame, Norms(), query[None], 5, 0.0) == [[]]


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=20), st.integers(-1, 22), st.randoms(use_true_random=False))
def test_top_is_a_sort(scores, k, random) -> None:
    births = list(range(len(scores)))
    random.shuffle(births)
    expected = sorted(range(len(scores)), key=lambda at: (-scores[at], births[at]))[: max(k, 0)]
    assert top(np.array(scores), np.array(births, np.int64), k).tolist() == expected


def crowd(count: int = 1200, seed: int = 0) -> GraphState:
    """Many nodes; those nearest to (1, 0, 0) are forgotten, or have another vector since."""
    dice = np.random.default_rng(seed)
    rows = dice.normal(size=(count, DIM)).round(2)
    order = np.argsort(-rows[:, 0] / np.linalg.norm(rows, axis=1))
    removed, revised = order[:80:2].tolist(), order[1:80:2].tolist()
    return memory(rows.tolist(), removed, [(at, dice.normal(size=DIM).round(2).tolist()) for at in revised])


@pytest.mark.parametrize("k", [1, 4, 40, 5000])
def test_the_nearest_are_found_behind_many_that_no_longer_count(k) -> None:
    frame = crowd().publish()
    same(nearest(frame, Norms(), np.float32([1, 0, 0]), k), by_hand(frame, [1, 0, 0], k))
    both = nearest_each(frame, Norms(), np.float32([[1, 0, 0], [0, 1, 0]]), k, 0.1)
    same(both[0], by_hand(frame, [1, 0, 0], k, 0.1))
    same(both[1], by_hand(frame, [0, 1, 0], k, 0.1))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.09, 0.11, 0.5, 0.99, 1.0])
def test_as_many_as_pass_the_filter_are_found_at_every_selectivity(share) -> None:
    frame = crowd().publish()
    dice = np.random.default_rng(1)
    for query, k in (([1, 0, 0], 1), ([-1, 2, 0.5], 10), ([0, 0, 0], 200)):
        visible = dice.random(frame.nodes.count) < share
        found = nearest(frame, Norms(), np.float32(query), k, visible=visible)
        same(found, by_hand(frame, query, k, visible=visible))
        assert len(found) == min(k, int((visible & frame.live_rows()).sum()))


def test_equal_scores_go_by_birth_also_among_many() -> None:
    frame = memory([[1, 1, 0]] * 1200).publish()
    assert [row for row, _ in nearest(frame, Norms(), np.float32([1, 0, 0]), 5)] == [0, 1, 2, 3, 4]
    visible = np.arange(1200) >= 700
    assert [row for row, _ in nearest(frame, Norms(), np.float32([1, 0, 0]), 3, visible=visible)] == [700, 701, 702]


@pytest.mark.parametrize("left", [1100, 700, 300, 20, 0])
def test_the_nearest_are_found_where_most_are_forgotten(left) -> None:
    rows = np.random.default_rng(3).normal(size=(1200, DIM)).round(2)
    order = np.argsort(-rows[:, 0] / np.linalg.norm(rows, axis=1)).tolist()
    frame = memory(rows.tolist(), removed=order[: 1200 - left]).publish()
    same(nearest(frame, Norms(), np.float32([1, 0, 0]), 10), by_hand(frame, [1, 0, 0], 10))


def nearly_equal_ones_go_by_birth() -> None:
    frame = memory([[1, 1, 0.001], *[[1, 1, 0]] * 1200]).publish()
    visible = np.arange(1201) % 2 == 0
    for k in (1, 4):
        found = nearest(frame, Norms(), np.float32([1, 0, 0]), k, visible=visible)
        same(found, by_hand(frame, [1, 0, 0], k, visible=visible))


def test_nearly_equal_ones_go_by_birth() -> None:
    nearly_equal_ones_go_by_birth()


@pytest.mark.parametrize(("name", "value"), [("ROUNDED", 0.0), ("HIDDEN", 2.0)])
def test_a_bound_that_is_wrong_is_noticed(monkeypatch, name, value) -> None:
    """Mutants: the first leaves out rows that are as near by their rounded scores, the other lets in what is hidden."""
    monkeypatch.setattr(similarity, name, value)
    with pytest.raises(AssertionError):
        nearly_equal_ones_go_by_birth()
