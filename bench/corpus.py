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
