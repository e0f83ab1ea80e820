"""Write what the reference implementations of FSRS say: run this file once with each of them installed.

    python -m venv F && F/bin/pip install fsrs==2.5.1 && F/bin/python tests/projections/make_review_golden.py
    python -m venv G && G/bin/pip install fsrs==6.3.2 && G/bin/python tests/projections/make_review_golden.py

fsrs 2.5.1 is FSRS-4.5, fsrs 6.3.2 is FSRS-6. Both are asked without learning steps, which we do not have: 6.3.2 can be
told so, and in 2.5.1 a card is put into the state Review after its first rating. memorygraph imports neither.
"""

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from random import Random

import fsrs

START = datetime(2026, 1, 1, tzinfo=UTC)
DATA = Path(__file__).parent / "data"
GAPS_S = (60, 3_600, 86_399, 86_400, 200_000, 3 * 86_400, 10 * 86_400, 45 * 86_400, 400 * 86_400)


class Fsrs45:
    """FSRS-4.5 as fsrs 2.5.1 has it."""

    def __init__(self, weights, target):
        self.fsrs = fsrs.FSRS(w=weights, request_retention=target)
        self.weights = list(self.fsrs.p.w)

    def review(self, card, rating, now):
        card = deepcopy(card) or fsrs.Card()
        card, _ = self.fsrs.review_card(card, fsrs.Rating(rating), now)
        card.state = fsrs.State.Review
        return card

    def interval_days(self, card):
        return self.fsrs.next_interval(card.stability)

    def retention(self, card, days):
        return card.get_retrievability(card.last_review + timedelta(days=days))


class Fsrs6:
    """FSRS-6 as fsrs 6.3.2 has it."""

    def __init__(self, weights, target):
        given = {} if weights is None else {"parameters": weights}
        self.fsrs = fsrs.Scheduler(
            desired_retention=target, learning_steps=(), relearning_steps=(), enable_fuzzing=False, **given
        )
        self.weights = list(self.fsrs.parameters)

    def review(self, card, rating, now):
        return self.fsrs.review_card(card or fsrs.Card(), fsrs.Rating(rating), now)[0]

    def interval_days(self, card):
        return (card.due - card.last_review).days

    def retention(self, card, days):
        return self.fsrs.get_card_retrievability(card, card.last_review + timedelta(days=days))


def said(reference, card):
    """What the reference says of a card."""
    return {
        "stability": card.stability,
        "difficulty": card.difficulty,
        "interval_days": reference.interval_days(card),
        "retention": [reference.retention(card, days) for days in (0, 1, 10, 100)],
    }


def run(reference, random):
    """One memory's reviews: at each, what every rating would lead to, and which one was given."""
    card, now, steps = None, START, []
    for place in range(9):
        gap_s = random.choice(GAPS_S) if place else 0
        now += timedelta(seconds=gap_s)
        branches = {rating: reference.review(card, rating, now) for rating in (1, 2, 3, 4)}
        rating = random.choice((1, 2, 3, 3, 4))
        said_of = {str(branch): said(reference, after) for branch, after in branches.items()}
        steps.append({"gap_s": gap_s, "rating": rating, "after": said_of})
        card = branches[rating]
    return steps


if __name__ == "__main__":
    release = version("fsrs")
    make, name, count = (Fsrs45, "fsrs-4.5", 17) if release == "2.5.1" else (Fsrs6, "fsrs-6", 21)
    assert release in {"2.5.1", "6.3.2"}, release
    runs = []
    for seed in range(10):
        random = Random(seed)
        target = (0.9, 0.9, 0.8, 0.95)[seed % 4]
        weights = make(None, target).weights
        if seed % 2:
            weights = [round(weight * random.uniform(0.95, 1.05), 4) for weight in weights]
        reference = make(tuple(weights), target)
        assert len(weights) == count
        runs.append({"weights": weights, "target_retention": target, "steps": run(reference, random)})
    DATA.mkdir(exist_ok=True)
    path = DATA / f"{name}.json"
    lines = ",\n".join(map(json.dumps, runs))
    path.write_text(f'{{"made_with": "fsrs {release}", "runs": [\n{lines}\n]}}\n')
    print(path, path.stat().st_size)
