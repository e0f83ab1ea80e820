"""The models of forgetting and review, as users build them.

Everywhere R is retention in 0..1, t a time in seconds, S a stability in days.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, Self

import msgspec
from msgspec import Struct

from memorygraph import checks
from memorygraph.events.errors import InputError
from memorygraph.events.types import ReviewModel
from memorygraph.projections.review import Rules, model_of
from memorygraph.projections.review_fsrs import FSRS_6_WEIGHTS, FSRS_45_WEIGHTS
from memorygraph.projections.review_sm2 import EASINESS, FIRST_DAYS, answered
from memorygraph.projections.review_terms import Strength

DAY_S: Final = 86_400.0
TARGET_RANGE: Final = (0.01, 0.999)
_STABILITY_WEIGHTS: Final = 4  # the first weights of FSRS are stabilities in days
_STABILITY_MAX_DAYS: Final = 100.0
_WEIGHT_MAX: Final = 10.0
_CURVE_RANGE: Final = (0.1, 0.8)  # of FSRS-6's last weight
_FLAT: Final = 0.01  # a power below it never fades


class ForgettingModel:
    """Base of the models: the curve by which a memory fades, and how a review changes it."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    @property
    def name(self) -> str:
        """What ``SpacedRepetitionScheduler(model=...)`` calls it."""
        return str(ReviewModel.from_code(self._rules.model).value)

    def retention(self, elapsed_seconds: float, stability: float) -> float:
        """Return R after some seconds, for a stability in days."""
        elapsed_s = checks.number("elapsed_seconds", elapsed_seconds, 0.0, math.inf)
        return model_of(self._rules).retention(elapsed_s / DAY_S, _stability(stability))

    def interval(self, stability: float, target_retention: float = 0.9) -> float:
        """Return after how many seconds R falls to the target, for a stability in days."""
        return DAY_S * model_of(self._rules).interval_days(_stability(stability), target(target_retention))

    def __eq__(self, other: object) -> bool:
        return self._rules == other._rules if isinstance(other, ForgettingModel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._rules)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class EbbinghausModel(ForgettingModel):
    """R = e^(-t/S) (Ebbinghaus, 1885)."""

    def __init__(self) -> None:
        super().__init__(Rules(model=ReviewModel.EBBINGHAUS.code))


class PowerLawModel(ForgettingModel):
    """R = (1 + b t/S)^-alpha (Wixted & Ebbesen, 1991).

    Args:
        alpha, b: positive, up to 100; the smaller ``alpha``, the longer the tail.
    """

    def __init__(self, alpha: float = 0.5, b: float = 1.0) -> None:
        super().__init__(Rules(model=ReviewModel.POWER_LAW.code, alpha=_positive("alpha", alpha), b=_positive("b", b)))

    def __repr__(self) -> str:
        return f"PowerLawModel(alpha={self._rules.alpha:g}, b={self._rules.b:g})"


class SM2Model(ForgettingModel):
    """SM-2 (Wozniak, 1990); a stability is its interval, at whose end R is 0.9. Ratings are qualities 1, 3, 4 and 5."""

    def __init__(self) -> None:
        super().__init__(Rules(model=ReviewModel.SM2.code))


class FSRSModel(ForgettingModel):
    """FSRS-4.5 (17 weights, the default) or FSRS-6 (21 weights), after Ye et al. (2022).

    R = (1 + F t/S)^C, with C = -0.5 or minus the last weight of FSRS-6, and F such that R = 0.9 at t = S.

    Args:
        weights: None for those that FSRS-4.5 comes with; ``FSRSModel.six()`` has those of FSRS-6.

    Raises:
        InputError: there are not 17 or 21, or one is out of range.
    """

    def __init__(self, weights: Iterable[float] | None = None) -> None:
        used = FSRS_45_WEIGHTS if weights is None else _weights(weights)
        kind = ReviewModel.FSRS if len(used) == len(FSRS_45_WEIGHTS) else ReviewModel.FSRS6
        super().__init__(Rules(model=kind.code, weights=used))

    @classmethod
    def six(cls) -> Self:
        """Return FSRS-6 with the weights that it comes with."""
        return cls(FSRS_6_WEIGHTS)

    @property
    def weights(self) -> tuple[float, ...]:
        """Its weights."""
        return self._rules.weights

    def __repr__(self) -> str:
        return f"FSRSModel({list(self.weights)})"


