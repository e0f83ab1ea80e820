"""Searches that come at once share a product, and each gets its own answer."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from memorygraph.projections import products as module
from memorygraph.projections.products import ProductQueue, products
from memorygraph.projections.recall import RecallIndex
from memorygraph.projections.similarity import Norms, nearest
from tests.projections.test_similarity import crowd, same

QUERIES = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)


class Counted:
    """Stands for ``products``: notes how many vectors each product had, and lets the first one wait."""

    def __init__(self, failing: bool = False) -> None:
        self.sizes: list[int] = []
        self.began, self.may_go_on = threading.Event(), threading.Event()
        self.failing = failing

    def __call__(self, vectors, units):
        self.sizes.append(len(units))
        if len(self.sizes) == 1:
            self.began.set()
            assert self.may_go_on.wait(60)
            if self.failing:
                raise MemoryError
        return products(vectors, units)


def all_at_once(monkeypatch, norms: Norms, acts, failing=False) -> Counted:
    """Let the first act multiply while the others come and wait."""
    counted = Counted(failing)
    monkeypatch.setattr(module, "products", counted)
    threads = [threading.Thread(target=act) for act in acts]
    threads[0].start()
    assert counted.began.wait(60)
    for number, thread in enumerate(threads[1:], 1):
        thread.start()
        while len(norms.queue._waiting) < number:
            pass
    counted.may_go_on.set()
    for thread in threads:
        thread.join()
    return counted


@pytest.mark.parametrize("visible", [False, True])
def test_searches_that_wait_share_one_product(monkeypatch, visible):
    frame, norms = crowd().publish(), Norms()
    mask = np.arange(frame.nodes.count) % 3 > 0 if visible else None
    found = {}

    def act(number):
        found[number] = nearest(frame, norms, QUERIES[number], 5, visible=mask)

    acts = [lambda number=number: act(number) for number in range(len(QUERIES))]
    assert all_at_once(monkeypatch, norms, acts).sizes == [1, 8]
    monkeypatch.undo()
    for number, query in enumerate(QUERIES):
        same(found[number], nearest(frame, norms, query, 5, visible=mask))


def test_recalls_share_it_with_searches(monkeypatch):
    frame, index = crowd().publish(), RecallIndex("en")
    found = {}

    def recall(number):
        found[number] = index.recall(frame, None, QUERIES[number], k=3)

    acts = [lambda number=number: recall(number) for number in range(3)]
    acts.append(lambda: nearest(frame, index.norms, QUERIES[3], 5))
    assert all_at_once(monkeypatch, index.norms, acts).sizes == [1, 3]
    monkeypatch.undo()
    for number in range(3):
        assert found[number] == index.recall(frame, None, QUERIES[number], k=3)


def test_who_comes_alone_does_not_wait(monkeypatch):
    frame, norms = crowd().publish(), Norms()
    counted = Counted()
    counted.may_go_on.set()
    monkeypatch.setattr(module, "products", counted)
    for query in QUERIES:
        nearest(frame, norms, query, 5)
    assert counted.sizes == [1] * len(QUERIES)


def test_a_batch_is_bounded_and_of_one_state(monkeypatch):
    small, large = crowd().publish(), crowd().publish()
    monkeypatch.setattr(module, "BATCH_CELLS_MAX", 2 * small.vectors.count)
    queue = Norms()
    views = [small.vectors] * 4 + [large.vectors] + [small.vectors]
    acts = [lambda view=view: queue.queue.product(view, QUERIES[0]) for view in views]
    assert all_at_once(monkeypatch, queue, acts).sizes == [1, 2, 1, 1, 1]


def test_who_fails_leaves_the_others_their_answers(monkeypatch):
    frame, norms = crowd().publish(), Norms()
    found = []

    def failing():
        with pytest.raises(MemoryError):
            norms.queue.product(frame.vectors, QUERIES[0])

    def act():
        found.append(norms.queue.product(frame.vectors, QUERIES[1]))

    counted = all_at_once(monkeypatch, norms, [failing, act, act], failing=True)
    assert counted.sizes[0] == 1
    for products_found in found:
        np.testing.assert_allclose(products_found, products(frame.vectors, QUERIES[1:2])[0], rtol=1e-5)
    assert len(found) == 2
    monkeypatch.setattr(module, "products", counted)
    monkeypatch.setattr(np, "stack", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        norms.queue.product(frame.vectors, QUERIES[0])
    monkeypatch.undo()
    assert len(nearest(frame, norms, QUERIES[0], 2)) == 2  # nobody is left waiting


def test_many_threads_and_states_get_what_they_asked_for():
    frames, norms = [crowd().publish(), crowd().publish()], Norms()
    wrong = []

    def ask(number):
        for step in range(40):
            frame, query = frames[(number + step) % 2], QUERIES[(number * step) % len(QUERIES)]
            found = norms.queue.product(frame.vectors, query)
            if not np.allclose(found, products(frame.vectors, query[None])[0], atol=1e-5):
                wrong.append((number, step))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not norms.queue._waiting


def test_answers_are_the_callers_own():
    frame, queue = crowd().publish(), ProductQueue()
    first = queue.product(frame.vectors, QUERIES[0])
    first[:] = 7
    assert not (queue.product(frame.vectors, QUERIES[0]) == 7).any()
