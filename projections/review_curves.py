"""Review by a forgetting curve alone: Ebbinghaus (1885), and the power law of Wixted & Ebbesen (1991).

The curves say how a memory fades. How a review changes its stability is ours, the spacing effect at its simplest: what
was still there gains nothing, and what had faded to 0.9 or less is doubled (good), half of that gain if it was hard,
twice if easy. A failed review halves it.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from memorygraph.projections.review_terms import Rating, Strength, clipped_days, repeated

FIRST_DAYS: Final = {Rating.AGAIN: 1.75, Rating.HARD: 3.5, Rating.GOOD: 7.0, Rating.EASY: 14.0}  # good: a week
GAIN: Final = {Rating.HARD: 0.5, Rating.GOOD: 1.0, Rating.EASY: 2.0}
LAPSE: Final = 0.5
FADED: Final = 0.1  # of retention lost, from which a review counts in full


class Ebbinghaus(NamedTuple):
    """R = e^(-t/S)."""

    def first(self, rating: Rating) -> Strength:
        """Return the strength after the first rating."""
        return _first(rating)

    def following(self, strength: Strength, rating: Rating, elapsed_days: float) -> Strength:
        """Return the strength after a review."""
        return _following(strength, rating, self.retention(elapsed_days, strength.stability_days))

    def retention(self, elapsed_days: float, stability_days: float) -> float:
        """Return R."""
        return math.exp(-max(elapsed_days, 0.0) / clipped_days(stability_days))

    def interval_days(self, stability_days: float, target_retention: float) -> float:
        """Return t = -S ln R."""
        return clipped_days(-stability_days * math.log(target_retention))


class PowerLaw(NamedTuple):
    """R = (1 + b t/S)^-alpha."""

    alpha: float = 0.5
    b: float = 1.0

    def first(self, rating: Rating) -> Strength:
        """Return the strength after the first rating."""
        return _first(rating)

    def following(self, strength: Strength, rating: Rating, elapsed_days: float) -> Strength:
        """Return the strength after a review."""
        return _following(strength, rating, self.retention(elapsed_days, strength.stability_days))

    def retention(self, elapsed_days: float, stability_days: float) -> float:
        """Return R."""
        return float((1 + self.b * max(elapsed_days, 0.0) / clipped_days(stability_days)) ** -self.alpha)

    def interval_days(self, stability_days: float, target_retention: float) -> float:
        """Return t = S (R^(-1/alpha) - 1) / b."""
        return clipped_days(stability_days * (target_retention ** (-1 / self.alpha) - 1) / self.b)


def _first(rating: Rating) -> Strength:
    return Strength(FIRST_DAYS[rating], 0.0, repeated(0, rating))


def _following(strength: Strength, rating: Rating, left: float) -> Strength:
    factor = LAPSE if rating is Rating.AGAIN else 1.0 + GAIN[rating] * min(1.0, (1.0 - left) / FADED)
    return Strength(clipped_days(strength.stability_days * factor), 0.0, repeated(strength.repetitions, rating))
