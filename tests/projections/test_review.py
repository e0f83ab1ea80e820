"""Review schedules against their references: FSRS from golden vectors, SM-2 and the curves from their formulas."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.events.errors import DamagedLog
from memorygraph.events.types import ReviewModel
from memorygraph.projections import review, review_fsrs
from memorygraph.projections.review import (
    DAY_US,
    GRADES_MAX,
    Rules,
    cards_of,
    first_card,
    model_of,
    next_card,
    retention_at,
    succeeding,
)
from memorygraph.projections.review_curves import Ebbinghaus, PowerLaw
from memorygraph.projections.review_fsrs import FSRS_6_WEIGHTS, FSRS_45_WEIGHTS
from memorygraph.projections.review_sm2 import Sm2, answered
from memorygraph.projections.review_terms import STABILITY_MAX_DAYS, Rating, Strength, rating_of

GRADE_OF = {1: 0.1, 2: 0.3, 3: 0.6, 4: 1.0}
RULES = [
    Rules(model=ReviewModel.FSRS.code, weights=FSRS_45_WEIGHTS),
    Rules(model=ReviewModel.FSRS6.code, weights=FSRS_6_WEIGHTS),
    Rules(model=ReviewModel.SM2.code),
    Rules(model=ReviewModel.EBBINGHAUS.code),
    Rules(model=ReviewModel.POWER_LAW.code),
]
NAMES = [ReviewModel.from_code(rules.model).value for rules in RULES]
each_model = pytest.mark.parametrize("rules", RULES, ids=NAMES)
by_time = pytest.mark.parametrize("rules", [RULES[0], RULES[1], RULES[3], RULES[4]], ids=[*NAMES[:2], *NAMES[3:]])
START_US = 1_795_000_000_000_000


def golden_runs(name: str) -> list[dict]:
    path = Path(__file__).parent / "data" / f"{name}.json"
    return json.loads(path.read_text())["runs"]


def check_golden(model: ReviewModel, name: str) -> int:
    """Go through every run and compare what each rating leads to; return how many cards were compared."""
    compared = 0
    for run in golden_runs(name):
        rules = Rules(model=model.code, weights=tuple(run["weights"]), target_retention=run["target_retention"])
        card, now_us = None, START_US
        for step in run["steps"]:
            now_us += step["gap_s"] * 1_000_000
            afters = {
                rating: first_card(rules, grade, now_us) if card is None else next_card(rules, card, grade, now_us)
                for rating, grade in GRADE_OF.items()
            }
            for rating, after in afters.items():
                check_card(rules, after, step["after"][str(rating)], now_us)
                compared += 1
            card = afters[step["rating"]]
    return compared


def check_card(rules: Rules, card: ev.ReviewCard, said: dict, now_us: int) -> None:
    assert card.stability_days == pytest.approx(said["stability"], rel=1e-9)
    assert card.difficulty == pytest.approx(said["difficulty"], rel=1e-9)
    assert card.reviewed_us == now_us
    days = (card.due_us - now_us) / DAY_US  # the reference's are whole days, at least one
    assert days == pytest.approx(said["interval_days"], abs=0.5 + 1e-6) or days < said["interval_days"] == 1
    left = [retention_at(rules, card, now_us + elapsed * DAY_US) for elapsed in (0, 1, 10, 100)]
    assert left == pytest.approx(said["retention"], rel=1e-9)


@pytest.mark.parametrize(("model", "name"), [(ReviewModel.FSRS, "fsrs-4.5"), (ReviewModel.FSRS6, "fsrs-6")])
def test_fsrs_is_its_reference(model, name) -> None:
    assert check_golden(model, name) == 10 * 9 * 4


MUTANTS = {
    "no hard penalty": ("_recalled", lambda right: lambda *given: right(*given[:4], Rating.GOOD)),
    "lapses forgiven": ("_lapsed", lambda _: lambda *given: given[2]),
    "difficulty unclipped": ("_clipped", lambda _: lambda difficulty: difficulty),
    "a rounder curve": ("_scale", lambda right: lambda curve: right(curve) * 1.01),
}


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize(("model", "name"), [(ReviewModel.FSRS, "fsrs-4.5"), (ReviewModel.FSRS6, "fsrs-6")])
def test_golden_vectors_see_a_wrong_formula(model, name, mutant, monkeypatch) -> None:
    attribute, broken = MUTANTS[mutant]
    monkeypatch.setattr(review_fsrs, attribute, broken(getattr(review_fsrs, attribute)))
    with pytest.raises(AssertionError):
        check_golden(model, name)


def test_grades_are_cut_into_quarters() -> None:
    grades = [0.0, 0.24, 0.25, 0.49, 0.5, 0.74, 0.75, 1.0]
    assert [rating_of(grade).value for grade in grades] == [1, 1, 2, 2, 3, 3, 4, 4]


@each_model
@pytest.mark.parametrize("grade", [0.3, 0.6, 1.0])
def test_a_review_right_after_registering_does_not_collapse(rules, grade) -> None:
    before = first_card(rules, 0.6, START_US)
    after = next_card(rules, before, grade, START_US + 1)
    assert after.stability_days >= before.stability_days
    assert after.due_us - after.reviewed_us >= before.due_us - before.reviewed_us


@by_time
def test_hard_good_easy_rise_and_again_falls(rules) -> None:
    before = first_card(rules, 0.6, START_US)
    again, hard, good, easy = (
        next_card(rules, before, grade, before.due_us).stability_days for grade in GRADE_OF.values()
    )
    assert again < before.stability_days < hard < good < easy


@by_time
def test_what_was_nearly_forgotten_gains_more(rules) -> None:
    before = first_card(rules, 0.6, START_US)
    early, late = (
        next_card(rules, before, 0.6, START_US + days * DAY_US).stability_days
        for days in (0, 5 * before.stability_days // 1)
    )
    assert early < late


@each_model
def test_it_is_due_when_retention_falls_to_the_target(rules) -> None:
    for target in (0.7, 0.9, 0.97):
        wanted = msgspec.structs.replace(rules, target_retention=target)
        card = first_card(wanted, 0.6, START_US)
        assert retention_at(wanted, card, card.due_us) == pytest.approx(target, abs=1e-6)
        assert retention_at(wanted, card, START_US) == retention_at(wanted, card, START_US - DAY_US) == 1.0


@each_model
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(-DAY_US, 10_000 * DAY_US)), max_size=30))
def test_any_history_leads_to_a_sound_card(rules, reviews) -> None:
    card = first_card(rules, 0.8, START_US)
    now_us = START_US
    for grade, gap_us in reviews:
        now_us += gap_us
        card = next_card(rules, card, grade, now_us)
        assert review.is_sound(card)
        assert 0 < card.stability_days <= STABILITY_MAX_DAYS
        assert card.due_us >= card.reviewed_us
        assert 0.0 <= retention_at(rules, card, now_us + DAY_US) <= 1.0
    assert list(card.grades) == [grade for grade, _ in reviews]


def test_sm2_by_hand() -> None:
    """Wozniak (1990): 1 day, 6 days, then the interval times EF, which moves with the quality."""
    strength = Strength(1.0, 2.5, 0)
    seen = []
    for quality in (5, 4, 3, 2, 5, 5, 5):
        strength = answered(strength, quality)
        seen.append((strength.stability_days, round(strength.difficulty, 3), strength.repetitions))
    assert seen == [
        (1.0, 2.6, 1),
        (6.0, 2.6, 2),
        (6.0 * 2.46, 2.46, 3),
        (1.0, 2.46, 0),
        (1.0, 2.56, 1),
        (6.0, 2.66, 2),
        (pytest.approx(6.0 * 2.76), 2.76, 3),
    ]
    for _ in range(20):
        strength = answered(strength, 3)
    assert strength.difficulty == 1.3
    assert [Sm2().first(rating).difficulty for rating in Rating] == pytest.approx([2.5, 2.36, 2.5, 2.6])
    assert Sm2().interval_days(6.0, 0.9) == pytest.approx(6.0)


def test_the_curves_in_closed_form() -> None:
    assert Ebbinghaus().retention(3.0, 2.0) == math.exp(-1.5)
    assert PowerLaw(2.0, 0.5).retention(6.0, 3.0) == 0.25
    assert PowerLaw(2.0, 0.5).interval_days(3.0, 0.25) == pytest.approx(6.0)
    assert Ebbinghaus().following(Strength(2.0, 0.0, 3), Rating.GOOD, 50.0) == Strength(4.0, 0.0, 4)
    assert Ebbinghaus().following(Strength(2.0, 0.0, 3), Rating.AGAIN, 50.0) == Strength(1.0, 0.0, 0)


def test_a_review_before_the_last_one_counts_as_at_its_time() -> None:
    card = first_card(RULES[0], 0.6, START_US)
    assert next_card(RULES[0], card, 0.6, START_US - DAY_US) == next_card(RULES[0], card, 0.6, START_US)


def event_of(**fields) -> ev.ReviewsRecorded:
    values = {
        "ids": ("a",),
        "model": 1,
        "grades": (0.5,),
        "stabilities_days": (2.0,),
        "difficulties": (5.0,),
        "repetitions": (1,),
        "times_us": (5,),
        "due_us": (9,),
    }
    return ev.ReviewsRecorded(**{**values, **fields})


def test_an_event_gives_its_cards() -> None:
    [card] = cards_of(event_of())
    assert card == ev.ReviewCard(1, 2.0, 5.0, 1, 5, 9, (0.5,))
    assert succeeding(None, card, begins=False) == card
    assert succeeding(card, card, begins=True).grades == ()
    full = msgspec.structs.replace(card, grades=tuple(range(GRADES_MAX)))
    assert succeeding(full, card, begins=False).grades == (*range(1, GRADES_MAX), 0.5)


@pytest.mark.parametrize(
    "field",
    [
        {"stabilities_days": (0.0,)},
        {"stabilities_days": (math.nan,)},
        {"difficulties": (math.inf,)},
        {"grades": (math.nan,)},
        {"repetitions": (-1,)},
        {"times_us": (1 << 62,)},
        {"due_us": (-(1 << 62),)},
    ],
    ids=str,
)
def test_a_card_that_no_release_writes_is_damage(field) -> None:
    with pytest.raises(DamagedLog, match="no release writes"):
        cards_of(event_of(**field))


def test_each_model_is_known_by_its_code() -> None:
    assert {ReviewModel.from_code(code) for code in review._MODELS} == set(ReviewModel)
    assert [type(model_of(rules)).__name__ for rules in RULES] == ["Fsrs45", "Fsrs6", "Sm2", "Ebbinghaus", "PowerLaw"]
