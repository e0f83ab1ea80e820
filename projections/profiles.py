"""Ranking profiles: what else than relevance makes a memory come to mind.

- ``relevance``: nothing else.
- ``activation``: relevance times ACT-R's probability that the memory is retrieved (Anderson et al., 2004)::

      B = ln(sum over its uses of age^-0.5),  P = 1 / (1 + exp((THRESHOLD - B) / NOISE))

  A use is its recording and each recall, an age is in seconds, at least 1; see ``base_level.py``.
- ``recency``: relevance times 1 / (1 + age / FADING_S), by event time.

Only the best by relevance are weighed again: a profile changes their order, and brings in nothing that does not match.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.base_level import DECAY, base_level
from memorygraph.projections.frame import Frame

Doubles = NDArray[np.float64]
RELEVANCE: Final = "relevance"
ACTIVATION: Final = "activation"
RECENCY: Final = "recency"
PROFILES: Final = (RELEVANCE, ACTIVATION, RECENCY)

THRESHOLD: Final = -7.0  # a memory used once, two weeks ago, is as likely to come to mind as not
NOISE: Final = 1.0
FADING_S: Final = 30 * 86_400.0  # after so many seconds a memory counts half
CONSIDERED_MIN: Final = 100
CONSIDERED_PER_HIT: Final = 4
_US: Final = 1e6


def considered(k: int) -> int:
    """Return how many of the best by relevance are weighed again for k hits."""
    return max(CONSIDERED_MIN, CONSIDERED_PER_HIT * k)


def weights_of(frame: Frame, rows: NDArray[np.int32], profile: str, now_us: int) -> Doubles:
    """Return what to multiply the scores of some node rows by, 0..1, at a time in microseconds."""
    if profile == ACTIVATION:
        level = np.array([_base_level(frame, row, now_us) for row in rows.tolist()])
        likely: Doubles = 1.0 / (1.0 + np.exp((THRESHOLD - level) / NOISE))
        return likely
    if profile == RECENCY:
        age_s = np.maximum(now_us - frame.nodes.column("occurred_us")[rows], 0) / _US
        fading: Doubles = 1.0 / (1.0 + age_s / FADING_S)
        return fading
    return np.ones(len(rows))


def _base_level(frame: Frame, row: int, now_us: int) -> float:
    """Return ACT-R's base level B of a memory."""
    cell = frame.nodes.value
    times_us = cell("access_times_us", row) or ()
    return base_level(cell("created_us", row), times_us, cell("access_count", row), now_us, DECAY)
