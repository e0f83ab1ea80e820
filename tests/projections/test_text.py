from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.events.errors import InputError
from memorygraph.projections.stopwords import ENGLISH
from memorygraph.projections.text import STEMMERS, Analyzer

EN = Analyzer()


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        (" \t\n\u00a0 ", []),
        ("Memories remembered, connections connecting!", ["memori", "rememb", "connect", "connect"]),
        ("The cat is on the mat", ["cat", "mat"]),
        ("It was what it was.", []),
        ("tea2 v1 2024", ["tea2", "v1", "2024"]),
    ],
)
def test_words_are_folded_stemmed_and_rid_of_function_words(text, terms):
    assert EN.terms(text) == terms


@pytest.mark.parametrize("text", ["Alice's", "alice", "ALICE\u2019S", "Alice\u02bcs", "(Alice)", "Alice'", "alice's,"])
def test_a_possessive_is_its_owner(text):
    assert EN.terms(text) == ["alic"]


@pytest.mark.parametrize(
    "text", ["don't", "DIDN\u2019T", "I'm", "we'll", "they've", "you're", "she'd", "dont", "isn't,"]
)
def test_contractions_are_function_words(text):
    assert EN.terms(text) == []


def test_an_inner_apostrophe_leaves_the_parts_and_the_name_without_it():
    assert EN.terms("O'Brien's") == EN.terms("O\u2019Brien") == ["o", "brien", "obrien"]
    assert set(EN.terms("OBrien")) <= {"o", "brien", "obrien"}
    assert "homm" in Analyzer("fr").terms("l\u2019homme")


@pytest.mark.parametrize(
    "name", ["remember_many", "rememberMany", "RememberMany", "remember-many", "__remember_many__"]
)
def test_an_identifier_meets_its_other_spellings_and_its_parts(name):
    assert EN.terms(name) == ["rememb", "mani", "remembermani"]
    assert EN.terms("remember many") == ["rememb", "mani"]
    assert EN.terms("remembermany") == ["remembermani"]


def test_paths_abbreviations_and_numbers_are_identifiers_too():
    assert EN.terms("events/log.py") == ["event", "log", "py", "eventslogpi"]
    assert EN.terms("HTTPServer") == ["http", "server", "httpserver"]
    assert EN.terms("U.S.A.") == ["u", "s", "usa"]
    assert EN.terms("3.14") == ["3", "14", "314"]
    assert EN.terms("USA NASA iPhone") == ["usa", "nasa", "phone", "iphon"]


def test_unicode_spellings_of_one_word_are_one_term():
    assert EN.terms("caf\u00e9") == EN.terms("CAFE\u0301") == EN.terms("cafe") == ["cafe"]
    assert EN.terms("Z\u00fcrich") == EN.terms("Zurich")
    assert EN.terms("\u0439") != EN.terms("\u0438")  # not Latin: a mark makes another letter
    assert EN.terms("\uff2d\uff45\uff4d\uff4f \ufb01ne") == ["memo", "fine"]
    assert EN.terms("STRASSE") == EN.terms("stra\u00dfe")
    assert EN.terms("\u0130stanbul") == EN.terms("Istanbul") == EN.terms("istanbul")
    assert EN.terms("co\u00adoperate") == EN.terms("cooperate")
    assert EN.terms("no\u2011break") == EN.terms("no-break")


def test_combining_marks_belong_to_their_word():
    assert len(EN.terms("\u0939\u093f\u0928\u094d\u0926\u0940 \u092d\u093e\u0937\u093e")) == 2


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("\u6771\u4eac\u90fd", ["\u6771\u4eac", "\u4eac\u90fd", "\u6771", "\u4eac", "\u90fd"]),
        ("\u732b", ["\u732b"]),
        ("\u3053\u3093\u306b\u3061\u3001\u732b", ["\u3053\u3093", "\u3093\u306b", "\u306b\u3061", "\u732b"]),
        ("\uff76\uff9e\uff72\uff84\uff9e", ["\u30ac\u30a4", "\u30a4\u30c9"]),
        ("\uc548\ub155 \uc138\uacc4", ["\uc548\ub155", "\uc138\uacc4"]),
        ("Python3\u5165\u9580 book", ["python3", "\u5165\u9580", "\u5165", "\u9580", "book"]),
    ],
)  # fmt: skip
def test_cjk_runs_become_pairs(text, terms):
    assert EN.terms(text) == terms


