"""Deciding reviews, and what fell out of attention. Pure, as ``decide.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from memorygraph.actors import commands as cmd
from memorygraph.actors.touches import review_of
from memorygraph.events import records as ev
from memorygraph.events.errors import InputError
from memorygraph.events.types import ReviewModel
from memorygraph.projections.review import require_later, reviewed

if TYPE_CHECKING:
    from memorygraph.actors.decide import Proposer


def record_reviews(proposer: Proposer, operation: cmd.RecordReviews) -> None:
    """Compute the cards that reviews lead to; a review is an access of its memory, too."""
    frame, rules = proposer._frame, operation.rules
    if len(set(operation.ids)) < len(operation.ids):
        raise InputError("a memory is reviewed twice in one command; send one review after the other")
    now_us = proposer._now_us if operation.time_us is None else operation.time_us
    cards: list[ev.ReviewCard] = []
    for node_id, grade in zip(operation.ids, operation.grades, strict=True):
        before: ev.ReviewCard | None = frame.nodes.value("review", proposer._own(node_id))
        proposer.reads.append(review_of(node_id))
        if before is not None and not operation.begin:
            _require_same_model(node_id, before.model, rules.model)
            require_later(node_id, before, operation.time_us)
        cards.append(reviewed(rules, before, grade, now_us, begins=operation.begin))
    if not cards:
        return
    ids = tuple(operation.ids)
    times_us = tuple(card.reviewed_us for card in cards)
    proposer.events.append(
        ev.ReviewsRecorded(
            ids=ids,
            model=rules.model,
            grades=tuple(operation.grades),
            stabilities_days=tuple(card.stability_days for card in cards),
            difficulties=tuple(card.difficulty for card in cards),
            repetitions=tuple(card.repetitions for card in cards),
            times_us=times_us,
            due_us=tuple(card.due_us for card in cards),
            begins=operation.begin,
        )
    )
    if not operation.begin:
        proposer.events.append(ev.AccessesRecorded(ids=ids, times_us=times_us))


def end_reviews(proposer: Proposer, operation: cmd.EndReviews) -> None:
    """Let go of the cards of nodes that have one; only their owner may, as it alone makes them."""
    frame = proposer.frame()
    ids = tuple(dict.fromkeys(operation.ids))
    rows = [proposer._own(node_id) for node_id in ids]
    proposer.reads += map(review_of, ids)
    ended = tuple(
        node_id for node_id, row in zip(ids, rows, strict=True) if frame.nodes.value("review", row) is not None
    )
    if ended:
        proposer.events.append(ev.ReviewsEnded(ids=ended))


def lose_attention(proposer: Proposer, operation: cmd.LoseAttention) -> None:
    """Record what fell out of a working memory, as far as it is here."""
    lost, frame = operation.lost, proposer._frame
    known = [
        cells for cells in zip(lost.ids, lost.slots, lost.activations, strict=True) if frame.row(cells[0]) is not None
    ]
    if known:
        ids, slots, activations = zip(*known, strict=True)
        proposer.reads += ids
        proposer.events.append(ev.AttentionLost(ids=ids, slots=slots, activations=activations, reason=lost.reason))


def _require_same_model(node_id: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise InputError(
            f"{node_id!r} is scheduled by {ReviewModel.from_code(found).value}, not by "
            f"{ReviewModel.from_code(wanted).value}; register it anew to change that",
            id=node_id,
        )


DECISIONS: Final[dict[type[cmd.Operation], Callable[[Proposer, Any], None]]] = {
    cmd.RecordReviews: record_reviews,
    cmd.EndReviews: end_reviews,
    cmd.LoseAttention: lose_attention,
}
