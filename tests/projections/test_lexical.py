from __future__ import annotations

import itertools
import math
import sys
import threading
from array import array
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.events.errors import InputError
from memorygraph.projections import postings
from memorygraph.projections.lexical import K1, B, LexicalIndex, LexicalStatistics
from memorygraph.projections.text import Analyzer

EN = Analyzer()
WORDS = [
    "cat",
    "cats",
    "dog",
    "Dog's",
    "bird",
    "fish_bowl",
    "owl",
    "the",
    "of",
    "\u6771\u4eac\u90fd",
    "rare",
    "\U0001f389",
]
texts = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@st.composite
def collections(draw):
    """Texts, a mask over some of the first of them, a query."""
    rows = draw(st.lists(texts, max_size=12))
    seen = draw(st.integers(0, len(rows)))
    return rows, np.array(draw(st.lists(st.booleans(), min_size=seen, max_size=seen)), bool), draw(texts)


def build(rows) -> LexicalIndex:
    index = LexicalIndex(EN)
    index.add(rows)
    return index


def by_hand(rows: list[str], visible, query: str) -> dict[int, float]:
    """BM25 over dictionaries, straight from the formula, divided by its bound."""
    seen = {row: Counter(EN.terms(rows[row])) for row in range(len(visible)) if visible[row]}
    wanted = set(EN.words(query))
    average = sum(map(Counter.total, seen.values())) / len(seen) if seen else 0.0
    held = {term: sum(term in counts for counts in seen.values()) for term in wanted}
    idf = {term: math.log(1 + (len(seen) - held[term] + 0.5) / (held[term] + 0.5)) for term in wanted}
    return {
        row: sum(
            idf[term] * tf * (K1 + 1) / (tf + K1 * (1 - B + B * counts.total() / average))
            for term in wanted
            if (tf := counts[term])
        )
        / (sum(idf.values()) * (K1 + 1))
        for row, counts in seen.items()
        if wanted & counts.keys()
    }


def check(index: LexicalIndex, rows: list[str], visible, query: str, statistics=None) -> None:
    matches, expected = index.search(query, visible, statistics), by_hand(rows, visible, query)
    assert matches.rows.dtype == np.int32
    assert matches.rows.tolist() == sorted(expected)
    np.testing.assert_allclose(matches.scores, [expected[row] for row in sorted(expected)], rtol=0, atol=1e-9)
    assert ((matches.scores > 0) & (matches.scores < 1)).all()
    assert matches.terms == tuple(dict.fromkeys(EN.words(query)))


def test_a_known_answer():
    index = build(["cat cat dog", "dog", "owl bird fish"])
    matches = index.search("cat dog", np.ones(3, bool))
    cat, dog = math.log(1 + 2.5 / 1.5), math.log(1 + 1.5 / 2.5)
    length = 1 - B + B * 3 / (7 / 3)
    first = cat * 2 / (2 + K1 * length) + dog / (1 + K1 * length)
    second = dog / (1 + K1 * (1 - B + B / (7 / 3)))
    assert matches.rows.tolist() == [0, 1]
    assert matches.scores.tolist() == pytest.approx([first / (cat + dog), second / (cat + dog)], abs=1e-12)


@given(collections())
def test_rows_and_scores_are_those_of_the_formula(case):
    rows, visible, query = case
    index = build(rows)
    check(index, rows, visible, query)
    check(index, rows, visible, query, index.statistics(visible))


@given(collections(), st.lists(texts, min_size=12, max_size=12), texts)
def test_hidden_and_later_rows_never_change_a_score(case, others, later):
    rows, visible, query = case
    changed = [rows[row] if row < len(visible) and visible[row] else others[row] for row in range(len(rows))]
    before, after = build(rows).search(query, visible), build([*changed, later]).search(query, visible)
    assert before.rows.tolist() == after.rows.tolist()
    assert before.scores.tolist() == after.scores.tolist()


