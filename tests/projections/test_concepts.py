"""The concept index says what a plain dictionary of what texts name says, also after a fork or load."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.projections.concepts import ConceptIndex
from memorygraph.projections.names import names_in

TEXTS = ["met Ann Lee in York", "Ann Lee\nShe lives in York.", "York", "nothing", "saw Bob and the Duke of York", ""]
rows = st.lists(st.tuples(st.sampled_from(TEXTS), st.sampled_from([None, "Ann Lee", "Bob"])), max_size=8)


def build(texts) -> ConceptIndex:
    index = ConceptIndex()
    index.add(texts)
    return index


def check(index: ConceptIndex, texts, visible: np.ndarray) -> None:
    named = [names_in(*text) for text in texts]
    every = {name for found in named for name in found}
    counts = index.counts(visible)
    for name in every:
        concept = index.id_of(name)
        assert concept is not None
        assert index.name(concept) == name
        expected = {row: found[name] for row, found in enumerate(named) if visible[row] and name in found}
        assert counts[concept] == len(expected)
        found = index.mentions(np.array([concept]), visible)
        assert dict(zip(found.rows.tolist(), found.closeness.tolist(), strict=True)) == expected
    some = np.arange(len(texts))
    arcs, lengths = index.arcs(some)
    told = [[index.name(concept) for concept in part.tolist()] for part in np.split(arcs, np.cumsum(lengths))[:-1]]
    assert [set(part) for part in told] == [set(found) for found in named] or not len(some)
    assert index.id_of("nobody") is None


@given(rows, st.data())
def test_concepts_of_what_is_visible(texts, data) -> None:
    index = build(texts)
    visible = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))), dtype=np.bool_)
    check(index, texts, visible)
    assert index.size_bytes() > 0


@given(rows, rows, rows)
def test_a_fork_goes_on_by_itself(texts, mine, others) -> None:
    index = build(texts)
    fork = index.fork(len(texts))
    index.add(others)
    fork.add(mine)
    check(fork, texts + mine, np.ones(len(texts + mine), np.bool_))
    check(index, texts + others, np.ones(len(texts + others), np.bool_))
    with pytest.raises(ValueError, match="fork"):
        fork.fork(0)


@given(rows, st.data())
def test_what_was_dumped_is_loaded(texts, data) -> None:
    index = build(texts)
    cut = data.draw(st.integers(0, len(texts)))
    again = ConceptIndex()
    for first, stop in ((0, cut), (cut, len(texts))):
        again.load(index.dump(first, stop))
    check(again, texts, np.ones(len(texts), np.bool_))
    again.add([("Ann Lee went to Rome", None)])
    check(again, [*texts, ("Ann Lee went to Rome", None)], np.ones(len(texts) + 1, np.bool_))


def test_other_bytes_are_refused() -> None:
    good = build([("met Ann Lee", None)]).dump(0, 1)
    for bad in (b"", b"\x00", good[:-1], good.replace(b"\x01", b"\x07")):
        with pytest.raises(ValueError, match="concepts"):
            ConceptIndex().load(bad)
