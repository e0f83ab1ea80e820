"""SM-2 (Wozniak, 1990): intervals that grow by an easiness factor.

I(1) = 1 day, I(2) = 6 days, I(n) = I(n-1) EF. EF' = EF + 0.1 - (5 - q)(0.08 + (5 - q) 0.02), at least 1.3, where q in
0..5 is the quality of the answer. q < 3 starts again with I(1) and leaves EF alone. Elapsed time does not enter.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from memorygraph.projections.review_terms import Rating, Strength, clipped_days

EASINESS: Final = 2.5
EASINESS_MIN: Final = 1.3
QUALITY_PASSED: Final = 3
FIRST_DAYS: Final = (1.0, 6.0)
_QUALITIES: Final = {Rating.AGAIN: 1, Rating.HARD: 3, Rating.GOOD: 4, Rating.EASY: 5}
_ANCHOR: Final = 0.9


class Sm2(NamedTuple):
    """SM-2. Its stability is the interval; it knows no curve, so R falls as e^-t through 0.9 at the interval's end."""

    def first(self, rating: Rating) -> Strength:
        """Return the strength after the first rating."""
        return answered(Strength(FIRST_DAYS[0], EASINESS, 0), _QUALITIES[rating])

    def following(self, strength: Strength, rating: Rating, elapsed_days: float) -> Strength:
        """Return the strength after a review."""
        del elapsed_days
        return answered(strength, _QUALITIES[rating])

    def retention(self, elapsed_days: float, stability_days: float) -> float:
        """R = 0.9^(t/I)."""
        return float(_ANCHOR ** (max(elapsed_days, 0.0) / clipped_days(stability_days)))

    def interval_days(self, stability_days: float, target_retention: float) -> float:
        """Return the interval; for another target than 0.9, when R falls to it."""
        return clipped_days(stability_days * math.log(target_retention) / math.log(_ANCHOR))


def answered(strength: Strength, quality: int) -> Strength:
    """Return interval, easiness and repetitions after an answer of quality 0..5."""
    interval_days, easiness, repetitions = strength
    if quality < QUALITY_PASSED:
        return Strength(FIRST_DAYS[0], easiness, 0)
    missing = 5 - quality
    easiness = max(EASINESS_MIN, easiness + 0.1 - missing * (0.08 + missing * 0.02))
    is_early = repetitions < len(FIRST_DAYS)
    interval_days = FIRST_DAYS[repetitions] if is_early else clipped_days(interval_days * easiness)
    return Strength(interval_days, easiness, repetitions + 1)
