"""Products over the entries that are not zero are those of the whole vectors, for every Frame and by every way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.projections import products as multiplying
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.similarity import Norms, cosines
from memorygraph.projections.sparse import SparseVectors
from tests.projections.graph_model import chunks_of

DIM = 64
entries = st.dictionaries(st.integers(0, DIM - 1), st.sampled_from([-2.0, -0.5, 1.0, 3.0]), max_size=5)


@pytest.fixture(autouse=True, params=[2, 12], scope="module")
def chunk_bits(request):
    with chunks_of(request.param):
        yield


def vector(entries: dict[int, float]) -> np.ndarray:
    found = np.zeros(DIM, dtype="<f4")
    for dim, value in entries.items():
        found[dim] = value
    return found


class Memory:
    def __init__(self) -> None:
        self.state = GraphState()
        self.state.apply(1, 1, [ev.SpaceDeclared(space=1, name="s", dim=DIM)])
        self.rows: list[np.ndarray] = []

    def add(self, vectors: list[np.ndarray]) -> Frame:
        first = len(self.rows)
        self.rows += vectors
        nodes = [ev.NodeAdded(id=f"n{first + at}", vector=row.tobytes()) for at, row in enumerate(vectors)]
        self.state.apply(self.state.position + 1, 1, nodes)
        return self.state.publish()


@given(st.lists(st.lists(entries, min_size=1, max_size=6), min_size=1, max_size=5), entries)
@settings(max_examples=30, deadline=None)
def test_products_are_those_of_whole_vectors_at_every_frame(batches, query) -> None:
    memory, norms = Memory(), Norms()
    frames = [memory.add([vector(row) for row in batch]) for batch in batches]
    wanted = vector(query)
    for frame in [*frames, frames[0]]:  # the first one again: what came later is not in it
        rows = np.stack(memory.rows[: frame.vectors.count])
        found = SparseVectors()
        found.grow(frame.vectors)
        products = found.products(wanted, len(rows))
        assert products is None or products == pytest.approx(rows @ wanted, abs=1e-5)
        assert cosines(frame, norms, wanted) == pytest.approx(cosines(frame, norms.fork(frame), wanted), abs=1e-6)


def many(count: int, entries_each: int) -> Frame:
    dice = np.random.default_rng(7)
    memory = Memory()
    for _ in range(count):
        row = np.zeros(DIM, dtype="<f4")
        row[dice.choice(DIM, entries_each, replace=False)] = dice.choice([-1.0, 1.0], entries_each)
        memory.rows.append(row)
    rows, memory.rows = memory.rows, []
    return memory.add(rows)


def test_sparse_vectors_are_not_multiplied_as_a_whole(monkeypatch) -> None:
    frame, norms = many(300, 2), Norms()
    query = frame.vectors.column("vector")[7]
    expected = cosines(frame, norms.fork(frame), query)
    monkeypatch.setattr(multiplying.ProductQueue, "product", None)
    assert cosines(frame, norms, query) == pytest.approx(expected, abs=1e-6)


def test_vectors_with_many_entries_are_not_kept_twice() -> None:
    frame, norms = many(300, DIM // 4), Norms()
    before = (norms.upto(frame), norms.size_bytes())[1]
    query = frame.vectors.column("vector")[7]
    assert cosines(frame, norms, query) == pytest.approx(cosines(frame, norms.fork(frame), query), abs=1e-6)
    assert norms.size_bytes() == before


def test_a_query_with_many_entries_is_multiplied_as_a_whole() -> None:
    found = SparseVectors()
    found.grow(many(300, 4).vectors)
    assert found.products(np.ones(DIM, dtype="<f4"), 300) is None
    assert found.size_bytes() > 0


@pytest.mark.parametrize("broken", [np.abs, lambda products: np.roll(products, 1)], ids=["sign", "rows"])
def test_the_check_can_fail(monkeypatch, broken) -> None:
    right = SparseVectors.products

    def products(self, query, count):
        found = right(self, query, count)
        return None if found is None else broken(found)

    monkeypatch.setattr(SparseVectors, "products", products)
    frame, norms = many(300, 2), Norms()
    query = frame.vectors.column("vector")[7]
    with pytest.raises(AssertionError):
        assert cosines(frame, norms, query) == pytest.approx(cosines(frame, norms.fork(frame), query), abs=1e-6)
