"""Effective importance: what a memory's importance comes to now, by how much of it is left and how settled it is."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.events.types import CODE_MAX, ConsolidationState
from memorygraph.projections.frame import Frame
from memorygraph.projections.retention import retention_now

Rows = NDArray[np.int32]
Doubles = NDArray[np.float64]

STATE_FACTORS: Final = {
    ConsolidationState.LABILE: 0.6,
    ConsolidationState.EARLY_LTP: 0.75,
    ConsolidationState.LATE_LTP: 0.85,
    ConsolidationState.CONSOLIDATING: 0.8,
    ConsolidationState.CONSOLIDATED: 1.0,
    ConsolidationState.LONG_TERM: 1.0,
    ConsolidationState.RECONSOLIDATING: 0.7,
    ConsolidationState.ARCHIVED: 0.4,
}
"""What counts of an importance in each state of consolidation."""


def state_factor(code: int) -> float:
    """Return the factor of a state's code; a state that this release does not know counts whole."""
    return STATE_FACTORS.get(ConsolidationState.from_code(code), 1.0)


def effective_importance(frame: Frame, rows: Rows, now_us: int) -> Doubles:
    """Return importance * retention * state factor of some node rows at a time in microseconds, 0..1."""
    take = frame.nodes.take
    settled = _FACTORS[take("consolidation_state", rows)]
    result: Doubles = take("importance", rows) * retention_now(frame, now_us, rows) * settled
    return result


_FACTORS: Final = np.array([state_factor(code) for code in range(CODE_MAX + 1)])
