"""What time and use make of memories: which have faded, which are cold, which are ready to settle further.

One pass over the columns of a Frame; R is the retention at the time of the pass (``retention.py``).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.events.types import ConsolidationState, DecayFunction
from memorygraph.projections.consolidation import NEXT
from memorygraph.projections.frame import Frame
from memorygraph.projections.retention import retention_now

IMPORTANT: Final = 0.9  # contract item 27: memories this important are never forgotten for having faded
SETTLING: Final = tuple(state.code for state in NEXT if state is not ConsolidationState.LONG_TERM)
"""States from which memories go on by themselves; one that is long-term stays so until it is taken up again."""

Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]


class SweepRules(Struct, frozen=True, kw_only=True):
    """When memories are forgotten, put away or advanced; what is said first goes first. The defaults do nothing.

    Important (from 0.9), long-term and undecaying memories are neither forgotten nor put away.

    ``forget_below``: R is below this. ``archive_below``: R is below this, and the importance at most
    ``archive_importance``. ``advance_from``: R is at least this, and it was recalled at least ``advance_recalls`` times
    (None: nothing advances).
    """

    forget_below: float = 0.0
    archive_below: float = 0.0
    archive_importance: float = 0.3
    advance_from: float | None = None
    advance_recalls: int = 2


class Fates(NamedTuple):
    """Node rows, in order of birth: to be forgotten, to be put away, to be advanced to their next state."""

    forget: Rows
    archive: Rows
    advance: Rows


def may_fade(frame: Frame, rows: Rows) -> Mask:
    """Return which of some nodes may be forgotten for having faded, shape (rows,)."""
    take = frame.nodes.take
    passing: Mask = take("importance", rows) < IMPORTANT
    passing &= take("decay_function", rows) != DecayFunction.NO_DECAY.code
    passing &= take("consolidation_state", rows) != ConsolidationState.LONG_TERM.code
    return passing


def faded(frame: Frame, rows: Rows, threshold: float, now_us: int) -> Rows:
    """Return which of some nodes have faded: R is below a threshold at a time in microseconds."""
    return rows[may_fade(frame, rows) & (retention_now(frame, now_us, rows) < threshold)]


def fates(frame: Frame, rows: Rows, rules: SweepRules, now_us: int) -> Fates:
    """Return what is to become of some live nodes at a time in microseconds."""
    rows = rows[np.argsort(frame.nodes.take("birth", rows), kind="stable")]
    left, fading, take = retention_now(frame, now_us, rows), may_fade(frame, rows), frame.nodes.take
    forget = fading & (left < rules.forget_below)
    archive = fading & ~forget & (left < rules.archive_below)
    archive &= take("importance", rows) <= rules.archive_importance
    advance = np.zeros(len(rows), dtype=np.bool_)
    if rules.advance_from is not None:
        advance = ~forget & ~archive & (left >= rules.advance_from)
        advance &= take("access_count", rows) >= rules.advance_recalls
        advance &= np.isin(take("consolidation_state", rows), SETTLING)
    return Fates(rows[forget], rows[archive], rows[advance])
