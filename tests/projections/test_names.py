from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.projections.names import DEFINED, MENTIONED, TITLED, names_in, title_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("we met Ann Lee at the lake", {"ann lee"}),
        ("The Duke of York came", {"duke of york", "duke", "york"}),
        ("Then Ludwig van Beethoven wrote", {"ludwig van beethoven"}),
        ("Apollo 11 landed", {"apollo 11"}),
        ("in J. R. R. Tolkien's house", {"j r r tolkien"}),
        ("he asked Dr. Smith", {"dr smith"}),
        ("a trip to Zürich", {"zurich"}),
        ("she read “Becoming Nicole” twice", {"becoming nicole"}),
        ('the song "let it be" again', {"let it be"}),
        ("In May 2023 she left", set()),
        ("Hey Mel! Thanks so much", {"mel"}),
        ("Wonderful! Painting is fun.", set()),  # a single word that only begins a sentence
        ("I'd like that. It's what I've wanted", set()),
        ("они видели Анну Каренину вчера", {"анну каренину"}),
        ("昨日は東京へ行った", set()),
        ("", set()),
    ],
)
def test_what_a_text_names(text, expected) -> None:
    assert set(names_in(text)) == expected
    assert set(names_in(text).values()) <= {MENTIONED}


def test_possessives_and_articles_are_not_part_of_a_name() -> None:
    one, other = (set(names_in(f"we saw {name} there")) for name in ("The Beatles", "Beatles"))
    assert one == other == {"beatles"}
    assert set(names_in("it was Alice's idea")) == set(names_in("it was Alice\u2019s idea")) == {"alice"}


def test_a_title_is_what_the_text_is_about() -> None:
    found = names_in("Bertha, daughter of Lothair II (queen of Arles)\nBertha was countess of Arles.")
    assert found["bertha daughter of lothair ii"] == DEFINED
    assert {found["bertha"], found["lothair ii"], found["queen of arles"]} == {TITLED}
    assert found["arles"] == TITLED
    assert names_in("let it be\nA song.")["let it be"] == DEFINED


@pytest.mark.parametrize("text", ["one line", "a title and nothing\n", "x" * 200 + "\nmore"])
def test_texts_without_a_title(text) -> None:
    assert title_of(text) == ""


def test_the_speaker_is_named() -> None:
    assert names_in("nothing here", "Ann Lee") == {"ann lee": MENTIONED}
    assert names_in("nothing here", "?!") == {}


@given(st.text())
def test_any_text_can_be_looked_at(text) -> None:
    for name, close in names_in(text, text).items():
        assert name == name.strip() != ""
        assert close in {MENTIONED, TITLED, DEFINED}


@pytest.mark.parametrize(
    "text",
    [
        "we saw Duke of York there",
        "they say The Long Night in May was long",
        "it was Monday In Berlin",
        "so said Anna And The King",
        "he is The Of Them",
        "Long Night\nmore of it",
        "The Long Night\nmore of it",
        "May Name\nmore of it",
        "of " + "Very Long Name " * 8,
    ],
)
def test_plain_words_are_read_as_those_with_accents_are(text: str) -> None:
    accented = re.sub(r"[A-Z]\w{3,}", lambda found: found[0].translate(str.maketrans("aeio", "áéíó")), text)
    assert accented != text
    assert names_in(text) == names_in(accented)
