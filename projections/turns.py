"""Conversations: which memories are turns of one session, what stands beside them, and who spoke.

An answer seldom repeats the words of its question, so what a turn scores also counts for the turns beside it, most for
the one that follows a question; the best turns of a session count for the whole of it.
"""

from __future__ import annotations

import threading
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.filters import NO_CODE
from memorygraph.projections.tables import View
from memorygraph.projections.weights import Weights

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]
NOBODY: Final = -1
BEST: Final = 3  # turns that speak for their session
_ASKS: Final = ("?", "\uff1f", "\u061f")  # also full width, Arabic


class Turns(Struct, frozen=True):
    """Node rows before and after each node in its session (``NOBODY``: none), and its session's code.

    Only of visible memories, in order of birth, shape (node rows,) each. ``follows_question`` are the turns whose turn
    before asks something.
    """

    before: NDArray[np.int32]
    after: NDArray[np.int32]
    session: NDArray[np.int32]
    follows_question: Mask


class Questions:
    """Which text rows ask something; grows with the rows and serves every Frame."""

    def __init__(self) -> None:
        self._asks: Mask = np.zeros(0, dtype=np.bool_)
        self._count = 0
        self._growing = threading.Lock()

    def upto(self, texts: View) -> Mask:
        """Return which of the view's rows hold a question mark, shape (text rows,)."""
        if self._count < texts.count:
            with self._growing:
                self._grow(texts)
        return self._asks[: texts.count]

    def size_bytes(self) -> int:
        """Return the bytes of the array."""
        return self._asks.nbytes

    def _grow(self, texts: View) -> None:
        first, total = self._count, texts.count
        if total <= first:
            return
        asks = self._asks
        if len(asks) < total:
            asks = np.zeros(max(total, len(asks) * 5 // 4, 64), dtype=np.bool_)
            asks[:first] = self._asks[:first]
        contents = texts.cells("content", first)
        asks[first:total] = [any(mark in content for mark in _ASKS) for content in contents]
        self._asks = asks
        self._count = total


def turns_of(visible: Mask, session: NDArray[np.int32], birth: NDArray[np.int64], asks: Mask) -> Turns | None:
    """Return the turns among visible memories; None if none has a session.

    Args:
        session: code of each node's session, ``NO_CODE`` for none; asks: which nodes ask something. Shape (node rows,).
    """
    rows = np.flatnonzero(visible & (session != NO_CODE))
    if not len(rows):
        return None
    births = birth[rows]
    if len(rows) > 1 and not (births[1:] > births[:-1]).all():
        rows = rows[np.argsort(births, kind="stable")]
    rows = rows[np.argsort(session[rows], kind="stable")]
    same = session[rows[1:]] == session[rows[:-1]]
    before = np.full(len(visible), NOBODY, np.int32)
    after = before.copy()
    before[rows[1:][same]] = rows[:-1][same]
    after[rows[:-1][same]] = rows[1:][same]
    return Turns(before, after, np.where(visible, session, NO_CODE), (before != NOBODY) & asks[before])


def beside(scores: Doubles, turns: Turns, weights: Weights) -> Doubles:
    """Return what each turn gets from the turns beside it, shape (node rows,)."""
    padded = np.append(scores, 0.0)  # the last place is for NOBODY
    given: Doubles = np.where(turns.follows_question, weights.answer, weights.turn) * padded[turns.before]
    given += weights.turn * padded[turns.after]
    return given


def of_session(scores: Doubles, turns: Turns, weights: Weights) -> Doubles:
    """Return what each turn gets from the best of its session, shape (node rows,)."""
    rows = np.flatnonzero((scores > 0) & (turns.session != NO_CODE))
    given = np.zeros(len(scores))
    if not len(rows):
        return given
    session = turns.session[rows]
    order = np.lexsort((-scores[rows], session))
    session, sorted_scores = session[order], scores[rows][order]
    starts = np.flatnonzero(np.append(True, session[1:] != session[:-1]))
    place = np.arange(len(session)) - np.repeat(starts, np.diff(np.append(starts, len(session))))
    best = np.bincount(session, np.where(place < BEST, sorted_scores, 0.0) / BEST)
    known = (turns.session != NO_CODE) & (turns.session < len(best))
    given[known] = weights.session * best[turns.session[known]]
    return given
