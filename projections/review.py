"""Review cards: when each memory is due, computed once where a review is decided and carried in its event.

``first_card`` and ``next_card`` are pure functions of the rules, the card, the grade and the time. They take powers and
logarithms, so only ``propose`` calls them; ``apply`` copies what the event says (``cards_of``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from memorygraph.events.errors import DamagedLog, InputError
from memorygraph.events.records import ReviewCard, ReviewsRecorded
from memorygraph.events.types import ReviewModel
from memorygraph.projections.review_curves import Ebbinghaus, PowerLaw
from memorygraph.projections.review_fsrs import Fsrs6, Fsrs45
from memorygraph.projections.review_sm2 import Sm2
from memorygraph.projections.review_terms import Model, Strength, rating_of

GRADES_MAX: Final = 128
DAY_US: Final = 86_400_000_000
_TIME_MAX: Final = 1 << 62


class Rules(Struct, frozen=True, kw_only=True):
    """How cards are made: the model's code with its numbers (those of the other models are of no meaning).

    ``weights`` are FSRS's 17 or FSRS-6's 21; ``alpha`` and ``b`` shape the power law. A card is due when its retention
    falls to ``target_retention``.
    """

    model: int
    target_retention: float = 0.9
    weights: tuple[float, ...] = ()
    alpha: float = 0.5
    b: float = 1.0


_MODELS: Final[dict[int, Callable[[Rules], Model]]] = {
    ReviewModel.FSRS.code: lambda rules: Fsrs45(rules.weights),
    ReviewModel.FSRS6.code: lambda rules: Fsrs6(rules.weights),
    ReviewModel.SM2.code: lambda _: Sm2(),
    ReviewModel.EBBINGHAUS.code: lambda _: Ebbinghaus(),
    ReviewModel.POWER_LAW.code: lambda rules: PowerLaw(rules.alpha, rules.b),
}


def model_of(rules: Rules) -> Model:
    """Return the model that the rules name."""
    return _MODELS[rules.model](rules)


def first_card(rules: Rules, grade: float, now_us: int) -> ReviewCard:
    """Return the card of a memory that is registered with a grade."""
    return _card(rules, model_of(rules).first(rating_of(grade)), now_us, ())


def next_card(rules: Rules, card: ReviewCard, grade: float, now_us: int) -> ReviewCard:
    """Return a card after a review; one before the last review counts as at the same time."""
    before = Strength(card.stability_days, card.difficulty, card.repetitions)
    elapsed_days = max(0, now_us - card.reviewed_us) / DAY_US
    after = model_of(rules).following(before, rating_of(grade), elapsed_days)
    return _card(rules, after, max(now_us, card.reviewed_us), (*card.grades, grade)[-GRADES_MAX:])


def reviewed(rules: Rules, before: ReviewCard | None, grade: float, now_us: int, *, begins: bool) -> ReviewCard:
    """Return the card that a review leads to; the first one if it begins, or there was none."""
    if before is None or begins:
        card = first_card(rules, grade, now_us)
        return card if begins else msgspec.structs.replace(card, grades=(grade,))
    return next_card(rules, before, grade, now_us)


def require_later(node_id: str, before: ReviewCard | None, time_us: int | None) -> None:
    """Refuse a review that names a time before the last one; a clock that was set back is no such time (None).

    Raises:
        InputError: it is before the last review.
    """
    if before is not None and time_us is not None and time_us < before.reviewed_us:
        raise InputError(
            f"{node_id!r} was reviewed after that already, {(before.reviewed_us - time_us) / 1e6:g} s later; record "
            "reviews in their order, or register it anew at that time",
            id=node_id,
        )


def retention_at(rules: Rules, card: ReviewCard, now_us: int) -> float:
    """Return how probable recall is at a time, 0..1."""
    return model_of(rules).retention((now_us - card.reviewed_us) / DAY_US, card.stability_days)


def cards_of(event: ReviewsRecorded) -> list[ReviewCard]:
    """Return the cards that an event tells of, each with its newest grade alone.

    Raises:
        DamagedLog: one of them is such as no release writes.
    """
    cards = [
        ReviewCard(event.model, stability_days, difficulty, repetitions, time_us, due_us, (grade,))
        for stability_days, difficulty, repetitions, time_us, due_us, grade in zip(
            event.stabilities_days,
            event.difficulties,
            event.repetitions,
            event.times_us,
            event.due_us,
            event.grades,
            strict=True,
        )
    ]
    if not all(map(is_sound, cards)):
        raise DamagedLog("a review came to a stability or a time that no release writes")
    return cards


def is_sound(card: ReviewCard) -> bool:
    """Whether a card's numbers are in range."""
    numbers = (card.stability_days, card.difficulty, *card.grades)
    is_timely = abs(card.reviewed_us) < _TIME_MAX and abs(card.due_us) < _TIME_MAX
    return is_timely and all(map(math.isfinite, numbers)) and card.stability_days > 0 and card.repetitions >= 0


def succeeding(before: ReviewCard | None, card: ReviewCard, *, begins: bool) -> ReviewCard:
    """Return a card as it is kept: with the grades before its own; a first card has none."""
    earlier = () if before is None else before.grades
    return msgspec.structs.replace(card, grades=() if begins else (earlier + card.grades)[-GRADES_MAX:])


def _card(rules: Rules, strength: Strength, now_us: int, grades: tuple[float, ...]) -> ReviewCard:
    interval_days = model_of(rules).interval_days(strength.stability_days, rules.target_retention)
    return ReviewCard(rules.model, *strength, now_us, now_us + round(interval_days * DAY_US), grades)
