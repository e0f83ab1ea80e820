"""ACT-R's base-level activation: how often and how lately a memory was used (Anderson et al., 2004).

B = ln(sum over its uses of t^-d), t being the age of a use in seconds, at least 1, and d = 0.5. A use is the recording
and each recall. Of the recalls only the last ones are kept with their times; the others are taken to lie evenly between
the recording and the oldest that is kept, so that they come to an integral, the approximation of Petrov (2006),
"Computationally efficient approximation of the base-level learning equation in ACT-R"::

    (n - k) (t_n^(1-d) - t_k^(1-d)) / ((1 - d) (t_n - t_k))

with n - k recalls that are not kept, t_n the age of the recording and t_k that of the oldest recall kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

DECAY: Final = 0.5  # the usual value
AGE_MIN_S: Final = 1.0
_US: Final = 1e6


def base_level(
    created_us: int, access_times_us: Sequence[int], access_count: int, now_us: int, decay: float = DECAY
) -> float:
    """Return B at a time; times are microseconds.

    Args:
        access_times_us: the last recalls, oldest first.
        access_count: of all recalls.
    """
    times_us = np.array([created_us, *access_times_us], dtype=np.float64)
    ages_s = np.maximum((now_us - times_us) / _US, AGE_MIN_S)
    total = float(np.sum(ages_s**-decay))
    lost = access_count - len(access_times_us)
    if lost > 0:
        total += lost * _mean_power(float(ages_s[1:].max(initial=AGE_MIN_S)), float(ages_s[0]), decay)
    return math.log(total)


def _mean_power(newest_s: float, oldest_s: float, decay: float) -> float:
    """Return the mean of t^-d over the ages between two."""
    if oldest_s - newest_s < AGE_MIN_S:
        return float(newest_s**-decay)
    power = 1.0 - decay
    return float((oldest_s**power - newest_s**power) / (power * (oldest_s - newest_s)))
