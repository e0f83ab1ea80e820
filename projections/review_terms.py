"""The terms of spaced review that every model shares: ratings, and the strength of a memory."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple, Protocol

STABILITY_MIN_DAYS: Final = 0.001
STABILITY_MAX_DAYS: Final = 36_500.0  # a hundred years; also the longest interval


class Rating(IntEnum):
    """How a review went."""

    AGAIN = 1
    HARD = 2
    GOOD = 3
    EASY = 4


class Strength(NamedTuple):
    """What a model knows of a memory.

    ``stability_days`` says how slowly it fades. ``difficulty`` is FSRS's D in 1..10, SM-2's easiness factor (from 1.3;
    there low is hard), 0 for the others. ``repetitions`` are reviews since the last one that was rated AGAIN.
    """

    stability_days: float
    difficulty: float
    repetitions: int


class Model(Protocol):
    """A model of forgetting and review; pure, t and S in days, R in 0..1."""

    def first(self, rating: Rating) -> Strength:
        """Return the strength after the first rating."""
        ...

    def following(self, strength: Strength, rating: Rating, elapsed_days: float) -> Strength:
        """Return the strength after a review, some days after the one before."""
        ...

    def retention(self, elapsed_days: float, stability_days: float) -> float:
        """Return how probable recall is after some days."""
        ...

    def interval_days(self, stability_days: float, target_retention: float) -> float:
        """Return after how many days retention falls to the target."""
        ...


def rating_of(grade: float) -> Rating:
    """Cut a grade in 0..1 into four: from 0, 1/4, 1/2 and 3/4 on."""
    return Rating(1 + min(3, int(4 * grade)))


def clipped_days(days: float) -> float:
    """Return a stability or an interval within the range that is kept."""
    return min(STABILITY_MAX_DAYS, max(STABILITY_MIN_DAYS, days))


def repeated(repetitions: int, rating: Rating) -> int:
    """Return the repetitions after one more review."""
    return 0 if rating is Rating.AGAIN else repetitions + 1
