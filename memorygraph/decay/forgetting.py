"""``SpacedRepetitionScheduler``: which memories are due for review, and what a review changes.

By itself a scheduler keeps its cards in this process. ``SpacedRepetitionScheduler(memory=memory)`` keeps them in a
memory: each review is an event in its log, so cards survive reopening, are seen through ``memory.at``, and go when
their memory is forgotten. Nothing here forgets by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memorygraph import checks
from memorygraph.actors.review_queries import Retention
from memorygraph.core.graph import MemoryGraph
from memorygraph.core.node import MemoryNode
from memorygraph.decay.cards import Cards, MemoryCards, OwnCards, Review
from memorygraph.decay.models import (
    DAY_S,
    EbbinghausModel,
    ForgettingModel,
    FSRSModel,
    PowerLawModel,
    SM2Card,
    SM2Model,
    model_named,
    rules_for,
)
from memorygraph.drafts import id_of
from memorygraph.events.errors import InputError, NodeNotFoundError
from memorygraph.events.ports import Clock, SystemClock
from memorygraph.events.records import ReviewCard
from memorygraph.events.types import ReviewModel
from memorygraph.projections.review import Rules, model_of, retention_at
from memorygraph.projections.review_terms import rating_of
from memorygraph.reader import MemoryReader
from memorygraph.times import TimeLike, to_seconds, to_us

__all__ = [
    "EbbinghausModel",
    "FSRSModel",
    "ForgettingModel",
    "PowerLawModel",
    "ReviewEntry",
    "SM2Card",
    "SM2Model",
    "SpacedRepetitionScheduler",
    "retentions",
]

CHUNK: Final = 4_096  # nodes of one record
HORIZON_MAX_DAYS: Final = 1e6
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ReviewEntry:
    """A memory's place in a schedule, as it was when it was handed out. Times are Unix seconds."""

    __slots__ = ("_card", "_clock", "_rules", "node_id")

    def __init__(self, node_id: str, card: ReviewCard, rules: Rules, clock: Clock) -> None:
        self.node_id = node_id
        self._card = card
        self._rules = rules
        self._clock = clock

    @property
    def stability(self) -> float:
        """How slowly it fades, in days: FSRS and SM-2, until R is 0.9; Ebbinghaus, until 1/e."""
        return self._card.stability_days

    @property
    def difficulty(self) -> float:
        """FSRS: 1 (easy) to 10. SM-2: its easiness factor, from 1.3; there low is hard. 0 for the others."""
        return self._card.difficulty

    @property
    def repetitions(self) -> int:
        """Reviews since the last one that failed, registering included."""
        return self._card.repetitions

    @property
    def grade_history(self) -> list[float]:
        """The grades of its reviews, the last 128."""
        return list(self._card.grades)

    @property
    def last_review(self) -> float:
        """When it was reviewed last, or registered."""
        return to_seconds(self._card.reviewed_us)

    @property
    def due_at(self) -> float:
        """When it is due: then retention falls to the target."""
        return to_seconds(self._card.due_us)

    @property
    def model(self) -> str:
        """The name of its model."""
        return str(ReviewModel.from_code(self._card.model).value)

    def time_until_due(self, at: TimeLike | None = None) -> float:
        """Return the seconds until it is due; negative if it is overdue."""
        return to_seconds(self._card.due_us - self._time_us(at))

    def is_due(self, at: TimeLike | None = None) -> bool:
        """Whether it is due."""
        return self._card.due_us <= self._time_us(at)

    def retention(self, at: TimeLike | None = None) -> float:
        """Return how probable recall is, 0..1."""
        return retention_at(self._rules, self._card, self._time_us(at))

    def _time_us(self, at: TimeLike | None) -> int:
        return self._clock.now_us() if at is None else to_us(at)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReviewEntry):
            return NotImplemented
        return (self.node_id, self._card) == (other.node_id, other._card)

    def __hash__(self) -> int:
        return hash((self.node_id, self._card))

    def __repr__(self) -> str:
        try:
            due = f"{_EPOCH + timedelta(microseconds=self._card.due_us):%Y-%m-%d %H:%M} UTC"
        except OverflowError:
            due = "after the year 9999"
        return f"<ReviewEntry {self.node_id}: stability {self.stability:.2f} days, due {due}>"


