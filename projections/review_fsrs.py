"""FSRS-4.5 and FSRS-6: stability and difficulty of a memory, from the ratings of its reviews.

Ye et al. (2022); the weights and formulas are those of the reference implementations (fsrs 2.5.1 and 6.3.2), without
their learning steps: every rating changes the memory's strength. Both count whole days between reviews. R after t days
is (1 + F t/S)^C with F = 0.9^(1/C) - 1, so that R(S) = 0.9.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from memorygraph.projections.review_terms import Rating, Strength, clipped_days, repeated

FSRS_45_WEIGHTS: Final = (
    0.4872, 1.4003, 3.7145, 13.8206, 5.1618, 1.2298, 0.8975, 0.031, 1.6474, 0.1367, 1.0461, 2.1072, 0.0793, 0.3246,
    1.587, 0.2272, 2.8755,
)  # fmt: skip
FSRS_6_WEIGHTS: Final = (
    0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796, 1.4835, 0.0614, 0.2629, 1.6483,
    0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542,
)  # fmt: skip
CURVE_45: Final = -0.5
_ANCHOR: Final = 0.9


class Fsrs45(NamedTuple):
    """FSRS-4.5, 17 weights."""

    weights: tuple[float, ...] = FSRS_45_WEIGHTS

    def first(self, rating: Rating) -> Strength:
        """S0 = w[G-1]; D0 = w4 - w5 (G - 3)."""
        w = self.weights
        difficulty = _clipped(w[4] - w[5] * (rating - 3))
        return Strength(clipped_days(max(w[rating - 1], 0.1)), difficulty, repeated(0, rating))

    def following(self, strength: Strength, rating: Rating, elapsed_days: float) -> Strength:
        """S grows with the difficulty of recall (1 - R), or falls to what is left after a lapse."""
        w, (stability, difficulty, repetitions) = self.weights, strength
        left = self.retention(math.floor(elapsed_days), stability)
        if rating is Rating.AGAIN:
            after = _lapsed(w, difficulty, stability, left)
        else:
            after = _recalled(w, difficulty, stability, left, rating)
        reverted = w[7] * w[4] + (1 - w[7]) * (difficulty - w[6] * (rating - 3))
        return Strength(clipped_days(after), _clipped(reverted), repeated(repetitions, rating))

    def retention(self, elapsed_days: float, stability_days: float) -> float:
        """R = (1 + 19/81 t/S)^-0.5."""
        return _retention(elapsed_days, stability_days, CURVE_45)

    def interval_days(self, stability_days: float, target_retention: float) -> float:
        """Return after how many days R falls to the target."""
        return _interval(stability_days, target_retention, CURVE_45)


class Fsrs6(NamedTuple):
    """FSRS-6, 21 weights: reviews within a day count, and w20 shapes the curve."""

    weights: tuple[float, ...] = FSRS_6_WEIGHTS

    def first(self, rating: Rating) -> Strength:
        """S0 = w[G-1]; D0 = w4 - e^(w5 (G - 1)) + 1."""
        return Strength(
            clipped_days(self.weights[rating - 1]), _clipped(self._first_difficulty(rating)), repeated(0, rating)
        )

    def following(self, strength: Strength, rating: Rating, elapsed_days: float) -> Strength:
        """As FSRS-4.5, but a review on the same day has a rule of its own, and difficulty rises less near its top."""
        w, (stability, difficulty, repetitions) = self.weights, strength
        left = self.retention(math.floor(elapsed_days), stability)
        if elapsed_days < 1:
            growth = math.exp(w[17] * (rating - 3 + w[18])) * float(stability ** -w[19])
            after = stability * (growth if rating is Rating.AGAIN else max(growth, 1.0))
        elif rating is Rating.AGAIN:
            after = min(_lapsed(w, difficulty, stability, left), stability / math.exp(w[17] * w[18]))
        else:
            after = _recalled(w, difficulty, stability, left, rating)
        damped = difficulty - w[6] * (rating - 3) * (10 - difficulty) / 9
        reverted = w[7] * self._first_difficulty(Rating.EASY) + (1 - w[7]) * damped
        return Strength(clipped_days(after), _clipped(reverted), repeated(repetitions, rating))

    def retention(self, elapsed_days: float, stability_days: float) -> float:
        """R = (1 + F t/S)^-w20."""
        return _retention(elapsed_days, stability_days, -self.weights[20])

    def interval_days(self, stability_days: float, target_retention: float) -> float:
        """Return after how many days R falls to the target."""
        return _interval(stability_days, target_retention, -self.weights[20])

    def _first_difficulty(self, rating: Rating) -> float:
        return self.weights[4] - math.exp(self.weights[5] * (rating - 1)) + 1


def _recalled(w: tuple[float, ...], difficulty: float, stability: float, left: float, rating: Rating) -> float:
    """S (1 + e^w8 (11 - D) S^-w9 (e^(w10 (1 - R)) - 1) [w15 if hard] [w16 if easy])."""
    factor = {Rating.HARD: w[15], Rating.EASY: w[16]}.get(rating, 1.0)
    spacing = math.exp((1 - left) * w[10]) - 1
    return float(stability * (1 + math.exp(w[8]) * (11 - difficulty) * stability ** -w[9] * spacing * factor))


def _lapsed(w: tuple[float, ...], difficulty: float, stability: float, left: float) -> float:
    """w11 D^-w12 ((S + 1)^w13 - 1) e^(w14 (1 - R))."""
    return float(w[11] * difficulty ** -w[12] * ((stability + 1) ** w[13] - 1) * math.exp((1 - left) * w[14]))


def _retention(elapsed_days: float, stability_days: float, curve: float) -> float:
    return float((1 + _scale(curve) * max(elapsed_days, 0.0) / clipped_days(stability_days)) ** curve)


def _interval(stability_days: float, target_retention: float, curve: float) -> float:
    return clipped_days(stability_days / _scale(curve) * (target_retention ** (1 / curve) - 1))


def _scale(curve: float) -> float:
    return float(_ANCHOR ** (1 / curve) - 1)


def _clipped(difficulty: float) -> float:
    return float(min(10.0, max(1.0, difficulty)))
