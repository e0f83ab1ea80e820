"""Where a scheduler keeps its cards: in itself, or in a memory as events."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

from memorygraph.actors.commands import EndReviews, RecordReviews
from memorygraph.actors.review_queries import FindReviews, GetReviews
from memorygraph.events.errors import InputError
from memorygraph.events.ports import Clock
from memorygraph.events.records import ReviewCard, ReviewsRecorded
from memorygraph.home import Home
from memorygraph.projections.review import Rules, require_later, reviewed


class Rated(NamedTuple):
    """One rating in the log of reviews; ``begins``: the one at registering."""

    node_id: str
    grade: float
    time_us: int
    begins: bool


class Review(NamedTuple):
    """What is to be recorded: grades by node id; ``time_us`` None means now."""

    grades: dict[str, float]
    time_us: int | None
    begins: bool
    command_id: str | None


class Cards(ABC):
    """The cards of a scheduler, by node id; safe to use from several threads."""

    clock: Clock

    @abstractmethod
    def get(self, ids: list[str]) -> list[ReviewCard | None]:
        """Return the cards of nodes, None for those without one."""

    @abstractmethod
    def find(self, rules: Rules, until_us: int | None) -> list[tuple[str, ReviewCard]]:
        """Return the cards that are due by then (None: all), soonest first."""

    @abstractmethod
    def record(self, rules: Rules, review: Review) -> None:
        """Record a review of nodes, all or none."""

    @abstractmethod
    def end(self, ids: list[str], command_id: str | None) -> None:
        """Let go of the cards of nodes; those without one are passed over."""

    @abstractmethod
    def log(self) -> Iterator[Rated]:
        """Give the ratings, oldest first."""


class OwnCards(Cards):
    """Cards that live as long as the scheduler; nodes need not exist anywhere."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._cards: dict[str, ReviewCard] = {}
        self._log: list[Rated] = []
        self._lock = threading.Lock()

    def get(self, ids: list[str]) -> list[ReviewCard | None]:
        """Return the cards of nodes."""
        with self._lock:
            return [self._cards.get(node_id) for node_id in ids]

    def find(self, rules: Rules, until_us: int | None) -> list[tuple[str, ReviewCard]]:
        """Return the cards that are due by then."""
        del rules
        with self._lock:
            cards = list(self._cards.items())
        due = [pair for pair in cards if until_us is None or pair[1].due_us <= until_us]
        return sorted(due, key=lambda pair: (pair[1].due_us, pair[0]))

    def record(self, rules: Rules, review: Review) -> None:
        """Record a review.

        Raises:
            InputError: it has a command id, which nobody would remember, or is before the last review.
        """
        _require_none(review.command_id)
        now_us = self.clock.now_us() if review.time_us is None else review.time_us
        with self._lock:
            for node_id, grade in review.grades.items():
                before = self._cards.get(node_id)
                if not review.begins:
                    require_later(node_id, before, review.time_us)
                card = self._cards[node_id] = reviewed(rules, before, grade, now_us, begins=review.begins)
                self._log.append(Rated(node_id, grade, card.reviewed_us, review.begins))

    def end(self, ids: list[str], command_id: str | None) -> None:
        """Let go of cards."""
        _require_none(command_id)
        with self._lock:
            for node_id in ids:
                self._cards.pop(node_id, None)

    def log(self) -> Iterator[Rated]:
        """Give the ratings."""
        with self._lock:
            return iter(list(self._log))


class MemoryCards(Cards):
    """Cards that are part of a memory: events in its log, gone when their node is forgotten."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.clock = home.clock

    def get(self, ids: list[str]) -> list[ReviewCard | None]:
        """Return the cards of nodes."""
        cards: list[ReviewCard | None] = self._home.engine.ask(GetReviews(ids=ids)).value
        return cards

    def find(self, rules: Rules, until_us: int | None) -> list[tuple[str, ReviewCard]]:
        """Return the cards of this model that are due by then."""
        asked = FindReviews(until_us=until_us, model=rules.model)
        found: list[tuple[str, ReviewCard]] = self._home.engine.ask(asked).value
        return found

    def record(self, rules: Rules, review: Review) -> None:
        """Record a review.

        Raises:
            NodeNotFoundError: a node is not in the memory.
            InputError: a node is scheduled by another model, or was reviewed later already.
        """
        operation = RecordReviews(
            ids=list(review.grades),
            grades=list(review.grades.values()),
            rules=rules,
            time_us=review.time_us,
            begin=review.begins,
        )
        self._home.execute(operation, command_id=review.command_id)

    def end(self, ids: list[str], command_id: str | None) -> None:
        """Let go of cards.

        Raises:
            NodeNotFoundError: a node is not in the memory.
        """
        self._home.execute(EndReviews(ids=ids), command_id=command_id)

    def log(self) -> Iterator[Rated]:
        """Give the ratings."""
        for record in self._home.engine.read(1):
            for event in record.events or ():
                if isinstance(event, ReviewsRecorded):
                    for node_id, grade, time_us in zip(event.ids, event.grades, event.times_us, strict=True):
                        yield Rated(node_id, grade, time_us, event.begins)


def _require_none(command_id: str | None) -> None:
    if command_id is not None:
        raise InputError("command_id is for the scheduler of a memory, SpacedRepetitionScheduler(memory=...)")
