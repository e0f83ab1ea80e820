"""Texts to measure with, the same for every package and run: text n is a function of n alone."""

from __future__ import annotations

import random
from functools import cache
from typing import Final

TOPICS: Final = 200
TOPIC_WORDS: Final = 12
VOCABULARY: Final = 4000
_SYLLABLES: Final = ("ba", "de", "ki", "lo", "mu", "na", "po", "ri", "sa", "te", "vo", "zu", "cha", "dri", "gre", "sto")


@cache
def vocabulary() -> tuple[str, ...]:
    """Return ``VOCABULARY`` distinct made-up words."""
    size = len(_SYLLABLES)
    return tuple(
        _SYLLABLES[n % size] + _SYLLABLES[n // size % size] + _SYLLABLES[n // size**2 % size] for n in range(VOCABULARY)
    )


@cache
def topic(number: int) -> tuple[str, ...]:
    """Return the words that texts about a topic share."""
    return tuple(random.Random(f"topic {number}").sample(vocabulary(), TOPIC_WORDS))


def text(number: int) -> str:
    """Return text ``number``: twelve words, eight of them of its topic, so that texts of a topic are linked."""
    dice = random.Random(number)
    words = dice.sample(topic(number % TOPICS), 8) + dice.sample(vocabulary(), 4)
    dice.shuffle(words)
    return " ".join(words)


def question(number: int) -> str:
    """Return four words of a topic, as somebody asks for what was said about it."""
    return " ".join(random.Random(f"question {number}").sample(topic(number % TOPICS), 4))


PEOPLE: Final = 500
TURNS: Final = 20  # of a session


@cache
def person(number: int) -> str:
    """Return a first and a last name."""
    first, last = random.Random(f"person {number}").sample(vocabulary(), 2)
    return f"{first.title()} {last.title()}"


def turn(number: int) -> dict[str, str | int]:
    """Return a turn of a conversation, as ``remember`` takes it: ``text(number)``, somebody's name and a rare word."""
    dice = random.Random(f"turn {number}")
    words = text(number).split()
    words.insert(dice.randrange(1, len(words)), person(min(dice.randrange(PEOPLE), dice.randrange(PEOPLE))))
    words.insert(dice.randrange(1, len(words)), f"w{number:x}")
    session = number // TURNS
    speaker = person(1000 + 2 * (session % 50) + number % 2)
    return {"content": " ".join(words) + dice.choice(".....?"), "speaker": speaker, "session": session}


def passage(number: int) -> dict[str, str]:
    """Return a paragraph of 80 words, as ``remember`` takes it: a title, and six texts with somebody's name each."""
    dice = random.Random(f"passage {number}")
    sentences = []
    for part in range(6):
        words = text(6 * number + part).split()
        words.insert(dice.randrange(1, len(words)), person(min(dice.randrange(PEOPLE), dice.randrange(PEOPLE))))
        sentences.append(" ".join(words))
    return {"content": f"{person(2000 + number)}\n" + ". ".join(sentences) + "."}


def named_question(number: int) -> str:
    """Return a question about what somebody's name and four words of a topic were said of."""
    return f"What was {person(number % PEOPLE)} told of {question(number)}?"