@pytest.mark.parametrize("leak", ["mask", "later", "statistics"])
def test_mutants_that_let_hidden_rows_in_are_caught(monkeypatch, leak):
    rows, visible = ["cat dog", "cat owl", "bird", "cat", "cat cat"], np.array([True, False, True, True])
    check(build(rows), rows, visible, "cat bird")
    true_postings = LexicalIndex._visible_postings

    def all_postings(self, terms, visible):
        shown = np.ones(5 if leak == "later" else len(visible), bool)
        shown[: len(visible)] |= leak == "mask"
        shown[: len(visible)] &= visible | (leak == "mask")
        return true_postings(self, terms, shown)

    if leak == "statistics":
        monkeypatch.setattr(LexicalIndex, "statistics", lambda _self, _visible: LexicalStatistics(5, 9))
    else:
        monkeypatch.setattr(LexicalIndex, "_visible_postings", all_postings)
    with pytest.raises(AssertionError):
        check(build(rows), rows, visible, "cat bird")


@given(st.lists(texts, max_size=12), st.lists(st.integers(0, 12), max_size=4), texts)
def test_adding_in_parts_equals_adding_at_once(rows, cuts, query):
    parts = LexicalIndex(EN)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, end in itertools.pairwise(edges):
        parts.add(rows[start:end])
    whole, visible = build(rows), np.ones(len(rows), bool)
    assert parts.count == whole.count == len(rows)
    assert parts.statistics(visible) == whole.statistics(visible)
    assert parts._postings == whole._postings
    assert parts.search(query, visible).scores.tolist() == whole.search(query, visible).scores.tolist()


def test_an_older_state_is_served_while_the_index_grows():
    rows = [f"cat number {number}" for number in range(200)]
    index = build(rows[:100])
    old = index.search("cat", np.ones(50, bool))
    index.add(rows[100:])
    new = index.search("cat", np.ones(50, bool))
    assert old.scores.tolist() == new.scores.tolist()
    assert index.search("cat", np.ones(200, bool)).rows.tolist() == list(range(200))


def test_a_query_of_function_words_or_of_nothing_known_matches_nothing():
    index = build(["the cat sat on the mat", ""])
    for query in ("", "what is it", "zebra", "\U0001f389"):
        matches = index.search(query, np.ones(2, bool))
        assert matches.rows.tolist() == []
        assert matches.scores.tolist() == []
        assert matches.matched(np.array([0])) == {}
    assert index.search("cat", np.zeros(2, bool)).rows.tolist() == []
    assert index.search("cat", np.zeros(0, bool)).rows.tolist() == []
    assert LexicalIndex(EN).search("cat", np.zeros(0, bool)).rows.tolist() == []


def test_a_word_that_only_hidden_rows_hold_is_a_word_nobody_wrote():
    index = build(["cat dog", "secret"])
    shown = np.array([True, False])
    assert index.search("cat secret", shown).scores.tolist() == index.search("cat zebra", shown).scores.tolist()


def test_matched_words_are_spelled_as_in_the_query():
    index = build(["Alice fed the rabbit", "rabbits in remember_many", "owl"])
    matches = index.search("Did Alice's Rabbits use remember_many?", np.ones(3, bool))
    assert matches.terms == ("alic", "rabbit", "use", "rememb", "mani", "remembermani")
    assert matches.matched(np.array([0])) == {0: ["Alice", "Rabbits"]}
    assert matches.matched(np.array([1, 2])) == {1: ["Rabbits", "remember", "many", "remember_many"]}


def test_a_mask_beyond_the_index_is_refused():
    index = build(["cat"])
    with pytest.raises(InputError, match="2 text rows and 1 are indexed"):
        index.search("cat", np.ones(2, bool))
    with pytest.raises(InputError):
        index.statistics(np.ones(2, bool))


def test_scores_stay_below_one_at_the_extremes():
    rows = ["cat " * 100_000, "cat", *[""] * 1000]
    index = build(rows)
    check(index, [" ".join(["cat"] * 0xFFFF), *rows[1:]], np.array([False, True]), "cat")
    for visible in (np.ones(1, bool), np.ones(len(rows), bool)):
        scores = index.search("cat", visible).scores
        assert (scores > 0).all()
        assert (scores < 1).all()