def test_han_letters_count_alone_in_memories_and_in_questions_where_they_stand_alone():
    assert list(EN.words("\u6771\u4eac\u90fd")) == ["\u6771\u4eac", "\u4eac\u90fd"]
    assert list(EN.words("\u732b?")) == ["\u732b"]
    assert not {"\uc548", "\u3093"}.intersection(EN.terms("\uc548\ub155 \u3053\u3093\u306b"))


def test_emoji_give_no_terms_and_do_no_harm():
    assert EN.terms("\U0001f389\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f") == []
    assert EN.terms("party\U0001f389time") == ["parti", "time"]
    assert EN.terms("1\ufe0f\u20e3") == ["1"]


def test_every_language_works_and_an_unknown_one_is_named():
    for language in STEMMERS:
        assert Analyzer(language).terms("memory 2024")[-1] == "2024"
    assert Analyzer("de").terms("H\u00e4user und Hauses") == ["haus", "und", "haus"]
    assert Analyzer("zh").terms("memories") == ["memories"]
    with pytest.raises(InputError, match=r"'xx'.*\ben\b.*\bzh\b"):
        Analyzer("xx")


def test_the_version_names_rules_unicode_stemmer_and_language():
    assert EN.version == Analyzer("en").version
    assert EN.version != Analyzer("de").version
    assert all(part in EN.version for part in ("rules-", "unicode-", "snowball-"))


def test_words_give_each_term_once_with_its_first_spelling():
    assert EN.words("Did Alice's rabbits eat? Rabbit: log_store") == {
        "alic": "Alice", "rabbit": "rabbits", "eat": "eat", "log": "log", "store": "store", "logstor": "log_store",
    }  # fmt: skip
    assert EN.words("the") == {}


def test_long_texts_and_long_words_stay_in_bounds():
    mebibyte = 1 << 20
    assert EN.terms("memory " * (mebibyte // 7)) == ["memori"] * (mebibyte // 7)
    (term,) = EN.terms("x" * mebibyte)
    assert len(term) == 64
    assert EN.terms("x" * 100) == [term]
    assert len(EN.terms("\u6771" * 1000)) == 1999
    assert EN.terms("/" * mebibyte + "_" * mebibyte) == []


@given(st.text(max_size=200))
def test_any_text_is_analysed_the_same_each_time_and_piece_by_piece(text):
    terms = EN.terms(text)
    assert terms == EN.terms(text) == Analyzer().terms(text)
    assert terms == [term for piece in text.split() for term in EN.terms(piece)]
    assert list(EN.words(text)) == list(dict.fromkeys(terms))
    assert all(term and len(term) <= 64 and term not in {"the", "of"} for term in terms)


def test_the_stop_list_holds_folded_words_only():
    assert 130 <= len(ENGLISH) <= 260
    assert all(word.isascii() and word.isalpha() and word.islower() for word in ENGLISH)


def most_stemmers_at_once(analyzer: Analyzer) -> int:
    """How many threads were inside the stemmer at the same time, out of four."""
    stemmer, inside, most, guard = analyzer._stemmer, 0, 0, threading.Lock()

    class Watched:
        def stemWord(self, word: str) -> str:  # noqa: N802
            nonlocal inside, most
            with guard:
                inside += 1
                most = max(most, inside)
            time.sleep(0.001)
            with guard:
                inside -= 1
            return stemmer.stemWord(word)

    analyzer._stemmer = Watched()
    barrier = threading.Barrier(4)

    def stem(start: int) -> list[str]:
        barrier.wait()
        return analyzer.terms(" ".join(f"running{start + index}" for index in range(10)))

    with ThreadPoolExecutor(4) as pool:
        assert [len(terms) for terms in pool.map(stem, range(0, 40, 10))] == [10] * 4
    return most


def test_one_thread_at_a_time_is_in_the_stemmer():
    assert most_stemmers_at_once(Analyzer()) == 1


def test_mutant_without_the_stemmer_lock_is_caught():
    analyzer = Analyzer()
    analyzer._stemmer_lock = nullcontext()
    assert most_stemmers_at_once(analyzer) > 1