class SM2Card(Struct, frozen=True):
    """A card of SM-2 by itself: the interval in days, the easiness factor, and the good answers since the last bad one.

    >>> SM2Card().review(5).review(4)
    SM2Card(interval_days=6.0, easiness=2.6, repetitions=2)
    """

    interval_days: float = FIRST_DAYS[0]
    easiness: float = EASINESS
    repetitions: int = 0

    def review(self, quality: int) -> SM2Card:
        """Return the card after an answer of quality 0 (blank) to 5 (perfect); below 3 it starts again."""
        strength = Strength(self.interval_days, self.easiness, self.repetitions)
        return SM2Card(*answered(strength, checks.count("quality", quality, 0, 5)))


_BY_NAME: Final = {
    "fsrs": FSRSModel,
    "fsrs6": FSRSModel.six,
    "sm2": SM2Model,
    "ebbinghaus": EbbinghausModel,
    "power_law": PowerLawModel,
}


def model_named(given: str | ForgettingModel) -> ForgettingModel:
    """Return the model for a name or a model.

    Raises:
        InputError: there is no such model.
    """
    if isinstance(given, ForgettingModel):
        return given
    if not isinstance(given, str) or given.lower() not in _BY_NAME:
        raise InputError(f"{checks.shown(given)} is not a model of review; use one of: {', '.join(_BY_NAME)}")
    return _BY_NAME[given.lower()]()


def rules_for(model: ForgettingModel, target_retention: float) -> Rules:
    """Return the rules by which cards are made."""
    return msgspec.structs.replace(model._rules, target_retention=target(target_retention))


def target(given: float) -> float:
    """Return a target of retention.

    Raises:
        InputError: it is not in 0.01..0.999.
    """
    low, high = TARGET_RANGE
    value = checks.number("target_retention", given, -math.inf, math.inf)
    if not low <= value <= high:
        raise InputError(f"target_retention must be from {low} to {high}, not {value:g}")
    return value


def _stability(given: float) -> float:
    value = checks.number("stability", given, -math.inf, math.inf)
    if not 0 < value < math.inf:
        raise InputError(f"stability must be a positive number of days, not {checks.shown(given)}")
    return value


def _positive(name: str, given: float) -> float:
    value = checks.number(name, given, -math.inf, math.inf)
    if not _FLAT <= value <= _STABILITY_MAX_DAYS:
        raise InputError(f"{name} must be from {_FLAT} to {_STABILITY_MAX_DAYS:g}, not {checks.shown(given)}")
    return value


def _weights(given: Iterable[float]) -> tuple[float, ...]:
    weights = tuple(
        checks.number("a weight", weight, -math.inf, math.inf) for weight in checks.several("weights", given)
    )
    counts = (len(FSRS_45_WEIGHTS), len(FSRS_6_WEIGHTS))
    if len(weights) not in counts:
        raise InputError(f"FSRS has {counts[0]} weights (4.5) or {counts[1]} (6), not {len(weights)}")
    for place, weight in enumerate(weights):
        low, high = (0.0, _WEIGHT_MAX)
        if place < _STABILITY_WEIGHTS:
            low, high = 0.001, _STABILITY_MAX_DAYS
        elif place == counts[1] - 1:
            low, high = _CURVE_RANGE
        if not low <= weight <= high:
            raise InputError(f"weight {place} of FSRS must be from {low:g} to {high:g}, not {weight:g}")
    return weights