def test_a_mebibyte_is_one_row():
    index = build(["lorem ipsum " * 87_000 + "needle", "ipsum"])
    assert index.search("needle", np.ones(2, bool)).rows.tolist() == [0]
    assert index.statistics(np.ones(2, bool)) == (2, 174_002)


def test_a_failing_text_leaves_whole_rows_only():
    index = build(["cat"])
    with pytest.raises(AttributeError):
        index.add(["dog", None, "owl"])
    assert index.count == 1
    index.add(["dog", "owl"])
    check(index, ["cat", "dog", "owl"], np.ones(3, bool), "cat dog owl")


def test_a_row_cut_short_by_an_interrupt_is_finished_by_the_next_add():
    class Interrupted(dict):
        def get(self, term):
            if term == "owl":
                raise KeyboardInterrupt
            return super().get(term)

    rows = ["cat dog owl", "cat dog", "cat cat dog owl"]
    index = build(rows[:2])
    index._postings = Interrupted(index._postings)
    with pytest.raises(KeyboardInterrupt):
        index.add(rows[2:])
    index._postings = dict(index._postings)
    assert index.count == 2
    index.add(rows[2:])
    check(index, rows, np.ones(3, bool), "cat owl")
    assert index._postings == build(rows)._postings


def test_size_grows_with_the_texts():
    small, large = build(["cat dog"]), build([f"cat dog word{number}" for number in range(1000)])
    assert 0 < small.size_bytes() < large.size_bytes()
    assert large.size_bytes() > 1000 * 3 * 8


def search_then_add() -> None:
    index = build(["cat"])
    matches = index.search("cat", np.ones(1, bool))
    index.add(["cat"] * 100)
    assert matches.rows.tolist() == [0]


def test_a_reader_holding_its_matches_does_not_stop_the_writer():
    search_then_add()


def test_mutant_that_reads_postings_in_place_is_caught(monkeypatch):
    views = []

    class InPlace(array):
        def tobytes(self):
            views.append(memoryview(self).cast("B"))
            return views[-1]

    monkeypatch.setattr(postings, "array", InPlace)
    with pytest.raises(BufferError):
        search_then_add()


def test_readers_beside_a_writer_find_what_their_rows_hold():
    rows = [f"{WORDS[number % 5]} {WORDS[number % 3]} {WORDS[number % 7]} tag{number % 40}" for number in range(600)]
    index, done, searched = LexicalIndex(EN), threading.Event(), threading.Semaphore(0)
    index.add(rows[:5])

    def read(reader: int) -> None:
        random = np.random.default_rng(reader)
        while not done.is_set():
            count = int(random.integers(1, index.count + 1))
            try:
                check(index, rows, random.random(count) < 0.7, f"cat bird tag{random.integers(40)}")
            finally:
                searched.release()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read, reader) for reader in range(3)]
            try:
                for number in range(5, len(rows), 3):
                    index.add(rows[number : number + 3])
                    assert searched.acquire(timeout=20)  # a search ends between any two adds, others go on
            finally:
                done.set()
            for reader in readers:
                reader.result()
    finally:
        sys.setswitchinterval(interval)
    check(index, rows, np.ones(len(rows), bool), "cat tag7")


@given(st.lists(texts, min_size=1, max_size=6), st.data())
def test_the_share_of_terms_that_texts_have_in_common(rows, data) -> None:
    index = build(rows)
    if data.draw(st.booleans()):
        again = LexicalIndex(EN)
        again.load(index.dump(0, len(rows)))
        index = again
    chosen = data.draw(st.permutations(range(len(rows))))
    shared = index.shared(np.array(chosen))
    for place, row in enumerate(chosen):
        for at, other in enumerate(chosen):
            one, two = set(EN.terms(rows[row])), set(EN.terms(rows[other]))
            assert shared[place, at] == (len(one & two) / len(one | two) if one | two else 0.0)