class SpacedRepetitionScheduler:
    """Says when memories are to be reviewed, so that they are still there with a probability of ``target_retention``.

    Grades are in 0..1 and are cut into again (below 0.25), hard (below 0.5), good (below 0.75) and easy. Given the same
    times, it comes to the same schedule; ``at`` gives the time of a call (default: now).

    Args:
        model: "fsrs" (FSRS-4.5), "fsrs6", "sm2", "ebbinghaus" or "power_law"; or one of the model classes here.
        target_retention: 0.01..0.999.
        memory: whose memories these are (an ``AgentMemory`` or a ``MemoryGraph``); a node has one card there, of one
            model. None: nodes are ids of anything, and the cards live in this object.
        clock: where the time comes from without a memory.

    Raises:
        InputError: a value that cannot be used.
    """

    def __init__(
        self,
        model: str | ForgettingModel = "fsrs",
        target_retention: float = 0.90,
        *,
        memory: MemoryReader | MemoryGraph | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.model = model_named(model)
        self._rules = rules_for(self.model, target_retention)
        if memory is None:
            self._cards: Cards = OwnCards(clock or SystemClock())
        elif not isinstance(memory, MemoryReader | MemoryGraph):
            raise InputError(f"memory must be an AgentMemory or a MemoryGraph, not {checks.shown(memory)}")
        elif clock is not None:
            raise InputError("a memory has its own clock; give the time of a review with at=")
        else:
            self._cards = MemoryCards(memory._home)

    @property
    def target_retention(self) -> float:
        """The retention at which a memory is due."""
        return self._rules.target_retention

    def register_node(
        self,
        node_id: str | MemoryNode,
        initial_grade: float = 0.8,
        *,
        at: TimeLike | None = None,
        command_id: str | None = None,
    ) -> ReviewEntry:
        """Begin to schedule a memory, by how well it is known; one that is scheduled already begins anew.

        Raises:
            NodeNotFoundError: it is not in the memory.
        """
        [entry] = self.register_nodes({id_of(node_id): initial_grade}, at=at, command_id=command_id)
        return entry

    def register_nodes(
        self, grades: Mapping[str, float], *, at: TimeLike | None = None, command_id: str | None = None
    ) -> list[ReviewEntry]:
        """Begin to schedule many memories, given as id -> grade, in chunks that are each all or nothing."""
        checked = {self._id(node_id): _grade(grade) for node_id, grade in dict(grades).items()}
        time_us = None if at is None else to_us(at)
        pairs = iter(checked.items())
        for number in range(0, len(checked), CHUNK):
            name = command_id if command_id is None or len(checked) <= CHUNK else f"{command_id}/{number // CHUNK}"
            review = Review(dict(islice(pairs, CHUNK)), time_us, begins=True, command_id=name)
            self._cards.record(self._rules, review)
        return self._entries(list(checked))

    def record_review(
        self,
        node_id: str | MemoryNode,
        grade: float,
        *,
        at: TimeLike | None = None,
        command_id: str | None = None,
    ) -> ReviewEntry:
        """Record how a review went, from 0 (forgotten) to 1 (perfect), and return when the next one is due.

        In a memory it counts as an access, too. One that is not scheduled yet begins with this review.

        Raises:
            NodeNotFoundError: it is not in the memory.
            InputError: it is scheduled by another model, or ``at`` is before its last review.
        """
        name = self._id(node_id)
        time_us = None if at is None else to_us(at)
        review = Review({name: _grade(grade)}, time_us, begins=False, command_id=command_id)
        self._cards.record(self._rules, review)
        return self.entry(name)

    def unregister_node(self, node_id: str | MemoryNode, *, command_id: str | None = None) -> None:
        """Take a memory out of the schedule; it stays in the memory. One that is not scheduled stays as it is.

        Raises:
            NodeNotFoundError: it is not in the memory.
            NotOwnerError: it is another agent's.
        """
        self._cards.end([self._id(node_id)], command_id)

    def entry(self, node_id: str | MemoryNode) -> ReviewEntry:
        """Return a memory's place in the schedule.

        Raises:
            NodeNotFoundError: it is not scheduled.
        """
        [entry] = self._entries([self._id(node_id)])
        return entry

    def get_due_nodes(self, *, at: TimeLike | None = None) -> list[ReviewEntry]:
        """Return what is due, the longest overdue first."""
        return self.get_upcoming(0.0, at=at)

    def get_upcoming(self, within_seconds: float = DAY_S, *, at: TimeLike | None = None) -> list[ReviewEntry]:
        """Return what is due within some seconds, what is due already included, soonest first."""
        within_s = checks.number("within_seconds", within_seconds, 0.0, HORIZON_MAX_DAYS * DAY_S)
        until_us = self._time_us(at) + round(within_s * 1e6)
        return [self._entry(node_id, card) for node_id, card in self._cards.find(self._rules, until_us)]

    def forgetting_curve_points(
        self, node_id: str | MemoryNode, num_points: int = 100, time_horizon_days: float = 30.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a memory's forgetting curve since its last review: seconds and retentions, shape (num_points,) each.

        Raises:
            NodeNotFoundError: it is not scheduled.
        """
        count = checks.count("num_points", num_points, 2, 1_000_000)
        horizon_days = checks.number("time_horizon_days", time_horizon_days, 0.0, HORIZON_MAX_DAYS)
        stability = self.entry(node_id).stability
        days = np.linspace(0.0, horizon_days, count)
        retention = model_of(self._rules).retention
        return days * DAY_S, np.array([retention(day, stability) for day in days.tolist()])

    def retention_distribution(self, *, at: TimeLike | None = None) -> dict[str, float]:
        """Return how probable recall of each scheduled memory is, by id."""
        now_us = self._time_us(at)
        found = self._cards.find(self._rules, None)
        return {node_id: retention_at(self._rules, card, now_us) for node_id, card in found}

    def fit(self) -> FSRSModel:
        """Return FSRS-6 with weights fitted to this scheduler's reviews (extra ``review``, which brings torch).

        The ratings count, whatever model asked for them. The fit needs many: with fewer than 512 it gives the weights
        that FSRS-6 comes with. It can take minutes.

        Raises:
            ImportError: the extra is not installed.
            InputError: nothing was reviewed.
        """
        reviews = self._review_logs()
        if not reviews:
            raise InputError("there is nothing to fit to: no review was recorded")
        try:
            from fsrs import Optimizer

            optimizer = Optimizer(reviews)
        except ImportError as error:
            raise ImportError(_NEEDS_FSRS) from error
        return FSRSModel(optimizer.compute_optimal_parameters())

    def __len__(self) -> int:
        return len(self._cards.find(self._rules, None))

    def __contains__(self, node_id: object) -> bool:
        name = node_id.id if isinstance(node_id, MemoryNode) else node_id
        return isinstance(name, str) and self._cards.get([name]) != [None]

    def __iter__(self) -> Iterator[ReviewEntry]:
        return (self._entry(node_id, card) for node_id, card in self._cards.find(self._rules, None))

    def __repr__(self) -> str:
        return f"SpacedRepetitionScheduler({self.model.name!r}, {self.target_retention:g}, nodes={len(self)})"

    def _review_logs(self) -> list[Any]:
        """The ratings as the fit takes them; a memory that was registered anew is another card."""
        try:
            from fsrs import Rating, ReviewLog
        except ImportError as error:
            raise ImportError(_NEEDS_FSRS) from error
        numbers: dict[str, int] = {}
        logs = []
        for place, rated in enumerate(self._cards.log()):
            if rated.begins or rated.node_id not in numbers:
                numbers[rated.node_id] = place
            when = _EPOCH + timedelta(microseconds=rated.time_us)
            logs.append(ReviewLog(numbers[rated.node_id], Rating(int(rating_of(rated.grade))), when, None))
        return logs

    def _id(self, node_id: str | MemoryNode) -> str:
        return checks.identifier("node_id", id_of(node_id))

    def _time_us(self, at: TimeLike | None) -> int:
        return self._cards.clock.now_us() if at is None else to_us(at)

    def _entries(self, ids: list[str]) -> list[ReviewEntry]:
        entries = []
        for node_id, card in zip(ids, self._cards.get(ids), strict=True):
            if card is None:
                raise NodeNotFoundError(f"{node_id!r} is not scheduled for review; register it first", id=node_id)
            entries.append(self._entry(node_id, card))
        return entries

    def _entry(self, node_id: str, card: ReviewCard) -> ReviewEntry:
        return ReviewEntry(node_id, card, self._rules, self._cards.clock)


def retentions(memory: MemoryReader | MemoryGraph, *, at: TimeLike | None = None) -> NDArray[np.float64]:
    """Return what is left of every memory, 0..1, by its own curve; shape (memories,), oldest first as in iteration.

    This is what ``forget`` goes by, all at once: see ``MemoryNode.retention`` for one.
    """
    home = memory._home
    now_us = home.clock.now_us() if at is None else to_us(at)
    values: bytes = home.engine.ask(Retention(now_us=now_us)).value
    return np.frombuffer(values)


_NEEDS_FSRS: Final = (
    "fitting needs the package fsrs with its optimizer; install it with: pip install 'memorygraph[review]'"
)


def _grade(given: float) -> float:
    value = checks.number("grade", given, -math.inf, math.inf)
    if not 0.0 <= value <= 1.0:
        raise InputError(f"a grade must be from 0 (forgotten) to 1 (perfect), not {value:g}")
    return value
